"""Decisions and their votes: who could vote on what, and whether the outcome is the one that the votes make."""

from collections.abc import Iterator

from sqlalchemy import Column, TableValuedAlias, Text, cast, func, literal, or_, select, true

from muster.model.agent import Agent, Wanted
from muster.model.decision import Decision, DecisionStatus, Vote
from muster.model.message import OPERATOR_NAME, MessageType
from muster.store import dialects
from muster.store.audit.check import Drawn, Facts, Wrong, counted, error
from muster.store.audit.words import absent, entries
from muster.store.records import Reading
from muster.store.schema import agents, decisions, leads, messages, votes


def _each(column: Column[tuple[str, ...]]) -> TableValuedAlias:
    """Each of the agents that a row lists, as a row."""
    return func.json_each(column).table_valued("value", name="one")


# ── decisions ────────────────────────────────────────────────────────────────────────────────────


@error
def decision_without_message() -> Wrong:
    """Decision {id} is about a message of which there is no row."""
    return select(decisions.c.id).where(absent(decisions.c.id, messages))


@error
def decision_without_lead() -> Wrong:
    """Decision {id} was proposed in session {session}, of which there is no row."""
    return select(decisions.c.id, decisions.c.session).where(absent(decisions.c.session, leads))


@error
def decision_unlike_its_message() -> Wrong:
    """Decision {id} and its message differ in fleet, proposer or moment, or the message is no question but a {type}."""
    apart = or_(
        decisions.c.fleet != messages.c.fleet,
        decisions.c.proposer.is_distinct_from(messages.c.sender),
        decisions.c.opened_at != messages.c.sent_at,
        messages.c.type != MessageType.QUESTION.value,
    )
    joined = decisions.join(messages, messages.c.id == decisions.c.id)
    return select(decisions.c.id, messages.c.type).select_from(joined).where(apart)


@error
def decision_half_resolved() -> Wrong:
    """Decision {id} is {status}, resolved at {resolved_at}: these do not go together."""
    is_open = (decisions.c.status == DecisionStatus.OPEN.value).self_group()
    halves = is_open != decisions.c.resolved_at.is_(None)
    return select(decisions.c.id, decisions.c.status, decisions.c.resolved_at).where(halves)


@error
def decision_voter_unknown() -> Wrong:
    """Decision {id} has {voter} among its voters, and there is no such agent in its fleet {fleet}."""
    one = _each(decisions.c.voters)
    there = select(agents.c.id).where(agents.c.id == one.c.value, agents.c.fleet == decisions.c.fleet)
    columns = (decisions.c.id, one.c.value.label("voter"), decisions.c.fleet)
    return select(*columns).join(one, true()).where(~there.exists())


@error
def decision_voter_twice() -> Wrong:
    """Decision {id} has {voter} {number} times among its voters."""
    one = _each(decisions.c.voters)
    columns = (decisions.c.id, one.c.value.label("voter"), func.count().label("number"))
    grouped = select(*columns).join(one, true()).group_by(decisions.c.id, one.c.value)
    return grouped.having(func.count() > 1)


@error
def decision_hangs_on_no_voter() -> Iterator[Drawn]:
    """Decision {id} has {agent} under {column}, who is none of its voters."""
    for column in (decisions.c.required_signoffs, decisions.c.absent):
        one = _each(column)
        quoted = literal('"').concat(one.c.value).concat('"')
        columns = (decisions.c.id, one.c.value.label("agent"), literal(str(column.name)).label("column"))
        wrong = func.instr(cast(decisions.c.voters, Text), quoted) == 0
        yield select(*columns).join(one, true()).where(wrong)


@error
def decision_absent_alive() -> Wrong:
    """Decision {id} counted {agent} as cancelled, and that agent lives."""
    one = _each(decisions.c.absent)
    lives = select(agents.c.id).where(agents.c.id == one.c.value, agents.c.wanted == Wanted.RUNNING.value)
    columns = (decisions.c.id, one.c.value.label("agent"))
    return select(*columns).join(one, true()).where(lives.exists())


@error
def decision_weighed_wrong() -> Wrong:
    """Decision {id} has the quorum {quorum}, and its voters the weights {weights}: nobody can decide so."""
    weights = func.json_each(decisions.c.weights).table_valued("value", name="weight")
    total = select(func.coalesce(func.sum(weights.c.value), 0)).select_from(weights).scalar_subquery()
    least = select(func.min(weights.c.value)).select_from(weights).scalar_subquery()
    uneven = func.json_array_length(decisions.c.weights) != func.json_array_length(decisions.c.voters)
    wrong = or_(uneven, decisions.c.quorum < 1, decisions.c.quorum > total, least < 1)
    columns = (decisions.c.id, decisions.c.quorum, cast(decisions.c.weights, Text).label("weights"))
    return select(*columns).where(wrong)


@error
def decision_opened_otherwise() -> Wrong:
    """Decision {id} is put to {voters}, and entry {cursor} says to {told}."""
    said = entries("decision.opened", by="message", fields=("voters",))
    columns = (decisions.c.id, cast(decisions.c.voters, Text).label("voters"), said.c.cursor)
    apart = func.json(decisions.c.voters).is_distinct_from(said.c.voters)
    joined = decisions.join(said, said.c.id == decisions.c.id)
    return select(*columns, said.c.voters.label("told")).select_from(joined).where(apart)


@error
def decision_resolved_otherwise() -> Wrong:
    """Decision {id} is {status}, and entry {cursor} says {told}."""
    said = entries("decision.resolved", by="message", fields=("status",))
    columns = (decisions.c.id, decisions.c.status, said.c.cursor, said.c.status.label("told"))
    joined = decisions.join(said, said.c.id == decisions.c.id)
    return select(*columns).select_from(joined).where(decisions.c.status != said.c.status)


@counted
def decision_counted_otherwise(reading: Reading) -> Iterator[Facts]:
    """Decision {id} is {status}; its rules and its votes make it {outcome}."""
    for (id,) in dialects.execute(reading.connection, "SELECT id FROM decisions ORDER BY seq"):
        try:
            decision = reading.get(Decision, id)
            outcome = _counted(reading, decision)
        except (ValueError, TypeError) as problem:  # no status, no list, or lists that do not fit each other
            yield {"id": id, "status": "written so that nobody can count", "outcome": f"nothing ({problem})"}
            continue
        if outcome is not decision.status:
            yield {"id": id, "status": decision.status, "outcome": outcome}


def _counted(reading: Reading, decision: Decision) -> DecisionStatus:
    """What its votes make of it. Of an open one: without its deadline, which only a hub that runs can note."""
    cast_so_far = reading.select(Vote, decision=decision.id)
    if decision.resolved_at is not None:
        return decision.tally(cast_so_far, decision.absent, decision.resolved_at).status
    cancelled = reading.select(Agent, id=list(decision.voters), wanted=Wanted.STOPPED)
    return decision.tally(cast_so_far, [agent.id for agent in cancelled], decision.opened_at).status


# ── votes ────────────────────────────────────────────────────────────────────────────────────────


@error
def vote_without_decision() -> Wrong:
    """Vote {id} is on proposal {decision}, of which there is no row."""
    return select(votes.c.id, votes.c.decision).where(absent(votes.c.decision, decisions))


@error
def vote_of_no_voter() -> Wrong:
    """Vote {id} is of {agent}, who is none of the voters of decision {decision}, or of another fleet than it."""
    quoted = literal('"').concat(votes.c.agent).concat('"')
    wrong = or_(func.instr(cast(decisions.c.voters, Text), quoted) == 0, votes.c.fleet != decisions.c.fleet)
    joined = votes.join(decisions, decisions.c.id == votes.c.decision)
    return select(votes.c.id, votes.c.agent, votes.c.decision).select_from(joined).where(wrong)


@error
def vote_misnamed() -> Wrong:
    """Vote {id} is number {number} of {agent} on {decision}, which has another id."""
    key = votes.c.decision.concat(":").concat(votes.c.agent).concat(":").concat(votes.c.number)
    return select(votes.c.id, votes.c.number, votes.c.agent, votes.c.decision).where(votes.c.id != key)


@error
def vote_misnumbered() -> Wrong:
    """Agent {agent} has {number} votes on {decision}, up to number {highest}; they count from 1, each number once."""
    highest, distinct = func.max(votes.c.number), func.count(votes.c.number.distinct())
    columns = (votes.c.agent, votes.c.decision, func.count().label("number"), highest.label("highest"))
    wrong = or_(distinct != func.count(), highest != func.count(), func.min(votes.c.number) != 1)
    return select(*columns).group_by(votes.c.decision, votes.c.agent).having(wrong)


@error
def vote_repeated() -> Wrong:
    """Vote {id} says what the vote of {agent} before it said: such a one is never written."""
    before = func.lag(votes.c.approve).over(partition_by=(votes.c.decision, votes.c.agent), order_by=votes.c.number)
    drawn = select(votes.c.id, votes.c.agent, votes.c.approve, before.label("before")).subquery()
    return select(drawn.c.id, drawn.c.agent).where(drawn.c.approve == drawn.c.before)


@error
def vote_forged() -> Wrong:
    """Vote {id} is of {agent}, and it was {by} that cast it."""
    own = literal("agent:").concat(votes.c.agent)
    return select(votes.c.id, votes.c.agent, votes.c.by).where(votes.c.by != own, votes.c.by != OPERATOR_NAME)


@error
def vote_after_the_end() -> Wrong:
    """Vote {id} is entry {cursor}, and entry {resolved} had resolved its decision."""
    said, end = entries("vote.cast", by="vote"), entries("decision.resolved", by="message", name="resolved")
    joined = votes.join(said, said.c.id == votes.c.id).join(end, end.c.id == votes.c.decision)
    columns = (votes.c.id, said.c.cursor, end.c.cursor.label("resolved"))
    return select(*columns).select_from(joined).where(said.c.cursor > end.c.cursor)


@error
def vote_after_the_deadline() -> Wrong:
    """Vote {id} was cast at {at}, and the deadline was {deadline_at}."""
    joined = votes.join(decisions, decisions.c.id == votes.c.decision)
    columns = (votes.c.id, votes.c.at, decisions.c.deadline_at)
    return select(*columns).select_from(joined).where(votes.c.at >= decisions.c.deadline_at)
