"""Whatever may happen to a fleet whose agents write to each other, and what must be so once all is calm again."""

import json
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
from hypothesis import strategies as st

from muster.commands.budgets import pause_agent
from muster.errors import MusterError
from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM, Actor
from muster.model.agent import Agent
from muster.model.ids import AgentId
from muster.model.wakeup import Wakefulness
from muster.store.records import Transaction
from muster.verbs import System, command
from unit.stage import Clock, Stage, agent_actor, at_work, hub, rows

AGENTS = 3
CALM_SECONDS = 30
TYPES = ["handoff", "question", "result", "alert", "request_help"]
FATES = ["answer", "answer", "hold", "fail", "empty", "read", "misread", "acknowledge", "write"]
WHO = st.integers(0, AGENTS - 1)
DEEDS = st.one_of(
    st.tuples(st.just("send"), st.integers(-1, AGENTS - 1), WHO, st.sampled_from(TYPES)),
    st.tuples(st.just("send"), st.integers(-1, AGENTS - 1), WHO, st.sampled_from(TYPES)),
    st.tuples(st.just("broadcast"), st.integers(-1, AGENTS - 1), st.sampled_from(TYPES)),
    st.tuples(st.just("fate"), st.sampled_from(FATES)),
    st.tuples(st.just("fate"), st.sampled_from(FATES)),
    st.tuples(st.sampled_from(["acknowledge", "pause", "cancel", "look"]), WHO),
    st.tuples(st.sampled_from(["restart", "release", "resume", "crash", "silence", "lose_sessions", "lose_answer"])),
    st.tuples(st.just("wait"), st.sampled_from([1, 10, 1000])),
    st.tuples(st.just("breathe"), st.integers(1, 20)),
)


@command(by=System)
def pause(tx: Transaction, actor: Actor, agent: AgentId) -> None:
    """What a ceiling does."""
    pause_agent(tx, tx.get(Agent, agent), "for a rest")


@dataclass
class Weather:
    """One fleet, whose hub may be started anew. `said`: each message by its payload, with who said it."""

    folder: Path
    verbs: ModuleType
    clock: Clock = field(default_factory=Clock)
    fates: deque[str] = field(default_factory=deque)
    gate: anyio.Event = field(default_factory=anyio.Event)
    calls: int = 0
    calm: bool = False
    lost: list[Any] = field(default_factory=list)
    fleet: str = ""
    agents: list[str] = field(default_factory=list)
    stage: Stage | None = None

    async def pass_over(self, deeds: Iterable[tuple[Any, ...]]) -> None:
        """Let it all happen, and then be calm, and look."""
        async with ScriptedHost(self.play) as host:
            self.host = host
            for life in _lives(deeds):
                async with self.hub():
                    for deed, *words in life:
                        await self.do(deed, *words)
            async with self.hub():
                await self.calm_down()
                await self.look_at_all()

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[None]:
        guard = Wakefulness(per_pair=6, per_fleet=0)
        async with hub(self.folder, self.host, self.clock, self.verbs) as stage, at_work(stage, wakefulness=guard):
            self.stage = stage
            if not self.fleet:
                spawned = await stage.spawn(*["the task"] * AGENTS, attempts=3, timeout_ms=900_000)
                self.fleet, self.agents = spawned["fleet_id"], spawned["agent_ids"]
            yield
            self.stage = None

    # ── what agents do ───────────────────────────────────────────────────────────────────────────

    async def play(self, wish: TurnWish) -> Reply:
        fate = self.fates.popleft() if self.fates and not self.calm else "answer"
        match fate:
            case "hold":
                await self.gate.wait()
            case "fail":
                return Reply(error="the model has a cold")
            case "empty":
                return Reply()
            case "read" | "misread":
                await self.read(wish, is_heard=fate == "read")
            case "acknowledge":
                await self.try_as(wish, self.acknowledge)
            case "write":
                await self.try_as(wish, self.write)
        await anyio.lowlevel.checkpoint()
        return Reply(output="done")

    def agent_of(self, wish: TurnWish) -> str | None:
        return next((one.wish.agent for one in self.host.sessions if one.id == wish.session), None)

    async def try_as(self, wish: TurnWish, act: Any) -> None:
        if self.stage is not None and (agent := self.agent_of(wish)) is not None:
            try:
                await act(self.agents.index(agent))
            except MusterError:
                return  # its hub is going, or its message is not there any more

    async def read(self, wish: TurnWish, *, is_heard: bool) -> None:
        """As `get_inbox` through the bridge; the answer of a call may get lost on its way."""
        if self.stage is None or (agent := self.agent_of(wish)) is None:
            return
        self.calls += 1
        mark = f"msg_{wish.id}:call_{self.calls}"
        actor = agent_actor(agent, self.fleet).calling(mark)
        try:
            told = await self.stage.call("inbox.read", actor)
        except MusterError:
            return
        fresh = [one["payload"] for one in told["messages"] if self.is_carried_by(one["message_id"], agent, mark)]
        if is_heard:
            self.host.hear(wish, mark, "\n".join(fresh))

    def is_carried_by(self, message: str, agent: str, mark: str) -> bool:
        """What was in the conversation before is only said again, as every look at an inbox does."""
        return any(one["id"] == f"{message}:{agent}" and one["call"] == mark for one in self.rows("deliveries"))

    async def write(self, who: int) -> None:
        await self.send(who, (who + 1) % AGENTS, "question")

    # ── what happens ─────────────────────────────────────────────────────────────────────────────

    async def do(self, deed: str, *words: Any) -> None:
        try:
            await getattr(self, deed)(*words)
        except MusterError as error:
            assert error.code in {"not_found", "conflict", "stale", "bad_value", "fleet_cancelled"}, error.to_json()

    async def call(self, verb: str, actor: Actor = OPERATOR, /, **arguments: Any) -> dict[str, Any]:
        assert self.stage is not None
        return await self.stage.call(verb, actor, **arguments)

    async def send(self, sender: int, to: int, type: str) -> None:
        await self.say(sender, self.agents[to], type)

    async def broadcast(self, sender: int, type: str) -> None:
        await self.say(sender, "*", type)

    async def say(self, sender: int, to: str, type: str) -> None:
        self.calls += 1
        who = OPERATOR if sender < 0 else agent_actor(self.agents[sender], self.fleet)
        wish = {"to_agent_id": to, "type": type, "payload": f"<{self.calls}>"}
        await self.call("message.send", who, **wish, **({"fleet_id": self.fleet} if sender < 0 else {}))

    async def fate(self, fate: str) -> None:
        self.fates.append(fate)

    async def acknowledge(self, who: int) -> None:
        own = [one for one in self.rows("deliveries") if one["agent"] == self.agents[who] and not one["settled_at"]]
        if own:
            actor = agent_actor(self.agents[who], self.fleet)
            await self.call("message.acknowledge", actor, message_id=own[0]["message"])

    async def pause(self, who: int) -> None:
        assert self.stage is not None
        await self.stage.engine.execute(pause, SYSTEM, agent=self.agents[who])

    async def cancel(self, who: int) -> None:
        if who == 0:
            await self.call("agent.cancel", agent_id=self.agents[0])

    async def look(self, who: int) -> None:
        before = self.rows("deliveries")
        await self.call("inbox.read", agent_id=self.agents[who])
        assert len(before) <= len(self.rows("deliveries"))

    async def release(self) -> None:
        self.gate.set()
        self.gate = anyio.Event()

    async def resume(self) -> None:
        await self.call("fleet.resume", fleet_id=self.fleet)

    async def crash(self) -> None:
        for server in self.servers():
            self.host.crash(server)

    async def silence(self) -> None:
        for server in self.servers():
            self.host.silence(server)

    async def lose_answer(self) -> None:
        for server in self.servers():
            self.host.lose_answer(server)

    async def lose_sessions(self) -> None:
        self.lost += self.host.sessions
        self.host.lose_sessions()

    async def wait(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    async def breathe(self, times: int) -> None:
        """Let the others have a few turns of the loop, so that the next thing meets them somewhere on their way."""
        for _ in range(times):
            await anyio.sleep(0.001)

    def servers(self) -> list[Any]:
        return [row["id"] for row in self.rows("servers")]

    def rows(self, table: str) -> list[dict[str, Any]]:
        return rows(self.folder / "muster.db", table)

    # ── what must be so ──────────────────────────────────────────────────────────────────────────

    async def calm_down(self) -> None:
        """Nothing bad happens any more, and time goes by, until nothing moves."""
        self.calm = True
        still = 0
        with anyio.move_on_after(CALM_SECONDS):
            while still < 5:
                await self.release()
                await self.do("resume")
                self.clock.advance(seconds=10)
                await anyio.sleep(0.02)
                still = still + 1 if self.is_at_rest() else 0
            return
        raise AssertionError(f"it does not come to rest: {self.story()}")

    def is_at_rest(self) -> bool:
        """Every run has ended, and every delivery."""
        runs = all(run["state"] == "ended" for run in self.rows("runs"))
        return runs and all(one["state"] not in ("queued", "injected") for one in self.rows("deliveries"))

    def story(self) -> str:
        tables = {table: self.rows(table) for table in ("agents", "runs", "turns", "deliveries")}
        events = [(row["name"], row["agent"], row["body"]) for row in self.rows("events")]
        return json.dumps(tables | {"events": events}, indent=1, default=str)

    async def look_at_all(self) -> None:
        try:
            self.each_message_stands_once_in_a_conversation()
            self.whoever_saw_it_had_it_before()
            self.senders_know_what_was_not_delivered()
            self.words_of_a_pair_keep_their_order()
            self.journal_tells_the_same()
            await self.hub_finds_nothing_wrong()
        except AssertionError as error:
            error.add_note(self.story())
            raise

    def conversations(self) -> list[tuple[str, str]]:
        """Of each session, lost or not: whose it is, and all that its agent was told, in order."""
        told = []
        for session in [*self.lost, *self.host.sessions]:
            parts = []
            for turn in session.turns.values():
                parts += turn.wish.parts
                parts += [heard.text for heard in session.heard.values() if heard.turn == turn.wish.id]
            told.append((session.wish.agent, "\n".join(parts)))
        return told

    def each_message_stands_once_in_a_conversation(self) -> None:
        for agent, text in self.conversations():
            for message in self.rows("messages"):
                times = text.count(_mark(message))
                assert times <= 1, (times, agent, message, text)

    def whoever_saw_it_had_it_before(self) -> None:
        seen = [one for one in self.rows("deliveries") if one["state"] == "seen"]
        payloads = {message["id"]: _mark(message) for message in self.rows("messages")}
        for one in seen:
            own = [text for agent, text in self.conversations() if agent == one["agent"]]
            assert any(payloads[one["message"]] in text for text in own), one

    def senders_know_what_was_not_delivered(self) -> None:
        messages = {message["id"]: message for message in self.rows("messages")}
        living = {agent["id"] for agent in self.rows("agents") if agent["wanted"] == "running"}
        notices = {(one["to"], one["correlation_id"]) for one in messages.values() if one["from_name"] == "muster"}
        receipts = {(one["message"], one["agent"]) for one in self.rows("receipts") if one["action"] == "undeliverable"}
        for one in self.rows("deliveries"):
            undeliverable = one["state"] == "undeliverable"
            assert undeliverable == ((one["message"], one["agent"]) in receipts), one
            if undeliverable and one["sender"] in living:
                assert (one["sender"], one["message"]) in notices, one

    def words_of_a_pair_keep_their_order(self) -> None:
        """What was brought, and came back because it had not arrived, may come later than what followed it."""
        returned = {(row["agent"], json.loads(row["body"])["message"]) for row in self._told("delivery.returned")}
        for agent, text in self.conversations():
            said: dict[str | None, list[int]] = defaultdict(list)
            for message in self.rows("messages"):
                if _mark(message) in text and (agent, message["id"]) not in returned:
                    said[message["sender"]].append(text.index(_mark(message)))
            assert all(places == sorted(places) for places in said.values()), (agent, said, text)

    def journal_tells_the_same(self) -> None:
        told: dict[tuple[str, str], str] = {}
        states = {"returned": "queued", "injected": "injected", "seen": "seen", "undeliverable": "undeliverable"}
        for row in self.rows("events"):
            body = json.loads(row["body"])
            name = row["name"].removeprefix("delivery.")
            if row["name"] == "message.sent":
                told |= {(body["message"], agent): "queued" for agent in body["recipients"]}
            elif row["name"] == "receipt.written" and body["action"] == "ack":
                told[body["message"], row["agent"]] = "acknowledged"
            elif row["name"].startswith("delivery.") and name in states:
                told[body["message"], row["agent"]] = states[name]
        assert told == {(one["message"], one["agent"]): one["state"] for one in self.rows("deliveries")}
        assert max(Counter(row["id"] for row in self.rows("receipts")).values(), default=1) == 1

    async def hub_finds_nothing_wrong(self) -> None:
        verdict = await self.call("ledger.verify")
        assert verdict["ok"], verdict
        status = (await self.call("fleet.brief", fleet_id=self.fleet))["status"]
        assert status != "running"

    def _told(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.rows("events") if row["name"] == name]


def _mark(message: dict[str, Any]) -> str:
    """What a message is known by in a conversation: a notice of ours by the message that it is about."""
    return message["payload"].partition(":")[0] + (":" if message["from_name"] == "muster" else "")


def _lives(deeds: Iterable[tuple[Any, ...]]) -> list[list[tuple[Any, ...]]]:
    lives: list[list[tuple[Any, ...]]] = [[]]
    for deed in deeds:
        if deed[0] == "restart":
            lives.append([])
        else:
            lives[-1].append(deed)
    return lives
