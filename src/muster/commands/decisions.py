"""Proposals are put to the vote, voted on, and resolved."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from muster.commands.electorate import ElectorateWish, Quorum, Signers, Voters, Weights, electorate
from muster.commands.messages import PAYLOAD_BYTES, Payload
from muster.commands.outcomes import settle
from muster.commands.posting import Letter, fleet_spoken_in, post, speaker
from muster.commands.receipts import Note
from muster.commands.texts import not_blank
from muster.errors import BadValue, Conflict, Denied, MissingField, Stale
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted
from muster.model.decision import Decision, DecisionStatus, SilencePolicy, Tally
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, MessageId
from muster.model.message import EVERYBODY, OPERATOR_NAME, Message, MessageType
from muster.store.decisions import all_open, open_in, proposal_for, tally_of, votes_of
from muster.store.records import Transaction
from muster.verbs import Member, Operator, System, command

LATEST = timedelta(days=366)
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")

Subject = Annotated[str, Field(max_length=200), AfterValidator(not_blank)]
Deadline = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    message_id: MessageId
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    status: DecisionStatus
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """`checked` counts the open decisions; `resolved` says what came of those that were decided."""

    checked: int
    resolved: dict[MessageId, DecisionStatus]


@command(by=Member)
def open_(
    tx: Transaction,
    actor: Actor,
    subject: Subject,
    quorum: Quorum,
    fleet_id: FleetId | None = None,
    voters: Voters | None = None,
    weights: Weights | None = None,
    required_signoffs: Signers | None = None,
    deadline: Deadline | None = None,
    silence_policy: SilencePolicy = SilencePolicy.ABSTAIN,
    payload: Payload | None = None,
    proposer: AgentId | None = None,
) -> Opened:
    """Put a proposal to the vote of all others, or of `voters`; its outcome comes to you by itself.

    Each voter weighs 1 unless `weights` says more. Approvals of the weight `quorum` ratify it, with those of all
    `required_signoffs`. At `deadline` (ISO 8601 with its zone) it ends by itself: under `silence_policy` approve the
    silent count towards the quorum, under abstain it expires. Voters read the subject, and `payload` below it.
    """
    proposing = speaker(tx, actor, proposer, "proposes")
    fleet = _fleet(tx, fleet_spoken_in(proposing, fleet_id))
    wish = ElectorateWish(
        voters=voters, weights=weights or {}, required_signoffs=required_signoffs or (), quorum=quorum
    )
    own = proposing.id if proposing else None
    chosen = electorate(tx, fleet, own, wish)
    message = _propose(tx, fleet, proposing, [one for one in chosen.voters if one != own], _said(subject, payload))
    decision = Decision(
        id=message.id,
        fleet=fleet,
        proposer=own,
        session=None if proposing else actor.session,
        subject=subject,
        quorum=quorum,
        voters=chosen.voters,
        weights=chosen.weights,
        required_signoffs=chosen.required_signoffs,
        silence_policy=silence_policy,
        deadline_at=None if deadline is None else _in_future(deadline, tx.now),
        opened_at=tx.now,
    )
    tx.add(decision)
    tx.record(decision.open())
    return Opened(message_id=message.id, tally=tally_of(tx, decision))


@command(by=Member)
def cast(
    tx: Transaction,
    actor: Actor,
    message_id: MessageId,
    note: Note | None = None,
    agent_id: AgentId | None = None,
    *,
    approve: bool,
) -> Counted:
    """Vote on a proposal; while it is open your newest vote counts."""
    decision = proposal_for(tx, actor, message_id)
    voter = actor.acting_as(agent_id, "decision.cast")
    _require_vote_of(tx, decision, voter)
    decision.require_open(tx.now)
    before = votes_of(tx, decision.id, voter)
    if before and before[-1].approve is approve:
        return _counted(tally_of(tx, decision))
    vote, event = decision.vote(voter, len(before) + 1, approve=approve, note=note, by=actor.label, now=tx.now)
    tx.add(vote)
    tx.record(event)
    return _counted(settle(tx, decision))


@command(by=Operator)
def sweep(tx: Transaction, actor: Actor, fleet_id: FleetId | None = None) -> Swept:
    """Resolve every open decision whose deadline has passed, of one fleet or of all. The hub does so by itself, too."""
    decisions = all_open(tx) if fleet_id is None else open_in(tx, tx.get(Fleet, fleet_id).id)
    tallies = {decision.id: settle(tx, decision) for decision in decisions}
    resolved = {id: tally.status for id, tally in tallies.items() if tally.resolved_at is not None}
    return Swept(checked=len(decisions), resolved=resolved)


@command(by=System)
def resolve(tx: Transaction, actor: Actor, decision: MessageId) -> None:
    """Its deadline has passed. Refused before that moment, and where it was resolved meanwhile."""
    row = tx.get(Decision, decision)
    if row.resolved_at is not None or settle(tx, row).status is DecisionStatus.OPEN:
        raise Stale(kind="decision", id=decision, state=row.status)


def _fleet(tx: Transaction, fleet: FleetId | None) -> FleetId:
    if fleet is None:
        raise MissingField(verb="decision.open", field="fleet_id")
    return tx.get(Fleet, fleet).id


def _in_future(deadline: str, now: datetime) -> datetime:
    moment = _moment(deadline)
    if moment is None or not now < moment <= now + LATEST:
        expected = f"a moment with its zone within {LATEST.days} days from now, {now:%Y-%m-%dT%H:%M:%SZ}"
        raise BadValue(field="deadline", expected=expected, got=deadline)
    return moment.astimezone(UTC)


def _moment(told: str) -> datetime | None:
    """ISO 8601 knows more forms, of which some name no single moment."""
    if MOMENT.fullmatch(told) is None:
        return None
    try:
        return datetime.fromisoformat(told)
    except ValueError:  # a thirteenth month
        return None


def _said(subject: str, payload: str | None) -> str:
    text = subject if payload is None else f"{subject}\n\n{payload}"
    size = len(text.encode())
    if size > PAYLOAD_BYTES:
        raise BadValue(field="payload", expected=f"at most {PAYLOAD_BYTES} bytes with the subject", got=f"{size} bytes")
    return text


def _propose(tx: Transaction, fleet: FleetId, proposer: Agent | None, recipients: list[AgentId], text: str) -> Message:
    letter = Letter(
        fleet=fleet,
        sender=proposer.id if proposer else None,
        from_name=proposer.name if proposer else OPERATOR_NAME,
        to=recipients[0] if len(recipients) == 1 else EVERYBODY,
        type=MessageType.QUESTION,
        payload=text,
        recipients=recipients,
        by=tx.actor.label,
        session=tx.actor.session,
    )
    (message,) = post(tx, [letter])
    return message


def _require_vote_of(tx: Transaction, decision: Decision, agent: AgentId) -> None:
    if agent not in decision.voters:
        raise Denied(why=f"{agent} has no vote on proposal {decision.id}.", hint="Only its voters vote.")
    if tx.get(Agent, agent).wanted is Wanted.STOPPED:
        raise Conflict(why=f"Agent {agent} was cancelled; it votes no more.")


def _counted(tally: Tally) -> Counted:
    return Counted(status=tally.status, tally=tally)
