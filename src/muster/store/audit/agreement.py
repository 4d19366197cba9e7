"""Whether the rows say what the journal says, which was written with them in the same transactions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import CTE, Table, and_, case, false, func, literal, not_, or_, select
from sqlalchemy.sql import ColumnElement

from muster.model.agent import GOODBYES, Wanted
from muster.model.ask import AskState
from muster.model.turn import Ending
from muster.store.audit.check import Drawn, Wrong, error
from muster.store.audit.words import (
    Expression,
    entries,
    event_names,
    kind_of,
    last_entries,
    named_in,
    tellers_of,
)
from muster.store.schema import (
    agents,
    asks,
    capabilities,
    clashes,
    cleanups,
    decisions,
    errands,
    events,
    fleets,
    leads,
    merges,
    messages,
    notices,
    outcomes,
    receipts,
    routings,
    runs,
    servers,
    snapshots,
    templates,
    turns,
    votes,
    worktrees,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """An event that is told once of a row, and sets one of its moments. `by`: where the entry names the row.

    `same`: the columns that hold what the entry's body holds under the same name.
    """

    table: Table
    event: str
    by: str
    moment: str
    same: tuple[str, ...] = ()

    @property
    def is_alone(self) -> bool:
        """No other event names the row so."""
        return self.by not in ("fleet", "agent") and NAMED.get(self.by) is not self.table


TALES = (
    Tale(table=fleets, event="fleet.spawned", by="fleet", moment="created_at", same=("name",)),
    Tale(table=fleets, event="fleet.cancelled", by="fleet", moment="cancelled_at", same=("reason",)),
    Tale(table=fleets, event="fleet.ended", by="fleet", moment="ended_at"),
    Tale(table=agents, event="agent.attached", by="agent", moment="created_at", same=("name", "role", "persona")),
    Tale(table=runs, event="run.queued", by="run", moment="queued_at", same=("number",)),
    Tale(table=runs, event="run.started", by="run", moment="started_at"),
    Tale(table=runs, event="run.ended", by="run", moment="ended_at", same=("outcome", "error")),
    Tale(table=turns, event="turn.ended", by="turn", moment="ended_at"),
    Tale(table=asks, event="ask.asked", by="ask", moment="asked_at", same=("kind",)),
    Tale(table=asks, event="ask.answered", by="ask", moment="answered_at", same=("answer",)),
    Tale(table=leads, event="lead.entered", by="session", moment="created_at"),
    Tale(table=notices, event="notice.written", by="notice", moment="created_at", same=("kind", "session")),
    Tale(table=notices, event="notice.ended", by="notice", moment="ended_at", same=("ending",)),
    Tale(table=messages, event="message.sent", by="message", moment="sent_at", same=("to", "type")),
    Tale(table=routings, event="message.routed", by="message", moment="routed_at"),
    Tale(table=decisions, event="decision.opened", by="message", moment="opened_at", same=("quorum",)),
    Tale(table=decisions, event="decision.resolved", by="message", moment="resolved_at"),
    Tale(table=votes, event="vote.cast", by="vote", moment="at", same=("number", "approve")),
    Tale(table=merges, event="merge.requested", by="merge", moment="requested_at", same=("project",)),
    Tale(table=merges, event="merge.computed", by="merge", moment="computed_at"),
    Tale(table=receipts, event="receipt.written", by="receipt", moment="at", same=("action", "by")),
    Tale(table=worktrees, event="worktree.asked", by="worktree", moment="created_at", same=("folder",)),
    Tale(table=snapshots, event="worktree.snapshotted", by="snapshot", moment="taken_at", same=("commit", "why")),
    Tale(table=cleanups, event="cleanup.asked", by="cleanup", moment="asked_at", same=("force",)),
    Tale(table=cleanups, event="cleanup.ended", by="cleanup", moment="ended_at", same=("state", "why")),
    Tale(table=errands, event="errand.asked", by="errand", moment="asked_at", same=("kind",)),
    Tale(table=errands, event="errand.ended", by="errand", moment="ended_at", same=("error",)),
    Tale(table=templates, event="template.saved", by="template", moment="created_at", same=("name", "version")),
    Tale(table=templates, event="template.deleted", by="template", moment="deleted_at"),
)


ONCE = {tale.event: tale.by for tale in TALES} | {
    **dict.fromkeys(GOODBYES, "agent"),
    "run.admitted": "run",
    "turn.composed": "turn",
    "ask.delivered": "ask",
    "ask.withdrawn": "ask",
    "merge.landed": "merge",
    "merge.conflicted": "merge",
    "merge.refused": "merge",
    "merge.emptied": "merge",
    "delivery.undeliverable": "delivery",
}
"""What is told once of each row, and where it names the row."""
NAMED = {
    "run": runs,
    "turn": turns,
    "ask": asks,
    "notice": notices,
    "server": servers,
    "message": messages,
    "worktree": worktrees,
    "errand": errands,
    "cleanup": cleanups,
    "merge": merges,
    "clash": clashes,
    "capability": capabilities,
    "outcome_id": outcomes,
    "template": templates,
}
"""The fields of bodies that name a row, and where that row is."""


@error
def row_told_otherwise() -> Iterator[Drawn]:
    """{kind} {id} and the journal's {event} do not agree: {what}."""
    for tale in TALES:
        table = tale.table
        said = entries(tale.event, by=tale.by, fields=tale.same)
        pairs = {tale.moment: said.c.at, **{name: said.c[name] for name in tale.same}}
        apart = {name: table.c[name].is_distinct_from(value) for name, value in pairs.items()}
        words = (kind_of(table), literal(tale.event).label("event"), _what(said, apart))
        joined = table.outerjoin(said, said.c.id == table.c.id)
        yield select(table.c.id, *words).select_from(joined).where(or_(*apart.values()))


def _what(said: CTE, apart: Mapping[str, ColumnElement[bool]]) -> Expression:
    listed: Expression = literal("")
    for name, differs in apart.items():
        listed = listed.concat(case((differs, f", {name}"), else_=""))
    another = literal("entry ").concat(said.c.cursor).concat(" has another ").concat(func.substr(listed, 3))
    return case((said.c.cursor.is_(None), "there is no such entry"), else_=another).label("what")


@error
def agent_ended_otherwise() -> Wrong:
    """Agent {id} is wanted {wanted}, and the journal's entry of its end is {cursor}."""
    said = entries(*GOODBYES, by="agent")
    joined = agents.outerjoin(said, said.c.id == agents.c.id)
    apart = (agents.c.wanted == Wanted.STOPPED.value).self_group() != said.c.cursor.is_not(None)
    return select(agents.c.id, agents.c.wanted, said.c.cursor).select_from(joined).where(apart)


@error
def agent_paused_otherwise() -> Wrong:
    """Agent {id} is paused by reason of {paused}, and what the journal told last of its pauses is {event}."""
    last = last_entries("agent.paused", "agent.resumed", by="agent")
    joined = agents.outerjoin(last, last.c.id == agents.c.id)
    apart = agents.c.paused.is_not(None) != func.coalesce(last.c.event == "agent.paused", false())
    return select(agents.c.id, agents.c.paused, last.c.event).select_from(joined).where(apart)


@error
def agent_spent_otherwise() -> Wrong:
    """Agent {id} has spent {tokens} tokens in {steps} steps, and entry {cursor} says {said} in {of}."""
    last = last_entries("agent.moved", by="agent", fields=("tokens", "steps"))
    joined = agents.outerjoin(last, last.c.id == agents.c.id)
    columns = (agents.c.id, agents.c.tokens, agents.c.steps, last.c.cursor, last.c.tokens.label("said"))
    tokens, steps = func.coalesce(last.c.tokens, 0), func.coalesce(last.c.steps, 0)
    apart = or_(agents.c.tokens != tokens, agents.c.steps != steps)
    return select(*columns, last.c.steps.label("of")).select_from(joined).where(apart)


@error
def run_placed_otherwise() -> Wrong:
    """Run {id} is on host server {server}, and the journal let it in on {said}."""
    said = entries("run.admitted", by="run", fields=("server",))
    columns = (runs.c.id, runs.c.server, said.c.server.label("said"))
    joined = runs.outerjoin(said, said.c.id == runs.c.id)
    return select(*columns).select_from(joined).where(runs.c.server.is_distinct_from(said.c.server))


@error
def turn_sent_otherwise() -> Wrong:
    """Turn {id} was sent {sends} times, last at {sent_at}; entry {cursor} says {said} times, at {at}."""
    last = last_entries("turn.sent", by="turn", fields=("sends",))
    columns = (turns.c.id, turns.c.sends, turns.c.sent_at, last.c.cursor, last.c.sends.label("said"), last.c.at)
    apart = or_(turns.c.sends != func.coalesce(last.c.sends, 0), turns.c.sent_at.is_distinct_from(last.c.at))
    return select(*columns).select_from(turns.outerjoin(last, last.c.id == turns.c.id)).where(apart)


@error
def turn_ended_otherwise() -> Wrong:
    """Turn {id} has the ending {ending}, and entry {cursor} says {said}."""
    said = entries("turn.ended", by="turn", fields=("ending",))
    after_all = and_(turns.c.ending == Ending.ANSWERED.value, said.c.ending == Ending.PAUSED.value)
    columns = (turns.c.id, turns.c.ending, said.c.cursor, said.c.ending.label("said"))
    joined = turns.outerjoin(said, said.c.id == turns.c.id)
    apart = and_(turns.c.ending.is_distinct_from(said.c.ending), not_(func.coalesce(after_all, false())))
    return select(*columns).select_from(joined).where(apart)


@error
def ask_ended_otherwise() -> Wrong:
    """Ask {id} is {state}, and what the journal told last of its end is {event}."""
    last = last_entries("ask.delivered", "ask.withdrawn", by="ask")
    state = case((last.c.event == "ask.delivered", AskState.DELIVERED.value), else_=AskState.GONE.value)
    is_over = asks.c.state.in_([AskState.DELIVERED.value, AskState.GONE.value])
    apart = or_(is_over != last.c.cursor.is_not(None), and_(is_over, asks.c.state != state))
    joined = asks.outerjoin(last, last.c.id == asks.c.id)
    return select(asks.c.id, asks.c.state, last.c.event).select_from(joined).where(apart)


@error
def clash_standing_otherwise() -> Wrong:
    """Clash {id} stands since {since}, and what the journal told last of it is {event}."""
    last = last_entries("clash.found", "clash.ended", by="clash")
    joined = clashes.outerjoin(last, last.c.id == clashes.c.id)
    apart = clashes.c.since.is_not(None) != func.coalesce(last.c.event == "clash.found", false())
    return select(clashes.c.id, clashes.c.since, last.c.event).select_from(joined).where(apart)


@error
def capability_registered_otherwise() -> Wrong:
    """Capability {id} was registered at {registered_at}, and entry {cursor} says {at}."""
    last = last_entries("capability.registered", by="capability", fields=("role",))
    joined = capabilities.outerjoin(last, last.c.id == capabilities.c.id)
    columns = (capabilities.c.id, capabilities.c.registered_at, last.c.cursor, last.c.at)
    apart = or_(
        capabilities.c.registered_at.is_distinct_from(last.c.at), capabilities.c.role.is_distinct_from(last.c.role)
    )
    return select(*columns).select_from(joined).where(apart)


@error
def outcome_recorded_otherwise() -> Wrong:
    """Outcome {id} counts {recorded} outcomes, and entry {cursor} counts {said}."""
    last = last_entries("outcome.recorded", by="outcome_id", fields=("recorded",))
    joined = outcomes.outerjoin(last, last.c.id == outcomes.c.id)
    columns = (outcomes.c.id, outcomes.c.recorded, last.c.cursor, last.c.recorded.label("said"))
    return select(*columns).select_from(joined).where(outcomes.c.recorded.is_distinct_from(last.c.recorded))


@error
def server_generation_otherwise() -> Wrong:
    """Host server {id} is of generation {generation}, and entry {cursor} wanted generation {said}."""
    last = last_entries("server.wanted", by="server", fields=("generation",))
    columns = (servers.c.id, servers.c.generation, last.c.cursor, last.c.generation.label("said"))
    apart = servers.c.generation.is_distinct_from(last.c.generation)
    return select(*columns).select_from(servers.outerjoin(last, last.c.id == servers.c.id)).where(apart)


@error
def event_without_row() -> Iterator[Drawn]:
    """Entry {cursor} tells of {kind} {named}, of which there is no row."""
    for column, table in ((events.c.fleet, fleets), (events.c.agent, agents)):
        first = func.min(events.c.cursor).label("cursor")
        wrong = column.is_not(None) & column.not_in(select(table.c.id))
        yield select(first, column.label("named"), kind_of(table)).where(wrong).group_by(column)
    named = [(tellers_of(field), field, table) for field, table in NAMED.items()]
    for tellers, by, table in (*named, *(([tale.event], tale.by, tale.table) for tale in TALES if tale.is_alone)):
        said = entries(*tellers, by=by)
        wrong = said.c.id.is_not(None) & said.c.id.not_in(select(table.c.id))
        yield select(said.c.cursor, said.c.id.label("named"), kind_of(table)).where(wrong)


@error
def event_told_twice() -> Wrong:
    """Of {concerned} there are {number} entries {name}, and one is the most."""
    named = {by: events.c.name.in_([name for name in ONCE if ONCE[name] == by]) for by in sorted(set(ONCE.values()))}
    concerned = case(*((is_named, named_in(by)) for by, is_named in named.items())).label("concerned")
    columns = (concerned, events.c.name, func.count().label("number"))
    grouped = select(*columns).where(events.c.name.in_(list(ONCE))).group_by(events.c.name, concerned)
    return grouped.having(func.count() > 1)


@error
def event_unknown() -> Wrong:
    """Entry {cursor} is called {name}, as no event is."""
    return select(events.c.cursor, events.c.name).where(events.c.name.not_in(event_names()))


@error
def event_malformed() -> Wrong:
    """The body of entry {cursor} ({name}) is no JSON object."""
    is_object = and_(func.json_valid(events.c.body) == 1, func.json_type(events.c.body) == "object")
    return select(events.c.cursor, events.c.name).where(not_(is_object))
