"""The hub's side of the bridge, as far as a plugin can see it."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOOLS = [
    {
        "name": "spawn_fleet",
        "description": "Starts agents.",
        "parameters": {
            "type": "object",
            "properties": {"task": {"type": "string"}, "count": {"type": "integer"}},
            "required": ["task"],
        },
    },
    {"name": "wait_fleet", "description": "Waits.", "parameters": {"type": "object", "properties": {}, "required": []}},
]


class Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:
        """They are pytest's."""
        return nullcontext()


@dataclass(slots=True, kw_only=True)
class FakeHub:
    """Answers every call with its arguments, and remembers what came."""

    answer: dict[str, Any] = field(default_factory=lambda: {"output": "started", "title": "Fleet", "error": False})
    env: dict[str, str] = field(default_factory=dict)
    line: str = ""
    seen: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for told, _, body in self.seen if told == path]

    async def respond(self, request: Request) -> Response:
        body = await request.json() if request.method == "POST" else dict(request.query_params)
        self.seen.append((request.url.path, request.headers["authorization"], body))
        answers = {
            "/bridge/hello": {"tools": TOOLS},
            "/bridge/call": self.answer,
            "/bridge/env": {"env": self.env},
            "/bridge/standing": {"line": self.line},
        }
        return JSONResponse(answers.get(request.url.path, {}))

    @asynccontextmanager
    async def serve(self, hub_file: Path) -> AsyncIterator[None]:
        """Run, and be found through hub.json, for as long as the context is open."""
        app = Starlette(routes=[Route("/bridge/{verb}", self.respond, methods=["GET", "POST"])])
        server = Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
        with socket.create_server(("127.0.0.1", 0)) as listener:
            hub_file.parent.mkdir(parents=True, exist_ok=True)
            hub_file.write_text(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve, [listener])
                yield
                server.should_exit = True
        hub_file.unlink()
