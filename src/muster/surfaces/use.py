"""Who is at the hub's doors: whether somebody waits for an answer, and how long ago the last one came.

A stream of events and a call that waits are use for as long as they are open. A bridge or an MCP client that merely
listens is none, and neither is whoever asks `GET /healthz`.
"""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

LISTENERS = ("/mcp", "/bridge/")


class Use:
    """The application, counted. `requests` grows with each that comes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = 0
        self._last = time.monotonic()
        self.requests = 0

    @property
    def idle_seconds(self) -> float:
        """Since when nobody has been here."""
        return 0.0 if self._open else time.monotonic() - self._last

    def touch(self) -> None:
        """Begin to count anew."""
        self._last = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_no_use(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        self._open += 1
        self.requests += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            self.touch()


def _is_no_use(method: str, path: str) -> bool:
    return path == "/healthz" or (method == "GET" and path.startswith(LISTENERS))
