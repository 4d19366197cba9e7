"""An ask: what an agent, or a sub-agent of its, stands still for until somebody answers."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from muster.errors import Conflict, Stale
from muster.model.event import AskAnswered, AskAsked, AskDelivered, AskWithdrawn
from muster.model.ids import AgentId, AskId, FleetId, RunId, ServerId, SessionId

SHOWN = 200  # letters of a pattern in events and in lists: it may hold a whole script


class OnAsk(StrEnum):
    """What is done with an ask."""

    REFUSE = "refuse"  # at once
    ALLOW = "allow"  # at once, this time only; a question is refused, for nobody knows its answer
    OPERATOR = "operator"  # it waits for the operator, and is refused when its time is up


class AskKind(StrEnum):
    PERMISSION = "permission"
    QUESTION = "question"


class AskState(StrEnum):
    WAITING = "waiting"  # for the operator
    DECIDED = "decided"  # answered, and the host is to be told
    DELIVERED = "delivered"
    GONE = "gone"  # nobody waits for it any more: its run has ended, or the host took it back


class Answer(StrEnum):
    REFUSED = "refused"
    ALLOWED = "allowed"
    ANSWERED = "answered"  # a question


OPEN = (AskState.WAITING, AskState.DECIDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    label: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`multiple`: more than one of the options may be chosen."""

    question: str
    options: tuple[Option, ...]
    multiple: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAsk:
    """An ask as its host tells it. `session` is the agent's own, also where a sub-agent asks."""

    id: str
    session: SessionId
    kind: AskKind
    what: str
    pattern: str
    questions: tuple[Question, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is answered, and the words for the model: why it was refused, or one text for each question."""

    answer: Answer
    words: tuple[str, ...]
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """`host_id` is the host's own name for it. `what`: the permission's name, or the first question.

    `pattern`: what the permission is wanted for. Without an answer by `deadline_at` it is refused.
    `by`: `operator` or `policy`.
    """

    id: AskId
    agent: AgentId
    fleet: FleetId
    run: RunId
    server: ServerId
    host_id: str
    kind: AskKind
    what: str
    pattern: str
    questions: tuple[Question, ...]
    state: AskState = AskState.WAITING
    answer: Answer | None = None
    words: tuple[str, ...] = ()
    by: str | None = None
    asked_at: datetime
    deadline_at: datetime | None
    answered_at: datetime | None = None

    def ask(self) -> AskAsked:
        return AskAsked(
            fleet=self.fleet,
            agent=self.agent,
            ask=self.id,
            kind=self.kind,
            what=self.what[:SHOWN],
            pattern=self.pattern[:SHOWN],
        )

    def decide(self, verdict: Verdict, now: datetime) -> "tuple[Ask, AskAnswered]":
        """Answer it, once and for all; the host is told afterwards."""
        if self.state is AskState.GONE:
            raise Conflict(why=f"Ask {self.id} is gone: the agent no longer waits for an answer.")
        if self.answer is not None:
            raise Conflict(why=f"Ask {self.id} was {self.answer} by the {self.by} at {self.answered_at}.")
        ask = replace(
            self,
            state=AskState.DECIDED,
            answer=verdict.answer,
            words=verdict.words,
            by=verdict.by,
            answered_at=now,
        )
        return ask, AskAnswered(
            fleet=self.fleet, agent=self.agent, ask=self.id, answer=verdict.answer, words=verdict.words
        )

    def deliver(self) -> "tuple[Ask, AskDelivered]":
        """The host has the answer."""
        if self.state is not AskState.DECIDED:
            raise Stale(kind="ask", id=self.id, state=self.state)
        delivered = replace(self, state=AskState.DELIVERED)
        return delivered, AskDelivered(fleet=self.fleet, agent=self.agent, ask=self.id)

    def withdraw(self) -> "tuple[Ask, AskWithdrawn]":
        """Nobody waits for it any more."""
        if self.state not in OPEN:
            raise Stale(kind="ask", id=self.id, state=self.state)
        gone = replace(self, state=AskState.GONE)
        return gone, AskWithdrawn(fleet=self.fleet, agent=self.agent, ask=self.id)

    def sleep(self, gap: timedelta) -> "Ask":
        """Count a time in which nobody looked after it as if it had not been."""
        return self if self.deadline_at is None else replace(self, deadline_at=self.deadline_at + gap)
