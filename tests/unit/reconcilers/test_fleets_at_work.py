"""Whole fleets on a scripted host: what is wanted becomes true, whatever dies on the way."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import anyio
import pytest

from muster.commands import servers as server_commands
from muster.errors import HostFailed
from muster.hosts.contract import Hint, ServerProcess, ServerWish, SessionWish
from muster.hosts.scripted import Play, Reply, ScriptedHost
from muster.hosts.scripted.connection import ScriptedConnection
from muster.model.actor import SYSTEM
from muster.model.ceiling import Ceilings, Sharding
from muster.model.ids import ServerId, SessionId
from muster.model.server import ServerState, StopReason
from muster.store import dialects
from unit.stage import WITHIN_SECONDS, Stage, at_work, hub, server_rows

pytestmark = pytest.mark.anyio


def outcomes(results: dict) -> list[tuple[str, str | None, str | None]]:
    return [(result["status"], result["output"], result["error"]) for result in results["results"]]


async def states(stage: Stage) -> list[ServerState]:
    return [server.state for server in await server_rows(stage)]


async def test_agents_work_at_the_same_time_and_answer_in_the_order_of_the_request(stage, cast):
    prompts = [f"hold {number}" for number in range(20)]
    async with at_work(stage):
        spawned = await stage.spawn(*prompts)
        await cast.until(lambda: cast.held == 20)
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
    assert outcomes(results) == [("done", prompt, None) for prompt in prompts]
    assert (results["status"], results["complete"]) == ("complete", True)
    assert set(cast.asked.values()) == {1}
    assert all(result["tokens"] == 10 and result["cost_usd"] == 0.001 for result in results["results"])


async def test_agent_that_fails_hurts_no_other_and_says_why_in_the_providers_words(stage, cast):
    async with at_work(stage):
        spawned = await stage.spawn("one", "fail 429: too many", "three")
        results = await stage.settled(spawned["fleet_id"])
    assert outcomes(results) == [
        ("done", "one", None),
        ("failed", "so far", "429: too many"),
        ("done", "three", None),
    ]
    assert [result["partial"] for result in results["results"]] == [False, True, False]
    assert results["status"] == "failed"


async def test_answer_that_says_nothing_is_a_failure(tmp_path, clock):
    async with ScriptedHost({"work": ""}) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        results = await stage.settled((await stage.spawn("work"))["fleet_id"])
    assert [result["status"] for result in results["results"]] == ["failed"]


async def test_failed_run_is_followed_by_another_after_its_pause_and_not_before(stage, cast):
    async with at_work(stage):
        spawned = await stage.spawn("fail 500: broken", attempts=2)
        again = await stage.until("run.queued", number=2)
        assert 800 <= again.body["after_ms"] <= 1200
        stage.clock.advance(seconds=2)
        results = await stage.settled(spawned["fleet_id"])
    assert outcomes(results) == [("failed", "so far", "500: broken")]
    assert set(cast.asked.values()) == {2}


async def test_answer_that_says_nothing_is_asked_for_in_a_new_turn(tmp_path, clock):
    plays = {"Give your result": "here it is", "work": ""}
    async with ScriptedHost(plays) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        spawned = await stage.spawn("work", attempts=2)
        await stage.until("run.queued", number=2)
        clock.advance(seconds=2)
        results = await stage.settled(spawned["fleet_id"])
        (agent,) = (await stage.call("fleet.status", fleet_id=spawned["fleet_id"], full=True))["agents"]
    assert outcomes(results) == [("done", "here it is", None)]
    assert (agent["prompt"], agent["runs"]) == ("work", 2)


async def test_run_over_its_time_is_cut_and_its_turn_is_never_sent_again(stage, cast):
    async with at_work(stage):
        spawned = await stage.spawn("hold", attempts=3, timeout_ms=5000)
        await cast.until(lambda: cast.held == 1)
        stage.clock.advance(seconds=6)
        await stage.call("fleet.set_timeout", fleet_id=spawned["fleet_id"], timeout_ms=5001)  # wakes the reconciler
        results = await stage.settled(spawned["fleet_id"])
    assert [(result["status"], "5001 ms" in result["error"]) for result in results["results"]] == [("timed_out", True)]
    assert set(cast.asked.values()) == {1}


async def test_answer_with_half_a_character_ends_its_run(tmp_path, clock):
    async with ScriptedHost({"work": "cut \ud83d"}) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        results = await stage.settled((await stage.spawn("work"))["fleet_id"])
    assert outcomes(results) == [("done", "cut \ufffd", None)]


async def test_error_with_half_a_character_ends_its_run(tmp_path, clock):
    broken = Reply(output="\udc00", error="\ud83d")
    async with ScriptedHost({"work": broken}) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        results = await stage.settled((await stage.spawn("work"))["fleet_id"])
    assert outcomes(results) == [("failed", "\ufffd", "\ufffd")]


async def test_agent_cancelled_in_the_queue_never_begins(stage, cast):
    async with at_work(stage, ceilings=Ceilings(total=1)):
        spawned = await stage.spawn("hold 1", "second", "third")
        await cast.until(lambda: cast.held == 1)
        cancelled = await stage.call("agent.cancel", agent_id=spawned["agent_ids"][1], reason="enough")
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
    assert cancelled == {"agent_id": spawned["agent_ids"][1], "status": "cancelled", "settled": True}
    assert [status for status, *_ in outcomes(results)] == ["done", "cancelled", "done"]
    assert cast.asked["second"] == 0


async def test_agent_cancelled_while_its_server_starts_never_begins(stage, cast, monkeypatch):
    starting, leave = anyio.Event(), anyio.Event()
    start = stage.host.start

    async def slow(wish: ServerWish) -> ServerProcess:
        starting.set()
        await leave.wait()
        return await start(wish)

    monkeypatch.setattr(stage.host, "start", slow)
    async with at_work(stage):
        spawned = await stage.spawn("hold 1")
        await starting.wait()
        answer = await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"])
        leave.set()
    assert (answer["status"], answer["settled"]) == ("cancelled", True)
    assert not cast.asked


async def test_agent_cancelled_at_work_is_stopped_and_stays_cancelled(stage, cast):
    async with at_work(stage):
        spawned = await stage.spawn("hold 1", "hold 2")
        await cast.until(lambda: cast.held == 2)
        await stage.call("agent.cancel", agent_id=spawned["agent_ids"][0], reason="enough")
        await cast.until(lambda: cast.held == 1)
        cast.gate.set()
        results = await stage.settled(spawned["fleet_id"])
    assert [status for status, *_ in outcomes(results)] == ["cancelled", "done"]
    assert results["results"][0]["error"] == "enough"
    ended = await stage.events("run.ended", agent_id=spawned["agent_ids"][0])
    assert [event["body"]["outcome"] for event in ended] == ["cancelled"]


async def test_fleet_cancelled_at_work_leaves_nobody_working(stage, cast):
    async with at_work(stage, ceilings=Ceilings(total=3)):
        spawned = await stage.spawn(*["hold"] * 6)
        await cast.until(lambda: cast.held == 3)
        answer = await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"], reason="enough")
        assert (answer["status"], answer["settled"]) == ("cancelled", True)
        await cast.until(lambda: cast.held == 0)
        other = await stage.settled((await stage.spawn("next"))["fleet_id"])
    assert outcomes(other) == [("done", "next", None)]
    results = await stage.call("result.collect", fleet_id=spawned["fleet_id"])
    assert {result["status"] for result in results["results"]} == {"cancelled"}
    assert len(await stage.events("fleet.quieted", fleet_id=spawned["fleet_id"])) == 1


async def test_work_goes_on_after_a_restart_of_the_hub(tmp_path, cast, clock):
    async with ScriptedHost(cast.play) as host:
        async with hub(tmp_path, host, clock) as stage, at_work(stage, ceilings=Ceilings(total=2)):
            spawned = await stage.spawn("hold 1", "hold 2", "third")
            await cast.until(lambda: cast.held == 2)
        cast.gate.set()
        async with hub(tmp_path, host, clock) as stage, at_work(stage, ceilings=Ceilings(total=2)):
            results = await stage.settled(spawned["fleet_id"])
            status = await stage.call("fleet.status", fleet_id=spawned["fleet_id"])
    assert outcomes(results) == [("done", "hold 1", None), ("done", "hold 2", None), ("done", "third", None)]
    assert set(cast.asked.values()) == {1}
    assert [agent["runs"] for agent in status["agents"]] == [1, 1, 1]


async def test_work_goes_on_after_the_hub_and_its_host_died_together(tmp_path, cast, clock):
    async with ScriptedHost(cast.play) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        spawned = await stage.spawn("hold 1")
        await cast.until(lambda: cast.held == 1)
    cast.gate.set()
    clock.advance(minutes=1)
    async with ScriptedHost(cast.play) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        results = await stage.settled(spawned["fleet_id"])
    assert [status for status, *_ in outcomes(results)] == ["failed"]  # its session died with the scripted host


async def test_cancel_is_carried_out_after_a_restart(tmp_path, cast, clock):
    async with ScriptedHost(cast.play) as host:
        async with hub(tmp_path, host, clock) as stage:
            async with at_work(stage):
                spawned = await stage.spawn("hold 1")
                await cast.until(lambda: cast.held == 1)
            with anyio.move_on_after(0.05):
                await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"])
        async with hub(tmp_path, host, clock) as stage, at_work(stage):
            results = await stage.settled(spawned["fleet_id"])
            await cast.until(lambda: cast.held == 0)
    assert results["status"] == "cancelled"


async def test_agent_that_is_attached_wakes_a_quiet_fleet(stage, cast):
    async with at_work(stage):
        spawned = await stage.spawn("one")
        await stage.settled(spawned["fleet_id"])
        await stage.call("agent.attach", fleet_id=spawned["fleet_id"], role="late", prompt="two")
        results = await stage.settled(spawned["fleet_id"])
    assert outcomes(results) == [("done", "one", None), ("done", "two", None)]
    assert len(await stage.events("fleet.quieted")) == 2


@pytest.mark.parametrize(
    "ceilings", [Ceilings(total=2), Ceilings(total=0, fleet=2), Ceilings(total=0, persona=2)], ids=str
)
async def test_ceiling_holds_at_every_moment_and_the_queue_is_served_in_order(stage, cast, ceilings):
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, cast.held)
            await cast.moved.wait()

    async with at_work(stage, ceilings=ceilings), anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        spawned = await stage.spawn(*[f"hold {number}" for number in range(8)])
        await cast.until(lambda: cast.held == 2)
        cast.gate.set()
        await stage.settled(spawned["fleet_id"])
        tasks.cancel_scope.cancel()
    assert most == 2
    admitted = [event["agent"] for event in await stage.events("run.admitted")]
    assert admitted == spawned["agent_ids"]


async def test_fleet_at_its_ceiling_holds_up_no_other_fleet(stage, cast):
    async with at_work(stage, ceilings=Ceilings(total=0, fleet=1)):
        first = await stage.spawn("hold 1", "hold 2", "hold 3")
        await cast.until(lambda: cast.held == 1)
        assert outcomes(await stage.settled((await stage.spawn("other"))["fleet_id"])) == [("done", "other", None)]
        cast.gate.set()
        await stage.settled(first["fleet_id"])


async def test_agents_are_spread_over_servers_as_sharding_says(stage, cast):
    async with at_work(stage, sharding=Sharding(agents=2)):
        spawned = await stage.spawn(*["hold"] * 5)
        await cast.until(lambda: cast.held == 5)
        assert len(await server_rows(stage)) == 3
        cast.gate.set()
        await stage.settled(spawned["fleet_id"])


async def test_server_is_ended_when_nobody_has_worked_for_long_and_woken_again(stage, cast, clock):
    async with at_work(stage, idle=timedelta(minutes=2)):
        await stage.settled((await stage.spawn("one"))["fleet_id"])
        clock.advance(minutes=1)
        assert await states(stage) == [ServerState.READY]
        clock.advance(minutes=2)
        await stage.until("server.stopped", why="idle")
        results = await stage.settled((await stage.spawn("two"))["fleet_id"])
    assert outcomes(results) == [("done", "two", None)]
    assert [server.generation for server in await server_rows(stage)] == [2]


class Unwilling(ScriptedHost):
    """Cannot start a server, or cannot open a session, for as long as it is told so; notes what is wished for."""

    def __init__(self, play: Play) -> None:
        super().__init__(play)
        self.unwilling = ""
        self.wishes: list[SessionWish] = []

    async def start(self, wish: ServerWish) -> ServerProcess:
        if self.unwilling == "start":
            raise HostFailed(host="scripted", why="no room")
        return await super().start(wish)

    def connect(self, wish: ServerWish, process: ServerProcess) -> ScriptedConnection:
        connection = super().connect(wish, process)
        opened = connection.open_session

        async def open_session(wish: SessionWish) -> object:
            self.wishes.append(wish)
            if self.unwilling == "open":
                raise HostFailed(host="scripted", why="no such directory")
            return await opened(wish)

        connection.open_session = open_session
        return connection


@pytest.mark.parametrize("unwilling", ["start", "open"])
async def test_host_that_will_not_is_told_as_the_failure_of_its_agents(tmp_path, clock, cast, unwilling, caplog):
    async with Unwilling(cast.play) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        host.unwilling = unwilling
        results = await stage.settled((await stage.spawn("one"))["fleet_id"])
        assert [result["status"] for result in results["results"]] == ["failed"]
        assert "no" in results["results"][0]["error"]
        host.unwilling = ""
        assert outcomes(await stage.settled((await stage.spawn("two"))["fleet_id"])) == [("done", "two", None)]


async def test_title_of_a_session_shows_what_could_move_a_cursor(tmp_path, clock, cast):
    async with Unwilling(cast.play) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        wish = {"role": "a\x1b]0;evil\x07\n\u202e", "name": "a", "prompt": "one"}
        spawned = await stage.call("fleet.spawn", agents=[wish], project=str(stage.project))
        await stage.settled(spawned["fleet_id"])
    assert [wish.title for wish in host.wishes] == ["a (a\\x1b]0;evil\\x07\\n\\u202e)"]


async def test_server_that_became_ready_too_late_is_ended_again(stage, cast, monkeypatch):
    """Its row has moved on while it started: the report is stale, and what was made is taken back."""
    starting, leave, stopped = anyio.Event(), anyio.Event(), []
    start, stop = stage.host.start, stage.host.stop
    first = True

    async def slow(wish: ServerWish) -> ServerProcess:
        nonlocal first
        process = await start(wish)
        if first:
            first = False
            starting.set()
            await leave.wait()
        return process

    async def noted(server: ServerId) -> None:
        stopped.append(server)
        await stop(server)

    monkeypatch.setattr(stage.host, "start", slow)
    monkeypatch.setattr(stage.host, "stop", noted)
    async with at_work(stage):
        spawned = await stage.spawn("one")
        await starting.wait()
        (server,) = await server_rows(stage)
        stopped.clear()
        await stage.engine.execute(
            server_commands.stop, SYSTEM, server=server.id, generation=1, why=StopReason.HUB_STOPPED
        )
        leave.set()
        results = await stage.settled(spawned["fleet_id"])
    assert outcomes(results) == [("done", "one", None)]
    assert server.id in stopped
    ready = await stage.events("server.ready")
    assert [event["body"]["generation"] for event in ready] == [2]


class Chatty(ScriptedHost):
    """Hints what the test says."""

    def __init__(self, play: Play) -> None:
        super().__init__(play)
        self.say, self._said = anyio.create_memory_object_stream[Hint](0)

    def connect(self, wish: ServerWish, process: ServerProcess) -> ScriptedConnection:
        connection = super().connect(wish, process)
        connection.hints = self._said.__aiter__
        return connection

    async def __aexit__(self, *error: object) -> bool | None:
        self.say.close()
        self._said.close()
        return await super().__aexit__(*error)


async def test_hint_that_cannot_be_written_down_is_lost_and_the_next_one_is_not(
    tmp_path, clock, cast, monkeypatch, caplog
):
    monkeypatch.setattr(dialects, "WRITING", (*dialects.WRITING, "busy_timeout=10"))
    async with Chatty(cast.play) as host, hub(tmp_path, host, clock) as stage, at_work(stage):
        spawned = await stage.spawn("hold 1")
        await stage.until("turn.sent")
        seat = await stage.engine.query(stage.engine.catalog["actor.seat"], SYSTEM, agent=spawned["agent_ids"][0])
        using = Hint(session=seat.session, turning=False, tool="read")
        with anyio.fail_after(WITHIN_SECONDS), closing(sqlite3.connect(stage.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await host.say.send(using)
            await host.say.send(Hint(session=SessionId("ses_foreign"), turning=False))
            other.execute("ROLLBACK")
            await host.say.send(using)
        await stage.until("agent.moved", tool="read")
