"""Once and only once; woken, not polling; in time, or not at all; and only for whom it is."""

import threading
from dataclasses import replace

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster import engine as engine_module
from muster.commands import runs as run_commands
from muster.hosts.scripted import ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM, Actor, ActorKind
from muster.model.ceiling import Ceilings, Sharding
from muster.model.ids import ServerId
from muster.model.retry import Again
from muster.model.run import Outcome
from muster.model.spent import Spent
from muster.store import journal
from muster.store.records import Transaction
from muster.store.requests import Remembered
from muster.verbs import System
from unit.stage import WITHIN_SECONDS, Stage, agent_actor, contents, finish_run, hub, refused

pytestmark = pytest.mark.anyio

WISH = {"agents": [{"role": "worker", "prompt": "work"}]}


async def spawn(stage: Stage, request_id: str | None, **changes: object) -> dict[str, object]:
    return await stage.call("fleet.spawn", **WISH | {"project": str(stage.project), "request_id": request_id} | changes)


async def fleets(stage: Stage) -> int:
    return len((await stage.call("fleet.list", limit=500))["fleets"])


async def end_run(stage: Stage, agent_id: str, outcome: Outcome = Outcome.DONE, output: str = "done") -> None:
    """What the reconcilers would report."""
    await stage.engine.execute(
        run_commands.admit, SYSTEM, ceilings=Ceilings(), sharding=Sharding(), host=stage.host.name
    )
    seat = await stage.engine.query(stage.engine.catalog["actor.seat"], SYSTEM, agent=agent_id)
    spent = Spent(tokens=0, cost_usd=0.0)
    if outcome is Outcome.DONE:
        await finish_run(stage, agent_id, output, spent)
    elif outcome is Outcome.CANCELLED:
        await stage.engine.execute(run_commands.cut, SYSTEM, run=seat.run, output=output, spent=spent)
    else:
        await stage.engine.execute(run_commands.fail, SYSTEM, run=seat.run, error="why", again=Again.NEVER, jitter=0.0)


# ── request_id ───────────────────────────────────────────────────────────────────────────────────


async def test_repeated_request_gets_the_first_answer_and_changes_nothing(stage):
    first = await spawn(stage, "once")
    before = contents(stage.path)
    assert await spawn(stage, "once") == first
    assert contents(stage.path) == before


async def test_twenty_same_requests_at_once_make_one_fleet(stage):
    answers = []

    async def ask() -> None:
        answers.append(await spawn(stage, "once"))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
    assert answers == [answers[0]] * 20
    assert await fleets(stage) == 1


async def test_same_arguments_in_other_words_are_the_same_request(stage):
    first = await spawn(stage, "once")
    spelled_out = {"agents": [{"prompt": "work", "model": None, "agent": "build", "role": "worker"}], "name": None}
    assert await spawn(stage, "once", **spelled_out) == first


@pytest.mark.parametrize("change", [{"name": "other"}, {"agents": [*WISH["agents"], *WISH["agents"]]}])
async def test_same_request_id_with_other_arguments_is_a_conflict(stage, change):
    await spawn(stage, "once")
    before = contents(stage.path)
    with refused("request_reused"):
        await spawn(stage, "once", **change)
    assert contents(stage.path) == before


async def test_same_request_id_for_another_verb_is_a_conflict(stage):
    spawned = await spawn(stage, "once")
    before = contents(stage.path)
    with refused("request_reused"):
        await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"], request_id="once")
    assert contents(stage.path) == before


async def test_refusal_is_not_remembered(stage):
    with refused("unknown_persona"):
        await spawn(stage, "once", agents=[{"role": "r", "prompt": "p", "agent": "bild"}])
    await spawn(stage, "once")
    assert await fleets(stage) == 1


async def test_changes_without_a_request_id_are_each_their_own(stage):
    await spawn(stage, None)
    await spawn(stage, None)
    assert await fleets(stage) == 2


async def test_request_is_forgotten_after_a_day_and_not_before(stage):
    first = await spawn(stage, "once")
    stage.clock.advance(hours=23, minutes=59)
    assert await spawn(stage, "once") == first
    stage.clock.advance(minutes=2)
    second = await spawn(stage, "once")
    assert second != first
    assert await spawn(stage, "once") == second
    stage.clock.advance(hours=25)
    with refused("fleet_cancelled"):
        await cancelled_then_attached(stage, second["fleet_id"])


async def cancelled_then_attached(stage: Stage, fleet_id: str) -> None:
    """A request_id of yesterday's is free for another verb."""
    await stage.call("fleet.cancel", fleet_id=fleet_id, request_id="once")
    await stage.call("agent.attach", fleet_id=fleet_id, **WISH["agents"][0])


async def test_request_is_remembered_over_a_restart(tmp_path, clock):
    async with ScriptedHost({}) as host:
        async with hub(tmp_path, host, clock) as stage:
            first = await spawn(stage, "once")
        async with hub(tmp_path, host, clock) as stage:
            assert await spawn(stage, "once") == first
            assert await fleets(stage) == 1


async def test_request_of_another_actor_is_its_own(stage):
    def remember(tx: Transaction) -> None:
        tx.remember(Remembered(request_id="once", verb="fleet.spawn", fingerprint="", answer="{}"))

    other = agent_actor("agt_1", "flt_1")
    verb = replace(stage.engine.catalog["fleet.spawn"], by=frozenset({ActorKind.AGENT}), facts=None)
    await stage.engine.execute(replace(verb, function=lambda tx, actor: remember(tx)), other)
    assert (await spawn(stage, "once"))["fleet_id"]
    assert await fleets(stage) == 1


async def test_repeated_cancel_follows_the_effect_as_the_first_did(stage):
    spawned = await spawn(stage, None)
    wish = {"fleet_id": spawned["fleet_id"], "request_id": "once"}
    first = await stage.call("fleet.cancel", **wish)
    assert first == {"fleet_id": spawned["fleet_id"], "status": "cancelled", "settled": True}
    assert await stage.call("fleet.cancel", **wish) == first


# ── settle ───────────────────────────────────────────────────────────────────────────────────────


async def test_wait_is_answered_when_the_last_agent_is_through_without_polling(stage):
    spawned = await stage.spawn("a", "b")
    answers = []

    async def wait() -> None:
        answers.append(await stage.call("fleet.wait", fleet_id=spawned["fleet_id"], timeout_seconds=WITHIN_SECONDS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        for agent_id in spawned["agent_ids"]:
            assert answers == []
            await end_run(stage, agent_id)
    (answer,) = answers
    assert (answer["settled"], answer["complete"], answer["status"]) == (True, True, "complete")
    assert [result["output"] for result in answer["results"]] == ["done", "done"]


async def test_wait_whose_time_is_up_says_so_with_the_results_so_far(stage):
    spawned = await stage.spawn("a", "b")
    await end_run(stage, spawned["agent_ids"][0])
    for seconds in (0, 0.02):
        answer = await stage.call("fleet.wait", fleet_id=spawned["fleet_id"], timeout_seconds=seconds)
        assert (answer["settled"], answer["complete"], answer["status"]) == (False, False, "running")
        assert [result["output"] for result in answer["results"]] == ["done", None]


async def test_wait_for_any_is_answered_at_one_more_agent_not_at_those_that_were_through(stage):
    spawned = await stage.spawn("a", "b", "c")
    await end_run(stage, spawned["agent_ids"][0])
    wish = {"fleet_id": spawned["fleet_id"], "until": "any"}
    assert (await stage.call("fleet.wait", **wish, timeout_seconds=0))["settled"] is False
    answers = []

    async def wait() -> None:
        answers.append(await stage.call("fleet.wait", **wish, timeout_seconds=WITHIN_SECONDS))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await end_run(stage, spawned["agent_ids"][2], Outcome.FAILED, "")
    assert [result["status"] for result in answers[0]["results"]] == ["done", "starting", "failed"]
    assert (answers[0]["settled"], answers[0]["complete"]) == (True, False)


async def test_wait_on_a_quiet_fleet_is_answered_at_once_whatever_is_waited_for(stage):
    spawned = await stage.spawn("a")
    await end_run(stage, spawned["agent_ids"][0])
    for until in ("all", "any"):
        answer = await stage.call("fleet.wait", fleet_id=spawned["fleet_id"], until=until, timeout_seconds=3600)
        assert answer["settled"] is True


async def test_many_waiters_are_all_woken(stage):
    spawned = await stage.spawn("a")
    answers = []

    async def wait() -> None:
        answers.append(await stage.settled(spawned["fleet_id"]))

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        await end_run(stage, spawned["agent_ids"][0])
    assert len(answers) == 50


async def test_cancel_of_what_only_waits_settles_in_its_own_answer(stage):
    spawned = await stage.spawn("a", "b")
    one = await stage.call("agent.cancel", agent_id=spawned["agent_ids"][0], reason="enough")
    assert one == {"agent_id": spawned["agent_ids"][0], "status": "cancelled", "settled": True}
    assert (await stage.call("fleet.status", fleet_id=spawned["fleet_id"]))["fleet"]["status"] == "running"
    whole = await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"], reason="enough")
    assert whole == {"fleet_id": spawned["fleet_id"], "status": "cancelled", "settled": True}


async def test_cancel_of_what_works_answers_after_the_work_has_ended(stage):
    spawned = await stage.spawn("a")
    await stage.engine.execute(run_commands.admit, SYSTEM, ceilings=Ceilings(), sharding=Sharding(), host="scripted")
    answers = []

    async def cancel() -> None:
        answers.append(await stage.call("agent.cancel", agent_id=spawned["agent_ids"][0]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cancel)
        await stage.until("agent.cancelled")
        await anyio.wait_all_tasks_blocked()
        assert answers == []
        await end_run(stage, spawned["agent_ids"][0], Outcome.CANCELLED, "half")
    assert answers[0]["settled"] is True


# ── facts ────────────────────────────────────────────────────────────────────────────────────────


class SlowHost(ScriptedHost):
    """Its personas stand on a network drive that has gone away."""

    def __init__(self) -> None:
        super().__init__({})
        self.gate = threading.Event()

    def personas(self, directory):
        assert self.gate.wait(WITHIN_SECONDS)
        return super().personas(directory)


async def test_facts_that_are_not_read_in_time_are_unavailable_never_guessed(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(engine_module, "READ_SECONDS", 0.02)
    async with SlowHost() as host, hub(tmp_path, host, clock) as stage:
        before = contents(stage.path)
        with refused("unavailable"):
            await stage.spawn("a")
        with refused("unavailable"):
            await stage.call("persona.list", project=str(stage.project))
        assert contents(stage.path) == before
        host.gate.set()
        monkeypatch.setattr(engine_module, "READ_SECONDS", 5)
        assert (await stage.spawn("a"))["fleet_id"]


# ── who may ─────────────────────────────────────────────────────────────────────────────────────


def callers() -> dict[str, Actor]:
    server = Actor(kind=ActorKind.SERVER, server=ServerId("srv_1"))
    return {"operator": OPERATOR, "agent": agent_actor("agt_1", "flt_1"), "server": server}


async def test_every_verb_is_denied_to_every_kind_of_caller_that_it_is_not_for(stage):
    before = contents(stage.path)
    for verb in stage.engine.catalog.values():
        for name, actor in callers().items():
            if actor.kind not in verb.by:
                with refused("denied"):
                    await stage.engine.call(verb.name, actor, "{not even json")
            assert (verb.by != System) or name not in verb.by
    assert contents(stage.path) == before


async def test_an_agent_may_only_look_at_its_own_fleet(stage):
    own, other = await stage.spawn("a"), await stage.spawn("b")
    actor = agent_actor(own["agent_ids"][0], own["fleet_id"])
    members = {verb.name for verb in stage.engine.catalog.values() if ActorKind.AGENT in verb.by}
    assert members == {
        "actor.whoami",
        "agent.brief",
        "capability.register",
        "decision.cast",
        "decision.open",
        "decision.tally",
        "fleet.brief",
        "fleet.status",
        "hub.ping",
        "inbox.follow",
        "inbox.read",
        "inbox.subscribe",
        "inbox.waits",
        "message.acknowledge",
        "message.send",
        "message.send_all",
        "persona.list",
        "receipt.list",
        "receipt.write",
        "result.collect",
        "route.record",
        "route.work",
    }
    for verb in ("fleet.status", "fleet.brief", "result.collect"):
        await stage.call(verb, actor, fleet_id=own["fleet_id"])
        with refused("denied"):
            await stage.call(verb, actor, fleet_id=other["fleet_id"])
    with refused("denied"):
        await stage.call("agent.brief", actor, agent_id=other["agent_ids"][0])
    with refused("denied"):
        await stage.call("actor.whoami", actor, agent_id=other["agent_ids"][0])
    with refused("not_found"):
        await stage.call("result.collect", actor, fleet_id=own["fleet_id"], agent_id=other["agent_ids"][0])


async def test_journal_names_who_asked(stage):
    await stage.spawn("a")
    assert {event["actor"] for event in await stage.events()} == {"operator"}


# ── the journal ──────────────────────────────────────────────────────────────────────────────────


async def test_watch_tells_every_fact_once_in_order_across_its_batches(stage, monkeypatch):
    monkeypatch.setattr(journal, "PAGE", 3)
    seen = []

    async def watch() -> None:
        async for entry in stage.engine.watch(0):
            seen.append(entry.cursor)
            if len(seen) == 4 * 7:
                return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        with anyio.fail_after(WITHIN_SECONDS):
            for _ in range(4):
                await stage.spawn("a", "b", "c")
    assert seen == list(range(1, 29))


async def test_watch_of_one_fleet_or_agent_tells_of_no_other(stage):
    first, second = await stage.spawn("a", "b"), await stage.spawn("c")
    for named in ({"fleet": second["fleet_id"]}, {"agent": second["agent_ids"][0]}):
        seen = []
        with anyio.move_on_after(0.05):
            async for entry in stage.engine.watch(0, **named):
                seen.append((entry.fleet, entry.agent))
        assert {fleet for fleet, _ in seen} == {second["fleet_id"]}
        assert {agent for _, agent in seen} <= {None, second["agent_ids"][0]}
    assert first["fleet_id"] != second["fleet_id"]


async def test_every_event_says_which_fleet_it_is_of(stage):
    spawned = await stage.spawn("a", "b")
    await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"])
    assert {event["fleet"] for event in await stage.events()} == {spawned["fleet_id"]}


async def test_events_are_paged_by_cursor_and_the_newest_come_without_one(stage):
    await stage.spawn("a", "b")
    page = await stage.call("event.list", cursor=0, limit=2)
    rest = await stage.call("event.list", cursor=page["cursor"], limit=500)
    newest = await stage.call("event.list", limit=2)
    cursors = [event["cursor"] for event in page["events"] + rest["events"]]
    assert cursors == list(range(1, len(cursors) + 1))
    assert newest["events"] == rest["events"][-2:]
    assert await stage.call("event.list", cursor=rest["cursor"]) == {"events": [], "cursor": rest["cursor"]}


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 7), count=st.integers(0, 9))
async def test_pages_of_fleets_tell_each_of_them_once_newest_first(stage, limit, count):
    for _ in range(count):
        await stage.spawn("a")
    whole = [row["fleet_id"] for row in (await stage.call("fleet.list", limit=500))["fleets"]]
    for status, expected in (("running", whole), ("complete", [])):
        told, cursor = [], None
        while True:
            page = await stage.call("fleet.list", limit=limit, cursor=cursor, status=status)
            told += [row["fleet_id"] for row in page["fleets"]]
            assert len(page["fleets"]) <= limit
            if (cursor := page["cursor"]) is None:
                break
        assert told == expected
