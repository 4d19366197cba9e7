"""The web surface of a hub on a loopback port, and callers of it."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import httpx2
import uvicorn
from starlette.applications import Starlette

from muster.surfaces.bridge import BridgeDoor
from muster.surfaces.http import application
from muster.surfaces.inboxes import InboxDoor
from muster.surfaces.mcp import McpDoor
from muster.surfaces.sockets import listening
from muster.surfaces.toolkits import Toolkit
from muster.surfaces.toolkits.mesh import MESH
from unit.stage import WITHIN_SECONDS, Stage


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the test runner's."""
        yield


@asynccontextmanager
async def web(stage: Stage, toolkits: Mapping[str, Toolkit] = {MESH.name: MESH}) -> AsyncIterator[str]:
    """The URL of the application, served as the hub serves it."""
    mcp = McpDoor(stage.engine, toolkits)
    bridge = BridgeDoor(stage.engine, MESH, stage.keyring, stage.path.parent)
    inboxes = InboxDoor(stage.engine)
    answering = anyio.Event()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with mcp.open():
            answering.set()
            yield

    app = application(stage.engine, stage.keyring, [mcp.route, inboxes.route, *bridge.routes], lifespan)
    config = uvicorn.Config(app, http="httptools", log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = _Server(config)
    with listening(0) as sockets:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(server.serve, sockets=sockets))
            await answering.wait()
            yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
            server.should_exit = True


def caller(url: str, token: str | None = None, **headers: str) -> httpx2.AsyncClient:
    """A client that proves itself with a token."""
    given = headers if token is None else {"authorization": f"Bearer {token}", **headers}
    return httpx2.AsyncClient(base_url=url, headers=given, trust_env=False, timeout=WITHIN_SECONDS)


def code(answer: httpx2.Response) -> tuple[int, str]:
    """The status and the code of a refusal, whose shape is the same everywhere."""
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "next", "facts"}
    assert error["message"]
    assert error["next"]
    return answer.status_code, error["code"]
