"""MCP over streamable HTTP: the toolkits for any MCP client.

Each request stands alone (no session is kept), so a restart of the hub voids nothing. The same error object that
HTTP answers comes as `structuredContent` with `isError`, for unknown tools and wrong arguments too.
"""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any  # tool arguments and answers are JSON

import anyio
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import SERVER_INFO_META_KEY
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from muster import __version__
from muster.engine import Engine
from muster.errors import MusterError, NotFound
from muster.model.actor import Actor, ActorKind
from muster.surfaces.http import BODY_BYTES, answered, body, caller
from muster.surfaces.mcp_calls import may_be_plain, read_plain, replayed
from muster.surfaces.toolkits import Toolkit, find
from muster.visible import as_json

log = logging.getLogger(__name__)

PROGRESS_SECONDS = 10.0  # OpenCode's limit of 60 s a call starts anew with each sign of progress
INSTRUCTIONS = "Muster runs fleets of coding agents in parallel: spawn_fleet, then wait_fleet; never poll."

REQUEST_HEADER = "x-muster-request-id"  # the stdio door's, the same on every resend of one call

Context = ServerRequestContext[dict[str, Any], Request]


class McpDoor:
    def __init__(self, engine: Engine, toolkits: Mapping[str, Toolkit]) -> None:
        self._engine = engine
        self._toolkits = toolkits
        server: Server[dict[str, Any]] = Server(
            "muster",
            version=__version__,
            instructions=INSTRUCTIONS,
            get_tool_input_schema=lambda name: None,  # no argument of ours is told in a header
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        self._stamp = {SERVER_INFO_META_KEY: server.server_info_stamp}
        self._manager = StreamableHTTPSessionManager(server, stateless=True, max_request_body_size=BODY_BYTES)
        self.route = Route("/mcp", self)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # White space around a header's value is none of it (RFC 9110, 5.5), and httptools leaves it there.
        scope = {**scope, "headers": [(name, value.strip(b" \t")) for name, value in scope["headers"]]}
        request = Request(scope, receive)
        if may_be_plain(request):
            raw = await body(request)
            call = read_plain(request.headers, raw)
            if call is not None and self._is_answered_at_once(request, call.name, call.arguments):
                answer, is_error = await self._answer(request, call.name, call.arguments)
                told = call.answered(answer, self._stamp, is_error=is_error)
                await Response(told, media_type="application/json")(scope, receive, send)
                return
            receive = replayed(raw, receive)
        await self._manager.handle_request(scope, receive, send)

    async def _list_tools(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        assert context.request is not None
        actor, toolkits = self._asked(context.request)
        member = actor.kind is ActorKind.AGENT
        return types.ListToolsResult(
            tools=[
                types.Tool(name=tool.name, description=toolkit.describe(tool), input_schema=tool.schema(member=member))
                for toolkit in toolkits
                for tool in toolkit.offered(actor)
            ]
        )

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tell_progress, context)
            # An error must not leave the group: it would come out wrapped in an ExceptionGroup.
            result = await self._result(context, params)
            tasks.cancel_scope.cancel()
        return result

    async def _result(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        assert context.request is not None
        answer, is_error = await self._answer(context.request, params.name, params.arguments or {})
        text = as_json(answer)
        told = types.TextContent(text=text)
        return types.CallToolResult(content=[told], structured_content=answer, is_error=is_error)

    async def _answer(self, request: Request, name: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """What is told to the caller, and whether it is an error."""
        try:
            actor, toolkits = self._asked(request)
            tool = find(toolkits, name, actor)
            mark = request.headers.get(REQUEST_HEADER)
            if mark is not None and tool.verb.changes:
                arguments = {"request_id": mark} | arguments
            return await answered(self._engine, tool.verb.name, actor, json.dumps(arguments)), False
        except MusterError as error:
            return error.to_json(), True

    def _is_answered_at_once(self, request: Request, name: str, arguments: dict[str, Any]) -> bool:
        try:
            actor, toolkits = self._asked(request)
            return find(toolkits, name, actor).verb.is_answered_at_once(arguments)
        except MusterError:
            return True  # by a refusal

    def _asked(self, request: Request) -> tuple[Actor, list[Toolkit]]:
        """The caller, and the toolkits that its URL asks for (`?toolkits=mesh`, the default)."""
        names = request.query_params.get("toolkits", "mesh").split(",")
        unknown = [name for name in names if name not in self._toolkits]
        if unknown:
            raise NotFound(kind="toolkit", id=unknown[0], hint=f"Toolkits: {', '.join(self._toolkits)}.")
        return caller(request), [self._toolkits[name] for name in names]


async def _tell_progress(context: Context) -> None:
    """A sign of life every ten seconds, for a caller that asked for one."""
    token = (context.meta or {}).get("progress_token")
    elapsed = 0.0
    while token is not None:
        await anyio.sleep(PROGRESS_SECONDS)
        elapsed += PROGRESS_SECONDS
        related = None if context.request_id is None else str(context.request_id)
        await context.session.send_progress_notification(
            token, elapsed, message="still waiting", related_request_id=related
        )
