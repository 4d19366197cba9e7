"""Host servers that hang, swell or die: who goes on, who is held back, and who is given up."""

import pytest

from muster.hosts.scripted import ScriptedHost
from muster.model.server import ServerState
from muster.reconcilers import hosts as hosts_module
from muster.reconcilers import queue as queue_module
from unit.reconcilers.cast import Cast
from unit.stage import at_work, hub, server_rows

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often: what is tested is what is done, not how long it takes."""
    monkeypatch.setattr(hosts_module, "TEND_SECONDS", 0.05)
    monkeypatch.setattr(hosts_module, "SILENT_SECONDS", 0.2)
    monkeypatch.setattr(queue_module, "RESYNC_SECONDS", 0.2)
    monkeypatch.setattr(queue_module, "FIRST_BACKOFF", 0.01)


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
async def stage(tmp_path, clock, cast):
    async with ScriptedHost(cast.play) as host, hub(tmp_path, host, clock) as stage:
        yield stage


async def test_server_that_answers_nobody_is_replaced_and_its_agents_go_on(stage, cast, clock):
    async with at_work(stage):
        spawned = await stage.spawn("hold 1")
        await stage.until("turn.sent", agent=spawned["agent_ids"][0])
        (server,) = await server_rows(stage)
        clock.advance(minutes=1)
        stage.host.silence(server.id)
        stopped = await stage.until("server.stopped")
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
    assert (stopped.body["why"], stopped.body["detail"]) == ("lost", "it did not answer for 0 s")
    assert [result["status"] for result in results["results"]] == ["done"]
    assert [server.generation for server in await server_rows(stage)] == [2]


async def test_silent_server_without_work_is_left_alone(stage, clock):
    async with at_work(stage):
        await stage.settled((await stage.spawn("one"))["fleet_id"])
        (server,) = await server_rows(stage)
        stage.host.silence(server.id)
        clock.advance(minutes=3)
        stopped = await stage.until("server.stopped")
    assert stopped.body["why"] == "idle"
    assert [server.state for server in await server_rows(stage)] == [ServerState.STOPPED]
