"""Moments in an order that time does not have. A clock that was set back can do that, so these are warnings."""

from collections.abc import Iterator

from sqlalchemy import func, literal, select

from muster.store.audit.check import Drawn, Wrong, warning
from muster.store.audit.words import kind_of
from muster.store.schema import (
    agents,
    asks,
    clashes,
    cleanups,
    decisions,
    deliveries,
    errands,
    events,
    fleets,
    merges,
    messages,
    notices,
    receipts,
    runs,
    snapshots,
    turns,
    worktrees,
)

MOMENTS = (
    (fleets, "created_at", "cancelled_at"),
    (fleets, "created_at", "ended_at"),
    (agents, "created_at", "leaving_at"),
    (runs, "queued_at", "started_at"),
    (runs, "started_at", "ended_at"),
    (runs, "queued_at", "ended_at"),
    (turns, "created_at", "sent_at"),
    (turns, "created_at", "ended_at"),
    (asks, "asked_at", "answered_at"),
    (notices, "created_at", "ended_at"),
    (decisions, "opened_at", "resolved_at"),
    (merges, "requested_at", "computed_at"),
    (merges, "requested_at", "answered_at"),
    (merges, "computed_at", "answered_at"),
    (merges, "answered_at", "undone_at"),
    (deliveries, "sent_at", "injected_at"),
    (deliveries, "injected_at", "seen_at"),
    (deliveries, "injected_at", "settled_at"),
    (deliveries, "seen_at", "settled_at"),
    (deliveries, "sent_at", "settled_at"),
    (worktrees, "created_at", "removed_at"),
    (snapshots, "taken_at", "dropped_at"),
    (errands, "asked_at", "ended_at"),
    (cleanups, "asked_at", "ended_at"),
    (clashes, "since", "compared_at"),
)
"""Of these pairs the first comes first."""


@warning
def row_out_of_order() -> Iterator[Drawn]:
    """{kind} {id} has {later} as {then}, before {earlier} as {first}; or the machine's clock was set back."""
    for table, first, then in MOMENTS:
        earlier, later = table.c[first].label("earlier"), table.c[then].label("later")
        words = (kind_of(table), literal(first).label("first"), literal(then).label("then"))
        yield select(table.c.id, earlier, later, *words).where(table.c[then] < table.c[first])


@warning
def run_before_its_agent() -> Wrong:
    """Run {id} was queued at {queued_at}, before its agent was there at {created_at}."""
    joined = runs.join(agents, agents.c.id == runs.c.agent)
    early = runs.c.queued_at < agents.c.created_at
    return select(runs.c.id, runs.c.queued_at, agents.c.created_at).select_from(joined).where(early)


@warning
def event_before_the_last() -> Wrong:
    """Entry {cursor} was told at {at}, and the one before it at {before}; or the machine's clock was set back."""
    before = func.lag(events.c.at).over(order_by=events.c.cursor).label("before")
    told = select(events.c.cursor, events.c.at, before).subquery()
    return select(told.c.cursor, told.c.at, told.c.before).where(told.c.at < told.c.before)


@warning
def receipt_before_its_message() -> Wrong:
    """Receipt {id} was written at {at}, before its message was sent at {sent_at}."""
    joined = receipts.join(messages, messages.c.id == receipts.c.message)
    return (
        select(receipts.c.id, receipts.c.at, messages.c.sent_at)
        .select_from(joined)
        .where(receipts.c.at < messages.c.sent_at)
    )
