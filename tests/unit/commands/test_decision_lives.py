"""Any order of votes, recasts, cancellations, deadlines, sweeps and restarts: the outcome follows from the votes.

What must come of a decision is worked out by rules of its own, written here a second time on purpose, in whole numbers
and from what was accepted alone.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.commands import agents as agent_commands
from muster.commands import decisions as decision_commands
from muster.errors import Conflict, Denied
from muster.hosts.scripted import ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM
from unit.stage import Clock, Stage, agent_actor, hub

pytestmark = pytest.mark.anyio

AGENTS = 5
MINUTE = timedelta(minutes=1)
LONGEST = 5
PLACES = st.integers(0, AGENTS - 1)
RULES = st.fixed_dictionaries(
    {
        "voters": st.sets(PLACES, min_size=2),
        "weights": st.lists(st.integers(1, 3), min_size=AGENTS, max_size=AGENTS),
        "signers": st.sets(PLACES, max_size=2),
        "quorum": st.integers(1, 8),
        "minutes": st.none() | st.integers(1, LONGEST),
        "consent": st.booleans(),
    }
)
DEEDS = st.one_of(
    st.tuples(st.just("vote"), PLACES, st.booleans(), st.booleans()),
    st.tuples(st.just("vote"), PLACES, st.booleans(), st.booleans()),
    st.tuples(st.just("vote"), PLACES, st.booleans(), st.booleans()),
    st.tuples(st.just("cancel"), PLACES),
    st.tuples(st.just("wait"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["sweep", "resolve", "restart"])),
)


@dataclass
class Poll:
    """A proposal as the test understands it. `outcome`: what it came to, once it has come to anything."""

    id: str
    weights: dict[int, int]
    signers: set[int]
    quorum: int
    deadline: datetime | None
    consent: bool
    votes: dict[int, list[bool]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    outcome: str = "open"

    def says(self, place: int) -> bool | None:
        return self.votes[place][-1] if place in self.votes else None

    def count(self, now: datetime) -> None:
        if self.outcome != "open":
            return
        ayes = {place for place in self.weights if self.says(place) is True}
        maybe = {place for place in self.weights if self.says(place) is None} - self.gone
        over = self.deadline is not None and now >= self.deadline
        if sum(self.weights[place] for place in ayes | maybe) < self.quorum or self.signers - ayes - maybe:
            self.outcome = "rejected"
        elif sum(self.weights[place] for place in ayes) >= self.quorum and self.signers <= ayes:
            self.outcome = "ratified"
        elif over:
            self.outcome = "ratified" if self.consent and self.signers <= ayes else "expired"


class Life:
    """Does what it is told to a hub without reconcilers, beside the polls that expect it."""

    def __init__(self, stage: Stage, fleet: dict[str, Any]) -> None:
        self.stage = stage
        self.fleet = fleet
        self.polls: list[Poll] = []
        self.living = set(range(AGENTS))

    @property
    def agents(self) -> list[str]:
        return self.fleet["agent_ids"]

    async def open(self, rules: dict[str, Any]) -> None:
        weights = {place: rules["weights"][place] for place in sorted(rules["voters"])}
        signers = rules["signers"] & rules["voters"]
        quorum = min(rules["quorum"], sum(weights.values()))
        deadline = None if rules["minutes"] is None else self.stage.clock() + rules["minutes"] * MINUTE
        wish = {
            "subject": "ship it?",
            "quorum": quorum,
            "voters": [self.agents[place] for place in weights],
            "weights": {self.agents[place]: weight for place, weight in weights.items()},
            "required_signoffs": [self.agents[place] for place in signers],
            "silence_policy": "approve" if rules["consent"] else "abstain",
        }
        more = {} if deadline is None else {"deadline": deadline.isoformat()}
        opened = await self.stage.call(
            "decision.open", agent_actor(self.agents[0], self.fleet["fleet_id"]), **wish, **more
        )
        self.polls.append(
            Poll(
                id=opened["message_id"],
                weights=weights,
                signers=signers,
                quorum=quorum,
                deadline=deadline,
                consent=rules["consent"],
            )
        )

    async def vote(self, place: int, approve: bool, by_operator: bool) -> None:
        actor = OPERATOR if by_operator else agent_actor(self.agents[place], self.fleet["fleet_id"])
        named = {"agent_id": self.agents[place]} if by_operator else {}
        for poll in self.polls:
            late = poll.deadline is not None and self.stage.clock() >= poll.deadline
            is_heard = poll.outcome == "open" and not late and place in self.living
            try:
                await self.stage.call("decision.cast", actor, message_id=poll.id, approve=approve, **named)
            except (Conflict, Denied) as error:
                expected = Denied if place not in poll.weights else Conflict
                assert isinstance(error, expected), error.to_json()
                assert not is_heard or place not in poll.weights, error.to_json()
                continue
            assert is_heard
            assert place in poll.weights
            if poll.says(place) is not approve:
                poll.votes.setdefault(place, []).append(approve)
            poll.count(self.stage.clock())

    async def cancel(self, place: int) -> None:
        """Again, it changes nothing: what a deadline has decided meanwhile is not noted by it either."""
        if place in self.living:
            self.count()  # what a deadline has decided, a cancellation does not change
        await self.stage.engine.execute(agent_commands.cancel, OPERATOR, self.agents[place])
        if place not in self.living:
            return
        self.living.remove(place)
        for poll in self.polls:
            poll.gone.add(place)
        self.count()

    async def wait(self, minutes: int) -> None:
        self.stage.clock.advance(minutes=minutes)

    async def sweep(self) -> None:
        await self.stage.call("decision.sweep")
        self.count()

    async def resolve(self) -> None:
        """As the reconciler does, which may be late, or too early."""
        for poll in self.polls:
            try:
                await self.stage.engine.execute(decision_commands.resolve, SYSTEM, decision=poll.id)
            except Conflict as error:
                assert error.code == "stale"
        self.count()

    def count(self) -> None:
        for poll in self.polls:
            poll.count(self.stage.clock())

    async def compare(self) -> None:
        """The tally says what the votes say, and is the same however often it is asked for."""
        for poll in self.polls:
            told = (await self.stage.call("decision.tally", message_id=poll.id))["tally"]
            expected = Poll(**vars(poll))
            expected.count(self.stage.clock())
            assert told["status"] == expected.outcome
            assert (told["resolved_at"] is not None) == (poll.outcome != "open")
            for word, said in (("approved", True), ("declined", False), ("silent", None)):
                assert told[word] == [self.agents[place] for place in poll.weights if poll.says(place) is said]
            receipts = (await self.stage.call("receipt.list", message_id=poll.id))["receipts"]
            cast = [row for row in receipts if row["action"].startswith("vote-")]
            for place, votes in poll.votes.items():
                own = [row["action"] == "vote-approve" for row in cast if row["agent_id"] == self.agents[place]]
                assert own == votes
            assert len(cast) == sum(map(len, poll.votes.values()))

    async def agree(self) -> None:
        """The journal tells each outcome once, and the proposer, while it lived, was told of it once."""
        told = [event["body"] for event in await self.stage.events("decision.resolved")]
        outcomes = {poll.id: poll.outcome for poll in self.polls if poll.outcome != "open"}
        assert {body["message"]: body["status"] for body in told} == outcomes
        assert len(told) == len(outcomes)
        mail = (await self.stage.call("inbox.read", agent_id=self.agents[0], limit=1000))["messages"]
        about = [message["correlation_id"] for message in mail if message["type"] == "result"]
        assert len(about) == len(set(about))
        if 0 in self.living:
            assert set(about) == set(outcomes)
        assert (await self.stage.call("ledger.verify"))["findings"] == []


@asynccontextmanager
async def restarts(folder: Path, clock: Clock) -> AsyncIterator[Any]:
    """Opens the hub, and each time it is asked again closes it first."""
    async with ScriptedHost({}) as host, AsyncExitStack() as last:

        async def start() -> Stage:
            await last.aclose()
            return await last.enter_async_context(hub(folder, host, clock))

        yield start


@settings(max_examples=40, deadline=None)
@given(rules=st.lists(RULES, min_size=1, max_size=3), deeds=st.lists(DEEDS, min_size=3, max_size=20))
async def test_outcome_follows_from_the_votes_and_stays_whatever_happens(rules, deeds):
    with tempfile.TemporaryDirectory() as folder:
        async with restarts(Path(folder), Clock()) as start:
            stage = await start()
            life = Life(stage, await stage.spawn(*"abcde"))
            for one in rules:
                await life.open(one)
            for deed, *rest in deeds:
                if deed == "restart":
                    life.stage = await start()
                else:
                    await getattr(life, deed)(*rest)
                await life.compare()
            await life.wait(LONGEST)
            await life.compare()
            await life.sweep()
            await life.agree()
