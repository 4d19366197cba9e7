"""Any sequence of commands leaves rows and journal that agree, and breaks no promise on the way.

The journal is replayed by rules of its own, written here a second time on purpose.
"""

import tempfile
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.commands import agents as agent_commands
from muster.commands import runs as run_commands
from muster.commands import servers as server_commands
from muster.commands import turns as turn_commands
from muster.errors import MusterError
from muster.hosts.scripted import ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.budget import Budget, Budgets
from muster.model.ceiling import Ceilings, Sharding
from muster.model.deadline import Watch
from muster.model.facts import Terms
from muster.model.retry import Again
from muster.model.server import StopReason
from muster.model.spent import Spent
from unit.stage import Clock, Stage, hub, rows

pytestmark = pytest.mark.anyio

TOTAL = 3
ROUNDING = timedelta(milliseconds=1)  # pauses are told in whole milliseconds
REPORTS = ["finish", "cut", *Again]
SPENT = Spent(tokens=5, cost_usd=0.1, steps=1)
FEW = Budgets(fleet=Budget(max_tokens=40, max_seconds=600), agent=Budget(max_turns=4))
DEEDS = st.one_of(
    st.tuples(st.just("spawn"), st.integers(1, 3)),
    st.tuples(
        st.sampled_from(
            ["attach", "cancel_agent", "cancel_fleet", "start", "send", "ready", "retire", "resume", "drain"]
        ),
        st.integers(0, 9),
    ),
    st.tuples(st.just("admit"), st.just(0)),
    st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(REPORTS)),
    st.tuples(st.just("stop"), st.integers(0, 9), st.sampled_from(StopReason)),
    st.tuples(st.just("wait"), st.integers(1, 300)),
    st.tuples(st.sampled_from(["lapse", "sleep"]), st.integers(0, 9)),
    st.tuples(st.just("move"), st.integers(0, 9), st.integers(0, 6)),
    st.tuples(st.just("limit"), st.integers(0, 9)),
)


class Life:
    """Does what it is told to a hub without reconcilers, as far as the hub lets it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def do(self, deed: str, which: int, *rest: Any) -> None:
        try:
            await getattr(self, deed)(which, *rest)
        except MusterError as error:
            assert error.code in {"not_found", "conflict", "stale", "fleet_cancelled", "bad_value"}, error.to_json()

    def pick(self, table: str, which: int) -> dict[str, Any]:
        there = rows(self.stage.path, table)
        return there[which % len(there)] if there else {"id": "none", "generation": 1}

    async def spawn(self, agents: int) -> None:
        await self.stage.spawn(*["p"] * agents)

    async def attach(self, which: int) -> None:
        await self.stage.call("agent.attach", fleet_id=self.pick("fleets", which)["id"], role="late", prompt="p")

    async def cancel_agent(self, which: int) -> None:
        await self.stage.engine.execute(agent_commands.cancel, OPERATOR, self.pick("agents", which)["id"])

    async def cancel_fleet(self, which: int) -> None:
        cancel = self.stage.engine.catalog["fleet.cancel"]
        await self.stage.engine.execute(cancel, OPERATOR, self.pick("fleets", which)["id"])

    async def admit(self, _: int) -> None:
        await self.report(
            run_commands.admit, ceilings=Ceilings(total=TOTAL), sharding=Sharding(agents=2), host="scripted"
        )

    async def start(self, which: int) -> None:
        await self.report(run_commands.start, run=self.pick("runs", which)["id"], session=f"ses_{which}")

    async def send(self, which: int) -> None:
        turn = self.pick("turns", which)
        run = next((one for one in rows(self.stage.path, "runs") if one["agent"] == turn.get("agent")), {"id": "none"})
        await self.report(turn_commands.send, turn=turn["id"], run=run["id"])

    async def move(self, which: int, steps: int) -> None:
        spent = Spent(tokens=steps * 5, cost_usd=0.1, steps=steps)
        await self.report(agent_commands.move, agent=self.pick("agents", which)["id"], tool="read", spent=spent)

    async def resume(self, which: int) -> None:
        more = {"tokens": 10, "seconds": 60} if which % 2 else {}
        await self.stage.call("fleet.resume", **({"more": more} if more else {}))

    async def end(self, which: int, report: str | Again) -> None:
        run = self.pick("runs", which)["id"]
        match report:
            case Again():
                wish = {"error": "why", "again": report, "jitter": 0.5, "output": "said", "spent": SPENT}
                await self.report(run_commands.fail, run=run, session_lost=which % 2 == 0, **wish)
            case "finish":
                turn = self.open_turn(run)
                await self.report(run_commands.finish, run=run, turn=turn, output="said", spent=SPENT)
            case "cut":
                await self.report(run_commands.cut, run=run, output="said", spent=SPENT)

    def open_turn(self, run: str) -> str:
        agent = next((one["agent"] for one in rows(self.stage.path, "runs") if one["id"] == run), None)
        turns = [one for one in rows(self.stage.path, "turns") if one["agent"] == agent and one["ending"] is None]
        return turns[-1]["id"] if turns else "none"

    async def lapse(self, which: int) -> None:
        await self.report(run_commands.lapse, run=self.pick("runs", which)["id"], watch=Watch(inactivity_ms=60_000))

    async def sleep(self, seconds: int) -> None:
        await self.report(run_commands.sleep, gap=timedelta(seconds=seconds))

    async def limit(self, which: int) -> None:
        await self.stage.call("fleet.set_timeout", fleet_id=self.pick("fleets", which)["id"], timeout_ms=10_000)

    async def ready(self, which: int) -> None:
        server = self.pick("servers", which)
        process = {"pid": 1, "pid_started_at": 1.0, "port": 1, "version": "1"}
        await self.report(server_commands.ready, server=server["id"], generation=server["generation"], **process)

    async def stop(self, which: int, why: StopReason) -> None:
        server = self.pick("servers", which)
        await self.report(server_commands.stop, server=server["id"], generation=server["generation"], why=why)

    async def drain(self, which: int) -> None:
        server = self.pick("servers", which)
        wish = {"server": server["id"], "generation": server["generation"], "memory_mib": 5000}
        await self.report(server_commands.drain, **wish)

    async def retire(self, which: int) -> None:
        server = self.pick("servers", which)
        wish = {"server": server["id"], "generation": server["generation"], "idle_since": self.stage.clock()}
        await self.report(server_commands.retire, **wish)

    async def wait(self, seconds: int) -> None:
        self.stage.clock.advance(seconds=seconds)

    async def report(self, command: Any, **report: Any) -> None:
        await self.stage.engine.execute(command, SYSTEM, **report)


def moment(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["at"])


class Replay:
    """What the journal alone says."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.runs: dict[str, tuple[str, str | None]] = {}
        self.agent_of: dict[str, str] = {}
        self.newest: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.paused: set[str] = set()
        self.closed: set[str] = set()
        self.sends: Counter[str] = Counter()
        self.turns: dict[str, str] = {}
        self.queue: list[str] = []
        self.placed: dict[str, str] = {}
        self.suspects: set[str] = set()
        self.due: dict[str, datetime] = {}
        self.members: dict[str, set[str]] = defaultdict(set)
        self.told: dict[str, str] = {}
        must_be_told: str | None = None
        for event in events:
            if event["name"] == "fleet.quieted":
                assert must_be_told is not None or self.leaves_its_pause(event["fleet"]), event
                assert event["body"]["status"] == self.status(event["fleet"])
                self.told[event["fleet"]] = event["body"]["status"]
            else:
                assert must_be_told is None, event
            must_be_told = None
            handler = getattr(self, event["name"].replace(".", "_"), None)
            if handler is not None:
                must_be_told = handler(event, event["body"])
        assert must_be_told is None
        assert not any(self.leaves_its_pause(fleet) for fleet in self.members)

    def leaves_its_pause(self, fleet: str) -> bool:
        """What was paused is cancelled, and no run is left whose end would tell."""
        return self.told.get(fleet) == "paused" and self.status(fleet) not in ("paused", "running")

    def fleet_cancelled(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        self.closed.add(event["fleet"])

    def agent_attached(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert event["fleet"] not in self.closed
        self.members[event["fleet"]].add(event["agent"])

    def agent_cancelled(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert event["agent"] not in self.cancelled
        self.cancelled.add(event["agent"])

    def agent_paused(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert event["agent"] not in self.paused | self.cancelled
        self.paused.add(event["agent"])

    def agent_resumed(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert event["agent"] not in self.cancelled
        self.paused.remove(event["agent"])

    def run_queued(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert body["run"] not in self.runs
        assert event["agent"] not in self.cancelled
        self.runs[body["run"]] = ("queued", None)
        self.agent_of[body["run"]] = event["agent"]
        self.newest[event["agent"]] = body["run"]
        self.due[body["run"]] = moment(event) + timedelta(milliseconds=body["after_ms"])
        self.queue.append(body["run"])

    def run_admitted(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """First in, first out, but for those whose moment has not come, and those whom their own server holds back."""
        due = [run for run in self.queue if self.due[run] <= moment(event) + ROUNDING]
        passed_over = due[: due.index(body["run"])]
        assert event["agent"] in self.suspects or all(self.agent_of[run] in self.placed for run in passed_over)
        self.placed[event["agent"]] = body["server"]
        self.queue.remove(body["run"])
        self.runs[body["run"]] = ("starting", None)
        assert sum(state in ("starting", "working") for state, _ in self.runs.values()) <= TOTAL

    def run_started(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert self.runs[body["run"]] == ("starting", None)
        self.runs[body["run"]] = ("working", None)

    def run_ended(self, event: dict[str, Any], body: dict[str, Any]) -> str | None:
        state, _ = self.runs[body["run"]]
        assert state != "ended"
        assert (event["agent"] in self.cancelled) == (body["outcome"] == "cancelled")
        if state == "queued":
            self.queue.remove(body["run"])
        if body["outcome"] != "interrupted":
            self.suspects.discard(event["agent"])
        self.runs[body["run"]] = ("ended", body["outcome"])
        return None if self.is_running(event["fleet"]) else event["fleet"]

    def turn_sent(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert body["turn"] not in self.turns
        self.sends[body["turn"]] += 1
        assert body["sends"] == self.sends[body["turn"]]

    def turn_ended(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        assert body["turn"] not in self.turns
        self.turns[body["turn"]] = body["ending"]

    def server_stopped(self, event: dict[str, Any], body: dict[str, Any]) -> None:
        """Whoever was alone on a server that died is a suspect, and goes before all others the next time."""
        live = [self.agent_of[run] for run, (state, _) in self.runs.items() if state in ("starting", "working")]
        there = [agent for agent in live if self.placed[agent] == body["server"]]
        if body["why"] in ("lost", "swollen") and len(there) == 1:
            self.suspects.add(there[0])

    def is_running(self, fleet: str) -> bool:
        return any(self.runs[self.newest[agent]][0] != "ended" for agent in self.members[fleet])

    def end(self, agent: str) -> str | None:
        _, outcome = self.runs[self.newest[agent]]
        if outcome == "interrupted" and agent in self.cancelled:
            return "cancelled"
        return "paused" if outcome == "interrupted" and agent in self.paused else outcome

    def status(self, fleet: str) -> str:
        ends = {self.end(agent) for agent in self.members[fleet]}
        if self.is_running(fleet):
            return "running"
        if fleet in self.closed:
            return "cancelled"
        if "paused" in ends:
            return "paused"
        return "failed" if ends & {"failed", "interrupted", "timed_out"} else "complete"


@settings(max_examples=12, deadline=None)
@given(deeds=st.lists(DEEDS, min_size=5, max_size=40))
async def test_rows_and_journal_agree_after_any_sequence_of_commands(deeds):
    with tempfile.TemporaryDirectory() as folder:
        async with ScriptedHost({}) as host, hub(Path(folder), host, Clock(), terms=Terms(budgets=FEW)) as stage:
            life = Life(stage)
            for deed in deeds:
                await life.do(*deed)
            await require_agreement(stage)


async def require_agreement(stage: Stage) -> None:
    replay = Replay(await stage.events())
    runs, agents, turns = (rows(stage.path, table) for table in ("runs", "agents", "turns"))
    assert {run["id"]: (run["state"], run["outcome"]) for run in runs} == replay.runs
    assert {agent["id"]: agent["run"] for agent in agents} == replay.newest
    assert {agent["id"] for agent in agents if agent["wanted"] == "stopped"} == replay.cancelled
    assert {turn["id"]: turn["ending"] for turn in turns if turn["ending"]} == replay.turns
    assert {turn["id"]: turn["sends"] for turn in turns if turn["sends"]} == replay.sends
    for agent in agents:
        own = [run for run in runs if run["agent"] == agent["id"]]
        assert [run["number"] for run in own] == list(range(1, len(own) + 1))
        assert own[-1]["id"] == agent["run"]
        assert all(run["state"] == "ended" for run in own[:-1])
    assert {agent["id"] for agent in agents if agent["paused"]} == replay.paused
    for run in runs:
        assert (run["server"] is None) == (run["state"] == "queued" or run["generation"] is None)
        assert run["started_at"] is None or run["started_at"] >= run["queued_at"]
        assert (run["ended_at"] is None) == (run["state"] != "ended")
    listed = (await stage.call("fleet.list", limit=500))["fleets"]
    assert {row["fleet_id"]: row["status"] for row in listed} == {
        fleet["id"]: replay.status(fleet["id"]) for fleet in rows(stage.path, "fleets")
    }
