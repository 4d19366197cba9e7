"""A decision: a quorum vote on a proposal, which is a message to its voters.

What comes of it follows from its rules and its votes alone, so that anybody can count again. The first outcome is
final: no vote counts after it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from muster.errors import Conflict, Stale
from muster.model.event import DecisionOpened, DecisionResolved, VoteCast
from muster.model.ids import AgentId, FleetId, MessageId, SessionId, VoteId


class DecisionStatus(StrEnum):
    OPEN = "open"
    RATIFIED = "ratified"
    REJECTED = "rejected"
    EXPIRED = "expired"


class SilencePolicy(StrEnum):  # what it means at the deadline that somebody has said nothing
    ABSTAIN = "abstain"
    APPROVE = "approve"  # it counts towards the quorum, never as a sign-off


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One of a voter's votes, numbered from 1; the newest counts. `by`: the voter itself, or the operator for it."""

    id: VoteId
    decision: MessageId
    fleet: FleetId
    agent: AgentId
    number: int
    approve: bool
    note: str | None
    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Who said what, in the order of the voters. `cancelled` are those of the silent whose votes cannot come any more.

    `reachable`: the votes that can still come may ratify it. `deadline`: the moment at which it ends by itself.
    """

    status: DecisionStatus
    quorum: int
    approved: tuple[AgentId, ...]
    declined: tuple[AgentId, ...]
    silent: tuple[AgentId, ...]
    cancelled: tuple[AgentId, ...]
    approval_weight: int
    decline_weight: int
    silent_weight: int
    total_weight: int
    weights: Mapping[AgentId, int]
    required_signoffs: tuple[AgentId, ...]
    signoffs_met: bool
    reachable: bool
    silence_policy: SilencePolicy
    deadline: datetime | None
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`id` is its proposal's. `proposer` None: the operator, in the conversation `session` where it was in one.

    `weights` stand in the order of `voters`. `absent`: the voters that had been cancelled when it was resolved.
    """

    id: MessageId
    fleet: FleetId
    proposer: AgentId | None
    session: SessionId | None
    subject: str
    quorum: int
    voters: tuple[AgentId, ...]
    weights: tuple[int, ...]
    required_signoffs: tuple[AgentId, ...]
    silence_policy: SilencePolicy
    deadline_at: datetime | None
    opened_at: datetime
    status: DecisionStatus = DecisionStatus.OPEN
    absent: tuple[AgentId, ...] = ()
    resolved_at: datetime | None = None

    def open(self) -> DecisionOpened:
        return DecisionOpened(
            fleet=self.fleet, agent=self.proposer, message=self.id, quorum=self.quorum, voters=self.voters
        )

    def require_open(self, now: datetime) -> None:
        """Raises Conflict, also from the deadline on, before anybody has noted what came of it."""
        if self.resolved_at is not None:
            raise Conflict(why=f"Decision {self.id} is {self.status} since {_told(self.resolved_at)}; that is final.")
        if self._is_over(now):
            raise Conflict(why=f"The deadline of decision {self.id} was {_told(self.deadline_at or now)}.")

    def vote(
        self, agent: AgentId, number: int, *, approve: bool, note: str | None, by: str, now: datetime
    ) -> tuple[Vote, VoteCast]:
        """A voter's first vote, or a later one in place of those before it."""
        vote = Vote(
            id=VoteId(f"{self.id}:{agent}:{number}"),
            decision=self.id,
            fleet=self.fleet,
            agent=agent,
            number=number,
            approve=approve,
            note=note,
            by=by,
            at=now,
        )
        return vote, VoteCast(fleet=self.fleet, agent=agent, message=self.id, number=number, approve=approve)

    def resolve(
        self, status: DecisionStatus, absent: Sequence[AgentId], now: datetime
    ) -> "tuple[Decision, DecisionResolved]":
        """Note what came of it, for good."""
        if self.resolved_at is not None or status is DecisionStatus.OPEN:
            raise Stale(kind="decision", id=self.id, state=self.status)
        resolved = replace(self, status=status, absent=tuple(absent), resolved_at=now)
        return resolved, DecisionResolved(fleet=self.fleet, agent=self.proposer, message=self.id, status=status)

    def tally(self, votes: Sequence[Vote], absent: Collection[AgentId], now: datetime) -> Tally:
        """How it stands at a moment, by all votes cast so far. `absent` are the voters that were cancelled."""
        newest = {vote.agent: vote.approve for vote in sorted(votes, key=lambda vote: vote.number)}
        weights = dict(zip(self.voters, self.weights, strict=True))
        approved = tuple(voter for voter in self.voters if newest.get(voter) is True)
        declined = tuple(voter for voter in self.voters if newest.get(voter) is False)
        silent = tuple(voter for voter in self.voters if voter not in newest)
        cancelled = tuple(voter for voter in silent if voter in absent)
        lost = {*declined, *cancelled}
        approval = sum(weights[voter] for voter in approved)
        possible = sum(weights[voter] for voter in self.voters if voter not in lost)
        is_signed = set(self.required_signoffs) <= set(approved)
        is_reachable = possible >= self.quorum and lost.isdisjoint(self.required_signoffs)
        return Tally(
            status=self._outcome(approval, now, is_signed=is_signed, is_reachable=is_reachable),
            quorum=self.quorum,
            approved=approved,
            declined=declined,
            silent=silent,
            cancelled=cancelled,
            approval_weight=approval,
            decline_weight=sum(weights[voter] for voter in declined),
            silent_weight=sum(weights[voter] for voter in silent),
            total_weight=sum(self.weights),
            weights=weights,
            required_signoffs=self.required_signoffs,
            signoffs_met=is_signed,
            reachable=is_reachable,
            silence_policy=self.silence_policy,
            deadline=self.deadline_at,
            resolved_at=self.resolved_at,
        )

    def _outcome(self, approval: int, now: datetime, *, is_signed: bool, is_reachable: bool) -> DecisionStatus:
        if not is_reachable:
            return DecisionStatus.REJECTED
        if is_signed and approval >= self.quorum:
            return DecisionStatus.RATIFIED
        if not self._is_over(now):
            return DecisionStatus.OPEN
        # What can be reached is, where silence approves: whoever can still vote has not declined.
        consents = is_signed and self.silence_policy is SilencePolicy.APPROVE
        return DecisionStatus.RATIFIED if consents else DecisionStatus.EXPIRED

    def _is_over(self, now: datetime) -> bool:
        return self.deadline_at is not None and now >= self.deadline_at


def _told(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
