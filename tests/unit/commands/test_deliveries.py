"""Prompts that bring messages, cut in the middle: what was never sent waits again, what may stand is not told twice."""

from dataclasses import dataclass
from typing import Any

import pytest

from muster.commands import deliveries as delivery_commands
from muster.commands import runs as run_commands
from muster.commands import servers as server_commands
from muster.commands import turns as turn_commands
from muster.hosts.scripted import ScriptedHost
from muster.model.actor import SYSTEM
from muster.model.ceiling import Ceilings, Sharding
from muster.model.deadline import Watch
from muster.model.delivery import Arrival
from muster.model.retry import Again
from muster.model.server import StopReason
from muster.model.wakeup import Wakefulness
from unit.reconcilers import weather
from unit.stage import Stage, agent_actor, hub, refused, rows

pytestmark = pytest.mark.anyio
TIMEOUT = 60


@dataclass
class Worker:
    """The first of two agents, and all that its reconcilers report of it, one report at a time."""

    stage: Stage
    fleet: str
    id: str
    peer: str

    def own(self, table: str) -> list[dict[str, Any]]:
        return [row for row in rows(self.stage.path, table) if row["agent"] == self.id]

    @property
    def run(self) -> str:
        return self.own("runs")[-1]["id"]

    def turns(self) -> list[tuple[str, str | None]]:
        return [(turn["kind"], turn["ending"]) for turn in self.own("turns")]

    def states(self) -> list[str]:
        return [delivery["state"] for delivery in self.own("deliveries")]

    async def report(self, command: Any, **report: Any) -> None:
        await self.stage.engine.execute(command, SYSTEM, **report)

    async def start(self, session: str = "ses_1") -> None:
        """Its newest run, up to where all that was open is sent."""
        await self.admit()
        await self.report(run_commands.start, run=self.run, session=session)
        await self.send()

    async def admit(self) -> None:
        await self.report(run_commands.admit, ceilings=Ceilings(total=0), sharding=Sharding(), host="scripted")

    async def send(self) -> None:
        for turn in self.own("turns"):
            if turn["ending"] is None and turn["sent_in"] != self.run:
                await self.report(turn_commands.begin, turn=turn["id"])
                await self.report(turn_commands.send, turn=turn["id"], run=self.run)

    async def hear(self, payload: str = "hello", type: str = "alert") -> str:
        """A message of its peer, with the prompt that brings it where it can be brought."""
        peer = agent_actor(self.peer, self.fleet)
        sent = await self.stage.call("message.send", peer, to_agent_id=self.id, type=type, payload=payload)
        await self.compose()
        return str(sent["message_id"])

    async def compose(self) -> None:
        await self.report(delivery_commands.compose, agent=self.id, wakefulness=Wakefulness())

    async def prove(self, arrival: Arrival | None) -> None:
        """Every prompt and call has got so far; None: its conversation cannot be read."""
        marks = [one["turn"] or one["call"] or one["id"] for one in self.own("deliveries")]
        arrivals = {} if arrival is None else dict.fromkeys(marks, arrival)
        await self.report(delivery_commands.prove, agent=self.id, arrivals=arrivals)

    async def pause(self) -> None:
        await self.report(weather.pause, agent=self.id)

    async def resume(self) -> None:
        await self.stage.call("fleet.resume", fleet_id=self.fleet)

    async def cut(self, *, answered: bool = False) -> None:
        await self.report(run_commands.cut, run=self.run, output="so far", answered=answered)

    async def finish(self) -> None:
        open_turns = [turn["id"] for turn in self.own("turns") if turn["ending"] is None]
        await self.report(run_commands.finish, run=self.run, turn=open_turns[-1], output="done", spent=None)

    async def fail(self, again: Again, **more: Any) -> None:
        await self.report(run_commands.fail, run=self.run, error="why", again=again, jitter=0.0, **more)

    async def time_out(self) -> None:
        self.stage.clock.advance(seconds=TIMEOUT + 1)
        await self.report(run_commands.lapse, run=self.run, watch=Watch(inactivity_ms=0))

    async def told(self, who: str) -> list[str]:
        """What Muster itself has written to somebody."""
        inbox = await self.stage.call("inbox.read", agent_id=who)
        return [one["payload"] for one in inbox["messages"] if one["from_name"] == "muster"]

    async def fleet_status(self) -> str:
        return str((await self.stage.call("fleet.brief", fleet_id=self.fleet))["status"])


@pytest.fixture
async def worker(tmp_path, clock) -> Any:
    async with ScriptedHost({}) as host, hub(tmp_path, host, clock, weather) as stage:
        spawned = await stage.spawn("the task", "another", attempts=3, timeout_ms=TIMEOUT * 1000)
        worker = Worker(stage, spawned["fleet_id"], *spawned["agent_ids"])
        await worker.start()
        yield worker


async def rest(worker: Worker, who: str) -> None:
    """Let the other agent be through with its task."""
    other = Worker(worker.stage, worker.fleet, who, worker.id)
    await other.report(run_commands.start, run=other.run, session="ses_2")
    await other.send()
    await other.finish()


async def test_unsent_prompt_is_withdrawn_at_a_pause_and_its_message_is_brought_after_it(worker):
    await worker.hear()
    await worker.pause()
    assert worker.turns() == [("first", "paused"), ("digest", "withdrawn")]
    assert worker.states() == ["queued"]
    await worker.cut()
    await worker.resume()
    await worker.start()
    await worker.compose()

    assert worker.turns()[2:] == [("continuation", None), ("digest", None)]


async def test_prompt_whose_sending_has_begun_is_neither_withdrawn_nor_written_again(worker):
    await worker.hear()
    await worker.report(turn_commands.begin, turn=worker.own("turns")[-1]["id"])
    await worker.pause()
    await worker.cut()
    await worker.resume()

    assert worker.turns() == [("first", "paused"), ("digest", "paused"), ("continuation", None)]
    await worker.prove(Arrival.STANDS)
    assert worker.states() == ["injected"]
    await worker.start()
    await worker.finish()
    assert worker.states() == ["seen"]


async def test_message_of_a_cut_prompt_that_did_not_arrive_waits_again_once_the_run_is_over(worker):
    await worker.hear()
    await worker.send()
    await worker.pause()
    await worker.prove(Arrival.ABSENT)
    assert worker.own("deliveries")[0]["turn"] is not None  # it may still arrive
    await worker.cut()
    await worker.prove(Arrival.ABSENT)

    assert [(one["state"], one["turn"]) for one in worker.own("deliveries")] == [("queued", None)]


async def test_prompt_cannot_be_begun_after_it_was_withdrawn(worker):
    await worker.hear()
    (_, digest) = worker.own("turns")
    await worker.pause()
    with refused("stale"):
        await worker.report(turn_commands.begin, turn=digest["id"])


async def test_answer_that_came_before_the_pause_took_hold_answers_all_that_was_sent(worker):
    await worker.hear("one")
    await worker.send()
    await worker.hear("two")
    await worker.send()
    await worker.pause()
    await worker.cut(answered=True)

    assert worker.turns() == [("first", "answered"), ("digest", "answered"), ("digest", "answered")]
    assert worker.states() == ["seen", "seen"]
    assert worker.own("runs")[-1]["outcome"] == "done"


async def test_nothing_is_brought_into_a_run_that_is_being_cut(worker):
    await worker.time_out()
    await worker.hear()
    assert worker.turns() == [("first", "timed_out")]
    await worker.cut()
    await worker.compose()

    assert worker.turns() == [("first", "timed_out"), ("digest", None)]


async def test_agent_whose_run_is_being_cut_is_not_paused_and_has_no_run_without_a_turn(worker):
    await worker.time_out()
    await worker.pause()
    await worker.cut()

    assert [(run["state"], run["outcome"]) for run in worker.own("runs")] == [("ended", "timed_out")]
    with refused("conflict"):
        await worker.resume()


async def test_message_in_a_turn_that_timed_out_is_given_up_only_when_the_run_is_over_and_its_sender_hears(worker):
    await rest(worker, worker.peer)
    message = await worker.hear()
    await worker.send()
    await worker.time_out()
    await worker.prove(Arrival.STANDS)
    assert worker.states() == ["injected"]
    await worker.cut()
    assert await worker.fleet_status() == "running"  # its sender is to be told
    await worker.prove(None)

    assert worker.states() == ["undeliverable"]
    assert [message in told for told in await worker.told(worker.peer)] == [True]


async def test_message_that_was_read_before_its_turn_timed_out_counts_as_seen(worker):
    await worker.hear()
    await worker.send()
    await worker.time_out()
    await worker.cut()
    await worker.prove(Arrival.SEEN)

    assert worker.states() == ["seen"]
    assert await worker.told(worker.peer) == []


async def test_what_a_timed_out_run_left_unread_is_settled_before_the_agent_is_woken_again(worker):
    await worker.hear()
    await worker.send()
    await worker.time_out()
    await worker.cut()
    await worker.hear("another")
    assert len(worker.own("runs")) == 1
    await worker.prove(None)
    await worker.compose()

    assert (len(worker.own("runs")), worker.states()) == (2, ["undeliverable", "queued"])


async def test_several_open_turns_are_sent_again_when_their_server_dies_and_one_answer_is_for_all(worker):
    await worker.hear("one")
    await worker.send()
    await worker.hear("two")
    (server,) = rows(worker.stage.path, "servers")
    await worker.report(server_commands.stop, server=server["id"], generation=server["generation"], why=StopReason.LOST)
    assert worker.turns() == [("first", None), ("digest", None), ("digest", None)]
    await worker.start()
    await worker.finish()

    assert {ending for _, ending in worker.turns()} == {"answered"}
    assert worker.states() == ["seen", "seen"]


async def test_several_open_turns_fail_together_and_are_tried_as_often_as_the_oldest(worker):
    for attempt in range(3):
        await worker.hear(f"{attempt}")
        await worker.send()
        await worker.fail(Again.SAME_TURN)
        worker.stage.clock.advance(seconds=10)
        if attempt < 2:
            await worker.start()
    await worker.prove(None)

    assert {ending for _, ending in worker.turns()} == {"failed"}
    assert set(worker.states()) == {"undeliverable"}
    assert len(await worker.told(worker.peer)) == 3


async def test_message_that_stands_where_an_answer_was_empty_is_seen_with_the_answer_that_is_asked_for(worker):
    await worker.hear()
    await worker.send()
    await worker.fail(Again.NEW_TURN)
    await worker.prove(Arrival.STANDS)
    worker.stage.clock.advance(seconds=10)
    await worker.start()
    await worker.finish()

    assert worker.turns() == [("first", "failed"), ("digest", "failed"), ("retry", "answered")]
    assert worker.states() == ["seen"]


async def test_lost_session_is_told_anew_what_it_had_and_what_it_took_itself(worker):
    await worker.hear("taken", "result")
    await worker.stage.call("inbox.read", agent_actor(worker.id, worker.fleet).calling("msg_1:call_1"))
    await worker.fail(Again.SAME_TURN, session_lost=True)
    assert worker.turns() == [("first", None)]
    assert [(one["state"], one["call"]) for one in worker.own("deliveries")] == [("queued", None)]
    worker.stage.clock.advance(seconds=10)
    await worker.start("ses_2")
    await worker.finish()
    await worker.compose()

    assert worker.turns() == [("first", "answered"), ("digest", None)]


async def test_session_that_is_lost_twice_is_told_the_same_once_more(worker):
    await worker.hear()
    await worker.send()
    for session in ("ses_2", "ses_3"):
        await worker.fail(Again.SAME_TURN, session_lost=True)
        worker.stage.clock.advance(seconds=10)
        await worker.start(session)
        await worker.prove(Arrival.SEEN)

    assert worker.turns() == [("first", "failed"), ("digest", "failed"), ("revival", None)]
    assert worker.states() == ["seen"]


async def test_quarantined_agent_gets_nothing_more_and_senders_hear_why(worker):
    await rest(worker, worker.peer)
    await worker.hear("stands")
    await worker.send()
    for _ in range(2):
        server = rows(worker.stage.path, "servers")[-1]
        process = {"pid": 1, "pid_started_at": 1.0, "port": 1, "version": "1"}
        known = {"server": server["id"], "generation": server["generation"]}
        await worker.report(server_commands.ready, **known, **process)
        await worker.report(server_commands.stop, **known, why=StopReason.LOST)
        if worker.own("runs")[-1]["state"] == "queued":
            await worker.start()
    await worker.hear("waits")
    await worker.prove(None)

    assert worker.states() == ["undeliverable", "undeliverable"]
    assert all("given up" in told for told in await worker.told(worker.peer))


async def test_woken_agent_that_admission_pauses_is_brought_its_message_once_it_is_let_go_on(worker):
    await worker.finish()
    await worker.hear()
    await worker.pause()  # as admission does with a run that waits
    assert worker.turns() == [("first", "answered"), ("digest", None)]
    await worker.hear("while it is paused")
    await worker.resume()
    await worker.start()
    await worker.finish()

    assert worker.turns() == [("first", "answered"), ("digest", "answered")]
    assert worker.states() == ["seen", "queued"]
