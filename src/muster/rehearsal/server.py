"""The model server: HTTP on the loopback around a scenario and its stage.

    async with Rehearsal.serve(scenario) as rehearsal:
        config = opencode_config(rehearsal.url)
        …
        await rehearsal.until(lambda request: request.script == "docs", count=2)
        assert not rehearsal.failures

It belongs to the event loop that it was started in. From a thread use anyio's blocking portal; from
another process use `python -m muster.rehearsal` and the `/rehearsal/…` addresses.
"""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from muster.errors import InvalidInput, PortTaken
from muster.rehearsal.conversation import Conversation, Kind, parse_request
from muster.rehearsal.performance import Part, Performance
from muster.rehearsal.scenario import Scenario, Step
from muster.rehearsal.script import aside, cast, cue, recite
from muster.rehearsal.stage import Failure, Request, Stage
from muster.rehearsal.wire import misfit

_ADDRESS = "127.0.0.1"


class Rehearsal:
    """A running rehearsal; make one with `serve`."""

    def __init__(self, scenario: Scenario, *, url: str) -> None:
        self.scenario = scenario
        self.url = url
        self._stage = Stage()
        self._closing = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def serve(cls, scenario: Scenario, *, port: int = 0) -> "AsyncIterator[Rehearsal]":
        """Play a scenario on 127.0.0.1 for as long as the context is open; port 0 is any free one."""
        with _listening(port) as listener:
            rehearsal = cls(scenario, url=f"http://{_ADDRESS}:{listener.getsockname()[1]}")
            server = _Server(uvicorn.Config(rehearsal.app(), lifespan="off", log_config=None, access_log=False))
            async with _running(server, listener):
                try:
                    yield rehearsal
                finally:
                    rehearsal._closing.set()

    def play(self, scenario: Scenario) -> None:
        """Begin another scenario, as if nothing had been asked before. What is being answered ends as it began."""
        self.scenario = scenario
        self._stage = Stage()

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every model request so far, in order of arrival."""
        return self._stage.requests

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Every place where the scenario did not fit; a good rehearsal has none."""
        return self._stage.failures

    def release(self, gate: str) -> None:
        """Open a gate for good."""
        self._stage.release(gate)

    async def held(self, gate: str, count: int = 1, *, within: float = 10) -> None:
        """Wait until that many requests stand at a gate; `Unavailable` after that many seconds."""
        await self._stage.held(gate, count, within=within)

    async def until(
        self, holds: Callable[[Request], bool], *, count: int = 1, within: float = 10
    ) -> tuple[Request, ...]:
        """Wait until that many requests fit, and return them; `Unavailable` after that many seconds."""
        return await self._stage.until(holds, count=count, within=within)

    def app(self) -> Starlette:
        """The HTTP side, for a server of one's own."""
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/rehearsal/requests", self._show_requests),
                Route("/rehearsal/failures", self._show_failures),
                Route("/rehearsal/release/{gate}", self._release, methods=["POST"]),
            ]
        )

    async def _models(self, _: HttpRequest) -> Response:
        model = {"id": "model", "object": "model", "created": 0, "owned_by": "rehearsal"}
        return JSONResponse({"object": "list", "data": [model]})

    async def _chat(self, http: HttpRequest) -> ASGIApp:
        try:
            conversation = parse_request(await http.body(), http.headers)
        except InvalidInput as exc:
            self._stage.misread(exc.message)
            return _refusal(exc.message)
        if conversation.kind is Kind.CHAT:
            return self._step(conversation)
        return self._aside(conversation)

    def _aside(self, conversation: Conversation) -> ASGIApp:
        request = self._stage.arrive(conversation, script=None, step=None)
        part = Part(step=Step(), answer=aside(self.scenario, conversation), mishap=None)
        return self._performance(conversation, request, part)

    def _step(self, conversation: Conversation) -> ASGIApp:
        request = None
        try:
            script = cast(self.scenario, conversation)
            index, step = cue(script, conversation)
            request = self._stage.arrive(conversation, script=script.name, step=index)
            mishap = step.mishap_at(self._stage.tries(conversation.session, script.name, index))
            part = Part(step=step, answer=recite(step, conversation), mishap=mishap)
        except InvalidInput as exc:
            request = request or self._stage.arrive(conversation, script=None, step=None)
            self._stage.fail(request, exc.message)
            return _refusal(exc.message)
        return self._performance(conversation, request, part)

    def _performance(self, conversation: Conversation, request: Request, part: Part) -> ASGIApp:
        return Performance(
            stage=self._stage, closing=self._closing, conversation=conversation, request=request, part=part
        )

    async def _show_requests(self, _: HttpRequest) -> Response:
        return JSONResponse([asdict(request) for request in self.requests])

    async def _show_failures(self, _: HttpRequest) -> Response:
        return JSONResponse([asdict(each) for each in self.failures])

    async def _release(self, http: HttpRequest) -> Response:
        self.release(http.path_params["gate"])
        return JSONResponse({"released": http.path_params["gate"]})


@asynccontextmanager
async def _running(server: uvicorn.Server, listener: socket.socket) -> AsyncIterator[None]:
    tasks = anyio.create_task_group()
    await tasks.__aenter__()
    tasks.start_soon(server.serve, [listener])
    try:
        yield
    finally:
        server.should_exit = True
        # Without the error of the block, which would come out wrapped in a group.
        await tasks.__aexit__(None, None, None)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever owns the process."""
        yield


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((_ADDRESS, port))
        except OSError as exc:
            raise PortTaken(port=port, address=_ADDRESS) from exc
        # Whoever connects before the server runs waits in the queue instead of being refused.
        listener.listen(128)
        yield listener


def _refusal(why: str) -> Response:
    return Response(misfit(why), status_code=400, media_type="application/json")
