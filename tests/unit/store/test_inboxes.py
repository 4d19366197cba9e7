"""What still matters of all mail is found without looking at what does not."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from muster.model.actor import SYSTEM
from muster.model.ids import AgentId, SessionId, TurnId
from muster.store import inboxes
from muster.store.database import open_database
from muster.store.records import Reading
from unit.store.faults import Disk

pytestmark = pytest.mark.anyio

ANN, BEN = AgentId("agt_ann"), AgentId("agt_ben")
Ask = Callable[[Reading], object]
INBOX, WAITING, URGENT, HELD, CARRIED, TURN, TAKEN, SESSION = (
    f"ix_deliveries_{name}" for name in ("inbox", "waiting", "urgent", "held", "carried", "turn", "taken", "session")
)
QUESTIONS: list[tuple[Ask, list[str]]] = [
    (lambda tx: inboxes.page(tx, ANN, after=1, limit=5), [INBOX]),
    (lambda tx: inboxes.count_after(tx, ANN, after=1), [INBOX]),
    (lambda tx: inboxes.any_after(tx, ANN, after=1), [INBOX]),
    (lambda tx: inboxes.unacknowledged(tx, ANN), [INBOX]),
    (lambda tx: inboxes.waiting(tx, ANN, limit=5), [WAITING]),
    (lambda tx: inboxes.waiting_from(tx, ANN, BEN, limit=5), [WAITING]),
    (lambda tx: inboxes.waiting_from(tx, ANN, None, limit=5), [WAITING]),
    (lambda tx: inboxes.all_waiting(tx, ANN), [WAITING]),
    (lambda tx: inboxes.count_waiting(tx, ANN), [WAITING]),
    (lambda tx: inboxes.will_wake(tx, [ANN, BEN]), [WAITING]),
    (lambda tx: inboxes.oldest_urgent(tx, ANN), [URGENT]),
    (lambda tx: inboxes.reason_of_hold(tx, [ANN, BEN]), [HELD]),
    (lambda tx: inboxes.held_in(tx, [ANN, BEN]), [HELD]),
    (lambda tx: inboxes.held_fleets(tx), [WAITING]),
    (lambda tx: inboxes.carried_by(tx, [TurnId("trn_a"), TurnId("trn_b")]), [TURN]),
    (lambda tx: inboxes.underway(tx, ANN), [CARRIED, TAKEN]),
    (lambda tx: inboxes.any_underway_from(tx, [SessionId("ses_a"), SessionId("ses_b")]), [SESSION]),
    (lambda tx: inboxes.agents_waiting(tx), [WAITING]),
    (lambda tx: inboxes.agents_underway(tx), [CARRIED, TAKEN]),
]


@pytest.mark.parametrize(("ask", "indexes"), QUESTIONS)
async def test_question_about_mail_is_answered_by_the_index_of_what_it_asks_for(
    tmp_path: Path, clock: Callable[[], object], disk: Disk, ask: Ask, indexes: list[str]
) -> None:
    asked: list[str] = []
    with open_database(tmp_path / "muster.db", clock) as database:
        disk.breaks = lambda _, sql: asked.append(sql) if "FROM deliveries" in sql else None
        await database.write(SYSTEM, ask)
        disk.mend()
    assert [plan(tmp_path / "muster.db", sql) for sql in asked] == indexes


def plan(path: Path, sql: str) -> str:
    """The index by which SQLite goes, or its own words where it goes by none. What stands in the table is the same."""
    with closing(sqlite3.connect(path)) as connection:
        told = connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?")).fetchall()
    first = str(told[0][3])
    return first.partition(" INDEX ")[2].partition(" ")[0] or first
