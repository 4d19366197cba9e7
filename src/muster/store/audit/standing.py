"""Rows that contradict themselves or each other: states that cannot stand together, and names that stand twice."""

from collections.abc import Iterator

from sqlalchemy import Text, and_, func, literal, or_, select

from muster.model.agent import Wanted
from muster.model.ask import AskState
from muster.model.cleanup import CleanupState
from muster.model.fleet import FleetKind
from muster.model.run import RunState
from muster.store.audit.check import Drawn, Wrong, error
from muster.store.audit.words import kind_of
from muster.store.records import TABLES, WORDS
from muster.store.schema import agents, asks, cleanups, fleets, runs, turns


@error
def agent_named_twice() -> Wrong:
    """In fleet {fleet} {number} living agents are named {name}."""
    columns = (agents.c.fleet, agents.c.name, func.count().label("number"))
    living = select(*columns).where(agents.c.wanted == Wanted.RUNNING.value)
    return living.group_by(agents.c.fleet, agents.c.name).having(func.count() > 1)


@error
def agent_in_another_role() -> Wrong:
    """Agent {id} is in fleet {fleet}, a {kind}: members are in teams, and nobody else is."""
    is_member, in_team = agents.c.member, (fleets.c.kind == FleetKind.TEAM.value).self_group()
    joined = agents.join(fleets, fleets.c.id == agents.c.fleet)
    return select(agents.c.id, agents.c.fleet, fleets.c.kind).select_from(joined).where(is_member != in_team)


@error
def agent_dismissed_and_there() -> Wrong:
    """Agent {id} was to leave with the end of its run {run}, which has ended."""
    joined = agents.join(runs, runs.c.id == agents.c.run)
    there = and_(agents.c.leaving_at.is_not(None), agents.c.wanted == Wanted.RUNNING.value)
    return select(agents.c.id, agents.c.run).select_from(joined).where(there, runs.c.state == RunState.ENDED.value)


@error
def agent_wanted_in_ended() -> Wrong:
    """Agent {id} is wanted {wanted}, and its team {fleet} was cleaned up."""
    joined = agents.join(fleets, fleets.c.id == agents.c.fleet)
    wanted = and_(fleets.c.ended_at.is_not(None), agents.c.wanted == Wanted.RUNNING.value)
    return select(agents.c.id, agents.c.wanted, agents.c.fleet).select_from(joined).where(wanted)


@error
def team_named_twice() -> Wrong:
    """In {project} {number} active teams are named {name}."""
    active = and_(fleets.c.kind == FleetKind.TEAM.value, fleets.c.ended_at.is_(None), fleets.c.cancelled_at.is_(None))
    columns = (fleets.c.project, fleets.c.name, func.count().label("number"))
    return select(*columns).where(active).group_by(fleets.c.project, fleets.c.name).having(func.count() > 1)


@error
def cleanup_half_ended() -> Wrong:
    """Cleanup {id} is {state}, ended at {ended_at}: it is asked, or has ended."""
    is_asked = (cleanups.c.state == CleanupState.ASKED.value).self_group()
    columns = (cleanups.c.id, cleanups.c.state, cleanups.c.ended_at)
    return select(*columns).where(is_asked == cleanups.c.ended_at.is_not(None))


@error
def agent_run_superseded() -> Wrong:
    """Agent {id} has {run} as its newest run, and a later one is {newest}."""
    newest = select(runs.c.agent, func.max(runs.c.number).label("number")).group_by(runs.c.agent).subquery()
    later = runs.alias()
    joined = agents.join(runs, runs.c.id == agents.c.run).join(newest, newest.c.agent == agents.c.id)
    joined = joined.join(later, and_(later.c.agent == agents.c.id, later.c.number == newest.c.number))
    columns = (agents.c.id, agents.c.run, later.c.id.label("newest"))
    return select(*columns).select_from(joined).where(newest.c.number > runs.c.number)


@error
def run_numbered_twice() -> Wrong:
    """Agent {agent} has {number_of} runs with the number {number}."""
    columns = (runs.c.agent, runs.c.number, func.count().label("number_of"))
    return select(*columns).group_by(runs.c.agent, runs.c.number).having(func.count() > 1)


@error
def run_beside_another() -> Wrong:
    """Agent {agent} has {number} runs that have not ended; one is the most."""
    columns = (runs.c.agent, func.count().label("number"))
    return select(*columns).where(runs.c.state != RunState.ENDED.value).group_by(runs.c.agent).having(func.count() > 1)


@error
def run_half_ended() -> Wrong:
    """Run {id} is {state}, with the outcome {outcome} at {ended_at}: it has ended with all three, or with none."""
    is_ended = (runs.c.state == RunState.ENDED.value).self_group()
    halves = or_(is_ended != runs.c.outcome.is_not(None), is_ended != runs.c.ended_at.is_not(None))
    return select(runs.c.id, runs.c.state, runs.c.outcome, runs.c.ended_at).where(halves)


@error
def run_without_place() -> Wrong:
    """Run {id} is {state}, and it says of no host server that it is there."""
    live = runs.c.state.in_([RunState.STARTING.value, RunState.WORKING.value])
    return select(runs.c.id, runs.c.state).where(live, or_(runs.c.server.is_(None), runs.c.generation.is_(None)))


@error
def turn_half_ended() -> Wrong:
    """Turn {id} has the ending {ending} at {ended_at}: it has both, or none."""
    halves = turns.c.ending.is_not(None) != turns.c.ended_at.is_not(None)
    return select(turns.c.id, turns.c.ending, turns.c.ended_at).where(halves)


@error
def turn_half_sent() -> Wrong:
    """Turn {id} was sent {sends} times, last at {sent_at} in run {sent_in}: all of this is so, or nothing."""
    was_sent = (turns.c.sends > 0).self_group()
    halves = or_(was_sent != turns.c.sent_at.is_not(None), was_sent != turns.c.sent_in.is_not(None))
    return select(turns.c.id, turns.c.sends, turns.c.sent_at, turns.c.sent_in).where(halves)


@error
def turn_open_of_cancelled() -> Wrong:
    """Turn {id} is open, and its agent {agent} was cancelled."""
    stopped = agents.c.wanted == Wanted.STOPPED.value
    joined = turns.join(agents, agents.c.id == turns.c.agent)
    return select(turns.c.id, turns.c.agent).select_from(joined).where(turns.c.ending.is_(None), stopped)


@error
def ask_half_answered() -> Wrong:
    """Ask {id} is {state}, with the answer {answer} at {answered_at}: these do not go together."""
    is_answered = asks.c.answer.is_not(None).self_group()
    decided = asks.c.state.in_([AskState.DECIDED.value, AskState.DELIVERED.value])
    halves = or_(
        is_answered != asks.c.answered_at.is_not(None),
        and_(decided, asks.c.answer.is_(None)),
        and_(asks.c.state == AskState.WAITING.value, is_answered),
    )
    return select(asks.c.id, asks.c.state, asks.c.answer, asks.c.answered_at).where(halves)


@error
def ask_open_in_ended_run() -> Wrong:
    """Ask {id} is {state}, and its run {run} has ended."""
    still = asks.c.state.in_([AskState.WAITING.value, AskState.DECIDED.value])
    joined = asks.join(runs, runs.c.id == asks.c.run)
    ended = runs.c.state == RunState.ENDED.value
    return select(asks.c.id, asks.c.state, asks.c.run).select_from(joined).where(still, ended)


@error
def row_word_unknown() -> Iterator[Drawn]:
    """{kind} {id} has {word} as {column}, which is none of its words."""
    for kind, table in TABLES.items():
        for place, words in WORDS[kind]:
            column, known = table.columns[place], [word.value for word in words]
            told = (kind_of(table), literal(column.name, Text).label("column"), column.label("word"))
            yield select(table.c.id, *told).where(column.is_not(None), column.not_in(known))
