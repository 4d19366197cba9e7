"""The hub's side of the bridge, the plugin inside every host server. Not a stable surface.

A host server proves itself with its own token and names the session that a tool was called in; whoever was placed
in that session is the caller. A session that Muster did not place there, a sub-agent's for one, is nobody.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # tool arguments are JSON

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muster.engine import Engine
from muster.errors import Denied, MalformedJson, MusterError
from muster.model.actor import SYSTEM, Actor, ActorKind
from muster.surfaces.http import answered, body, caller
from muster.surfaces.tokens import Keyring
from muster.surfaces.toolkits import Toolkit


class _Message(BaseModel):
    """What the bridge says. Fields that this hub does not know are left alone: the bridge may be a newer one."""

    model_config = ConfigDict(strict=True, extra="ignore")
    session: str = ""
    tool: str = ""
    arguments: dict[str, Any] = {}
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class BridgeDoor:
    engine: Engine
    toolkit: Toolkit
    keyring: Keyring
    home: Path

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/bridge/hello", self.hello, methods=["POST"]),
            Route("/bridge/call", self.call, methods=["POST"]),
            Route("/bridge/env", self.env, methods=["POST"]),
            Route("/bridge/step", self.step, methods=["POST"]),
        ]

    async def hello(self, request: Request) -> Response:
        """The tools that the plugin registers; each stays hidden from a session that is not let in."""
        _require_server(request)
        tools = [
            {"name": tool.name, "description": self.toolkit.describe(tool), "parameters": tool.schema(member=True)}
            for tool in self.toolkit.members_part()
        ]
        return JSONResponse({"tools": tools})

    async def call(self, request: Request) -> Response:
        """A tool call of the agent whose session it came from; errors are told to the model, whole."""
        message = await _message(request)
        try:
            actor = await self._actor(request, message)
            tool = self.toolkit.tool(message.tool, actor)
            arguments = message.arguments
            if message.request_id is not None and tool.verb.changes:
                arguments = arguments | {"request_id": message.request_id}
            answer = await answered(self.engine, tool.verb.name, actor, json.dumps(arguments))
        except MusterError as error:
            return JSONResponse({"output": json.dumps(error.to_json()), "title": message.tool, "error": True})
        return JSONResponse({"output": json.dumps(answer, ensure_ascii=False), "title": message.tool, "error": False})

    async def env(self, request: Request) -> Response:
        """What the shell of an agent is told: who it is, and the token that makes `muster` typed there be it."""
        message = await _message(request)
        actor = await self._actor(request, message)
        agent = await self.engine.query(self.engine.catalog["actor.seat"], SYSTEM, agent=actor.agent)
        assert actor.agent is not None
        return JSONResponse(
            {
                "env": {
                    "MUSTER_AGENT_HOME": str(self.home),
                    "MUSTER_AGENT_ID": actor.agent,
                    "MUSTER_AGENT_TOKEN": self.keyring.agent(actor.agent),
                    "MUSTER_RUN": agent.run,
                }
            }
        )

    async def step(self, request: Request) -> Response:
        """Whether the agent of a session may make its next model request."""
        actor = await self._actor(request, await _message(request))
        answer = await self.engine.execute(self.engine.catalog["agent.step"], SYSTEM, agent=actor.agent)
        return JSONResponse({"go": answer.go})

    async def _actor(self, request: Request, message: _Message) -> Actor:
        server = _require_server(request)
        actor: Actor = await self.engine.query(
            self.engine.catalog["actor.in_session"], SYSTEM, server=server, session=message.session
        )
        return actor


def _require_server(request: Request) -> str:
    actor = caller(request)
    if actor.kind is not ActorKind.SERVER or actor.server is None:
        raise Denied(why="The bridge is for host servers.", hint="Call /api/v1/<verb> or /mcp instead.")
    return actor.server


async def _message(request: Request) -> _Message:
    try:
        return _Message.model_validate_json(await body(request))
    except ValidationError as error:
        raise MalformedJson(why=str(error.errors(include_url=False)[0]["msg"])) from error
