"""Host servers that hang, swell or die: who goes on, who is held back, and who is given up."""

from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest

from muster.hosts.contract import Traces, TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.model.ids import RunId, ServerId
from muster.model.server import ServerState
from muster.reconcilers import hosts as hosts_module
from unit.reconcilers.cast import Cast
from unit.stage import WITHIN_SECONDS, Clock, Stage, at_work, hub, server_rows

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "SILENT_SECONDS", 0.2)


@dataclass
class DeadlyCast(Cast):
    """`kill` takes its server down as soon as it is asked."""

    async def play(self, wish: TurnWish) -> Reply:
        if wish.parts[-1].startswith("kill"):
            self.host.crash(ServerId(wish.session.removeprefix("ses_").rpartition("_")[0]))
            await anyio.sleep_forever()
        return await super().play(wish)

    def __post_init__(self) -> None:
        self.host = ScriptedHost(self.play)


@pytest.fixture
def cast() -> DeadlyCast:
    return DeadlyCast()


@pytest.fixture
async def stage(tmp_path, clock, cast):
    async with cast.host as host, hub(tmp_path, host, clock) as stage:
        yield stage


async def crash(stage: Stage, clock: Clock, *agents: str) -> None:
    """The only server dies once these agents' turns are known to be sent, and count as left alone."""
    for agent in agents:
        await stage.until("turn.sent", agent=agent)
    (server,) = await server_rows(stage)
    clock.advance(minutes=1)
    stage.host.crash(server.id)


async def outcomes(stage: Stage, agent: str) -> list[str]:
    return [event["body"]["outcome"] for event in await stage.events("run.ended", agent_id=agent)]


def ends(results: dict[str, Any]) -> list[str]:
    return [result["status"] for result in results["results"]]


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


async def test_after_a_death_under_several_agents_one_goes_on_alone_and_the_others_once_it_has_worked_for_a_while(
    stage, cast, clock
):
    async with at_work(stage):
        spawned = await stage.spawn("hold 1", "hold 2", "hold 3")
        await crash(stage, clock, *spawned["agent_ids"])
        await stage.until("turn.sent", agent=spawned["agent_ids"][0], sends=2)
        assert len(await stage.events("turn.sent")) == 4
        assert [row["shocks"] for row in (await stage.call("hub.status"))["servers"]] == [1]
        clock.advance(minutes=1)
        await cast.until(lambda: cast.held == 3)
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
    assert ends(results) == ["done"] * 3
    assert [await outcomes(stage, agent) for agent in spawned["agent_ids"]] == [["interrupted", "done"]] * 3
    assert [server.generation for server in await server_rows(stage)] == [2]
    assert len(await stage.events("fleet.quieted")) == 1


async def test_others_follow_at_once_when_one_has_ended_by_itself(stage, cast, clock):
    async with at_work(stage):
        spawned = await stage.spawn("hold 1", "hold 2")
        await crash(stage, clock, *spawned["agent_ids"])
        await cast.until(lambda: cast.held == 1)
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
    assert ends(results) == ["done", "done"]


async def test_new_agents_keep_away_from_a_server_that_is_being_watched(stage, cast, clock):
    async with at_work(stage):
        spawned = await stage.spawn("hold 1", "hold 2")
        await crash(stage, clock, *spawned["agent_ids"])
        await stage.until("turn.sent", agent=spawned["agent_ids"][0], sends=2)
        assert ends(await stage.settled((await stage.spawn("other"))["fleet_id"])) == ["done"]
        assert len(await server_rows(stage)) == 2


async def test_agent_that_kills_its_server_is_found_out_and_its_neighbours_lose_nothing(stage, cast):
    cast.gate.set()
    async with at_work(stage):
        spawned = await stage.spawn("hold 1", "hold 2", "kill", "hold 3")
        results = await stage.settled(spawned["fleet_id"])
    assert ends(results) == ["done", "done", "failed", "done"]
    assert results["results"][2]["error"].startswith("Quarantined")
    *neighbours, killer = [spawned["agent_ids"][index] for index in (0, 1, 3, 2)]
    assert {outcome for agent in neighbours for outcome in await outcomes(stage, agent)} == {"interrupted", "done"}
    assert [server.shocks for server in await server_rows(stage)] == [0]
    assert (await outcomes(stage, killer))[-1] == "failed"


async def test_agent_that_is_alone_is_quarantined_at_the_second_death_whatever_attempts_are_left(stage, cast):
    async with at_work(stage):
        spawned = await stage.spawn("kill", attempts=5)
        results = await stage.settled(spawned["fleet_id"])
        others = await stage.settled((await stage.spawn("next"))["fleet_id"])
    assert (ends(results), ends(others)) == (["failed"], ["done"])
    assert await outcomes(stage, spawned["agent_ids"][0]) == ["interrupted", "failed"]


async def test_everything_ends_where_every_agent_kills_its_server(stage, cast):
    async with at_work(stage):
        spawned = await stage.spawn("kill 1", "kill 2", "kill 3")
        results = await stage.settled(spawned["fleet_id"])
    assert ends(results) == ["failed"] * 3


async def test_agent_whose_server_dies_before_it_has_a_session_goes_back_to_it(stage, cast, monkeypatch):
    connect = stage.host.connect

    def deadly(*server):
        connection = connect(*server)

        async def open_session(wish):
            stage.host.crash(server[0].id)
            await connection.send(None)

        connection.open_session = open_session
        return connection

    monkeypatch.setattr(stage.host, "connect", deadly)
    async with at_work(stage):
        spawned = await stage.spawn("one")
        results = await stage.settled(spawned["fleet_id"])
    assert ends(results) == ["failed"]
    assert len(await server_rows(stage)) == 1


async def test_server_that_holds_too_much_takes_nobody_in_and_is_replaced_once_nobody_works(stage, cast):
    async with at_work(stage, memory_mib=4096):
        spawned = await stage.spawn("hold 1")
        await cast.until(lambda: cast.held == 1)
        (server,) = await server_rows(stage)
        stage.host.swell(server.id, 5000)
        drained = await stage.until("server.drained")
        assert (drained.body["server"], drained.body["memory_mib"]) == (server.id, 5000)
        assert [row["swollen_mib"] for row in (await stage.call("hub.status"))["servers"]] == [5000]
        assert ends(await stage.settled((await stage.spawn("other"))["fleet_id"])) == ["done"]
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
        stopped = await stage.until("server.stopped")
    assert (stopped.body["server"], stopped.body["why"]) == (server.id, "swollen")
    assert await outcomes(stage, spawned["agent_ids"][0]) == ["done"]
    assert ends(results) == ["done"]
    assert len(await server_rows(stage)) == 2


async def test_server_far_above_its_memory_is_stopped_at_once_and_its_agents_go_on(stage, cast, clock):
    async with at_work(stage, memory_mib=4096):
        spawned = await stage.spawn("hold 1", "hold 2")
        for agent in spawned["agent_ids"]:
            await stage.until("turn.sent", agent=agent)
        (server,) = await server_rows(stage)
        clock.advance(minutes=1)
        stage.host.swell(server.id, 6145)
        await stage.until("server.stopped", why="swollen")
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
    assert ends(results) == ["done", "done"]
    assert [await outcomes(stage, agent) for agent in spawned["agent_ids"]] == [["interrupted", "done"]] * 2


async def test_first_pass_ends_what_a_crash_left_and_nothing_that_is_at_work(tmp_path, clock, cast):
    async with cast.host as host:
        async with hub(tmp_path, host, clock) as stage, at_work(stage):
            spawned = await stage.spawn("hold 1")
            await cast.until(lambda: cast.held == 1)
            (server,) = await server_rows(stage)
            await host.start(replace(stage.connections.wish(server), id=ServerId("srv_forgotten")))
            host.leave(RunId("run_over"))
        async with hub(tmp_path, host, clock) as stage, at_work(stage):
            cast.gate.set()
            await stage.settled(spawned["fleet_id"])
            with anyio.fail_after(WITHIN_SECONDS):
                while (await host.traces()) != Traces(servers=frozenset({server.id}), runs=frozenset()):
                    await anyio.sleep(0.01)
    assert cast.asked["hold 1"] == 1
