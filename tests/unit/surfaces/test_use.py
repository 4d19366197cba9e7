"""Who waits for an answer uses the hub, and who merely listens does not."""

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from muster.surfaces import use as module
from muster.surfaces.use import Use

pytestmark = pytest.mark.anyio


class Moment:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class App:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.entered, self.answers = anyio.Event(), anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.set()
        await self.answers.wait()


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    moment = Moment()
    monkeypatch.setattr(module, "time", moment)
    return moment


async def open_for_a_minute(moment: Moment, method: str, path: str) -> tuple[float, float]:
    """For how long the hub counts as idle while such a request is open, and after it."""
    app = App()
    use = Use(app)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(use, {"type": "http", "method": method, "path": path}, None, None)
        await app.entered.wait()
        moment.now += 60
        during = use.idle_seconds
        app.answers.set()
    return during, use.idle_seconds


@pytest.mark.parametrize(
    ("method", "path", "during"),
    [
        ("POST", "/api/v1/fleet.wait", 0),
        ("GET", "/api/v1/events", 0),
        ("POST", "/mcp", 0),
        ("POST", "/bridge/call", 0),
        ("GET", "/mcp", 60),
        ("GET", "/bridge/anything", 60),
        ("GET", "/healthz", 60),
    ],
)
async def test_open_call_or_stream_is_use_and_a_listener_is_none(moment, method, path, during):
    assert await open_for_a_minute(moment, method, path) == (during, during)


async def test_idleness_counts_from_the_last_answer_or_touch(moment):
    app = App()
    app.answers.set()
    use = Use(app)
    moment.now += 10
    await use({"type": "http", "method": "POST", "path": "/mcp"}, None, None)
    moment.now += 5
    assert (use.idle_seconds, use.requests) == (5, 1)
    use.touch()
    assert use.idle_seconds == 0
