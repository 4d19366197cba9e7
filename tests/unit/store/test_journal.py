"""Facts stand in one order, whoever waits for one is woken, and a look is a look at one moment."""

import hashlib
import json
import sqlite3
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest

from muster.errors import Unavailable
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.event import AgentCancelled, Entry, FleetSpawned
from muster.store import journal
from muster.store.database import Database, open_database
from muster.store.journal import Watch
from muster.store.records import Reading, Transaction
from unit.stage import refused
from unit.store.faults import Disk, Fault

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(tmp_path, clock):
    with open_database(tmp_path / "muster.db", clock) as database:
        yield database


def note(fleet: str, tx: Transaction) -> None:
    tx.record(FleetSpawned(fleet=fleet, name="a «name» \U0001f600", agents=1))


async def test_facts_stand_in_the_order_of_their_commits_without_gaps(database):
    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(database.write, OPERATOR, partial(note, f"flt_{number}"))
    entries = await database.read(SYSTEM, partial(Reading.events, after=0, limit=500))
    assert [entry.cursor for entry in entries] == list(range(1, 101))
    assert {entry.fleet for entry in entries} == {f"flt_{number}" for number in range(100)}


async def test_fact_is_read_as_it_was_told(database, clock):
    await database.write(OPERATOR, partial(note, "flt_1"))
    clock.advance(microseconds=1)
    await database.write(SYSTEM, lambda tx: tx.record(AgentCancelled(fleet="flt_1", agent="agt_1", reason=None)))
    first, second = await database.read(SYSTEM, partial(Reading.events, after=0, limit=9))
    assert (first.name, first.actor, first.fleet, first.agent) == ("fleet.spawned", "operator", "flt_1", None)
    assert first.body == {"name": "a «name» \U0001f600", "agents": 1}
    assert (second.name, second.actor, second.agent, second.body) == (
        "agent.cancelled",
        "system",
        "agt_1",
        {"reason": None},
    )
    assert (first.at, second.at) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC))


async def test_cursor_is_not_used_again_after_a_restart(tmp_path, clock):
    path = tmp_path / "muster.db"
    with open_database(path, clock) as database:
        await database.write(OPERATOR, partial(note, "flt_1"))
        assert database.watch.head in (0, 1)
    with open_database(path, clock) as database:
        assert database.watch.head == 1
        await database.write(OPERATOR, partial(note, "flt_2"))
        entries = await database.read(SYSTEM, partial(Reading.events, after=1, limit=9))
    assert [entry.cursor for entry in entries] == [2]


async def test_each_entry_stands_on_the_one_before_it_whatever_was_taken_back_between(tmp_path, clock):
    """The hash is the one that docs/ledger.md describes, made here by other means."""

    def refuse(tx: Transaction) -> None:
        note("flt_refused", tx)
        raise ValueError("no")

    path = tmp_path / "muster.db"
    for _ in range(2):
        with open_database(path, clock) as database:
            await database.write(OPERATOR, partial(note, "flt_1"))
            with pytest.raises(ValueError, match="no"):
                await database.write(OPERATOR, refuse)
            await database.write(
                SYSTEM, lambda tx: tx.record(AgentCancelled(fleet="flt_1", agent="agt_1", reason="\ud800"))
            )
    rows = stored_entries(path)
    assert [cursor for cursor, *_ in rows] == [1, 2, 3, 4]
    previous = ""
    for _, *content, hash in rows:
        text = json.dumps([previous, *content], ensure_ascii=False, separators=(",", ":"))
        previous = hashlib.sha256(text.encode()).hexdigest()
        assert hash == previous


async def test_newest_facts_come_oldest_first(database):
    for number in range(5):
        await database.write(OPERATOR, partial(note, f"flt_{number}"))
    entries = await database.read(SYSTEM, partial(Reading.last_events, limit=2))
    assert [entry.cursor for entry in entries] == [4, 5]


async def test_who_follows_is_told_what_stands_in_the_journal(database, clock):
    for number in range(3):
        clock.advance(microseconds=1)
        await database.write(OPERATOR, partial(note, f"flt_{number}"))
    await database.write(SYSTEM, lambda tx: tx.record(AgentCancelled(fleet="flt_1", agent="agt_1", reason="\ud800")))
    stands = await database.read(SYSTEM, partial(Reading.events, after=1, limit=9))
    assert await database.facts_after(1) == (stands, 4)
    assert await database.facts_after(1, agent="agt_1") == (stands[-1:], 4)


async def test_who_follows_misses_nothing_of_a_commit_of_which_nothing_could_be_learned(disk, database):
    await database.write(OPERATOR, partial(note, "flt_1"))
    await commit_unheard(disk, database, "flt_2")
    assert database.watch.head == 1
    await database.write(OPERATOR, partial(note, "flt_3"))
    entries, cursor = await database.facts_after(0)
    assert ([entry.fleet for entry in entries], cursor) == (["flt_1", "flt_2", "flt_3"], 3)


async def commit_unheard(disk: Disk, database: Database, fleet: str) -> None:
    """The commit takes place, is reported as failed, and the journal's head cannot be read then."""
    committed = False

    def breaks(number: int, sql: str) -> Fault | None:
        nonlocal committed
        committed = committed or sql == "COMMIT"
        return (Fault.AFTER if sql == "COMMIT" else Fault.BEFORE) if committed else None

    disk.breaks = breaks
    with refused("unavailable"):
        await database.write(OPERATOR, partial(note, fleet))
    disk.mend()


async def test_commit_wakes_whoever_waits(database):
    woken = []

    async def wait(cursor: int) -> None:
        await database.watch.beyond(cursor)
        woken.append(cursor)

    async with anyio.create_task_group() as tasks:
        for cursor in (0, 0, 1, 2):
            tasks.start_soon(wait, cursor)
        await anyio.wait_all_tasks_blocked()
        await database.write(OPERATOR, partial(note, "flt_1"))
        await database.watch.beyond(0)
        await anyio.wait_all_tasks_blocked()
        assert woken == [0, 0]
        await database.write(OPERATOR, partial(note, "flt_2"))
        await database.write(OPERATOR, partial(note, "flt_3"))
    assert woken == [0, 0, 1, 2]


async def test_refused_job_wakes_nobody(database):
    def refuse(tx: Transaction) -> None:
        note("flt_1", tx)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(OPERATOR, refuse)
    await anyio.wait_all_tasks_blocked()
    assert database.watch.head == 0


async def test_watch_never_goes_back():
    watch = Watch(5)
    watch.grow(3, [])
    assert watch.head == 5
    await watch.beyond(4)


async def test_who_was_committed_is_answered_before_the_followers_are_woken(database):
    order = []

    async def follow() -> None:
        await database.watch.beyond(0)
        order.append("woken")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        await database.write(OPERATOR, partial(note, "flt_1"))
        order.append(f"answered at {database.watch.head}")
    assert order == ["answered at 1", "woken"]


async def test_facts_in_quick_succession_wake_once_and_none_is_missed(monkeypatch):
    monkeypatch.setattr(journal, "PAUSE_SECONDS", 60.0)
    watch, seen = Watch(0), []

    async def follow() -> None:
        with suppress(Unavailable):
            while True:
                await watch.beyond(seen[-1] if seen else 0)
                seen.append(watch.head)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        watch.grow(1, [])
        await watch.beyond(0)
        for head in (2, 3):
            await anyio.wait_all_tasks_blocked()
            watch.grow(head, [])
        await anyio.wait_all_tasks_blocked()
        assert (seen, watch.head) == ([1], 3)
        watch.close()
    assert seen == [1, 3]


async def test_look_sees_one_moment_however_much_is_written_meanwhile(database):
    await database.write(OPERATOR, partial(note, "flt_1"))
    looked, written = threading.Event(), threading.Event()

    def look_twice(reading: Reading) -> tuple[int, int]:
        before = reading.journal_head()
        looked.set()
        assert written.wait(10)
        return before, reading.journal_head()

    answers = []

    async def look() -> None:
        answers.append(await database.read(SYSTEM, look_twice))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        await anyio.to_thread.run_sync(looked.wait, 10)
        await database.write(OPERATOR, partial(note, "flt_2"))
        written.set()
    assert answers == [(1, 1)]
    assert await database.read(SYSTEM, Reading.journal_head) == 2


async def test_reader_whose_look_raised_serves_the_next(database):
    def fail(reading: Reading) -> None:
        raise ValueError("no")

    for _ in range(9):
        with pytest.raises(ValueError, match="no"):
            await database.read(SYSTEM, fail)
    assert await database.read(SYSTEM, Reading.journal_head) == 0


async def test_what_was_answered_is_seen_by_the_next_look(database):
    for number in range(1, 30):
        await database.write(OPERATOR, partial(note, "flt_1"))
        assert await database.read(SYSTEM, Reading.journal_head) == number


@pytest.mark.parametrize("before", [0, 30, 2300])
async def test_follower_gets_every_fact_once_wherever_it_begins(tmp_path, clock, before):
    """2,300 are more than stay at hand, and more than one page."""
    with open_database(tmp_path / "muster.db", clock) as database:
        await database.write(OPERATOR, lambda tx: [note(f"flt_{n % 3}", tx) for n in range(before)])
        await database.watch.beyond(before - 1)
        for after in (0, before // 2, before):
            followed, reached = await follow(database, after, fleet="flt_1")
            stored = await database.read(SYSTEM, partial(Reading.events, after=after, limit=9999, fleet="flt_1"))
            assert (followed, reached) == (stored, before)


@pytest.mark.parametrize("unheard", [False, True])
async def test_followers_together_read_the_store_once_where_there_is_something_unheard(disk, database, unheard):
    if unheard:
        await commit_unheard(disk, database, "flt_0")
    reads = 0
    read = database.read

    async def counted(*given: object) -> object:
        nonlocal reads
        reads += 1
        return await read(*given)

    database.read = counted
    await database.write(OPERATOR, partial(note, "flt_1"))
    await database.watch.beyond(0)
    told = []

    async def look() -> None:
        told.append(await database.facts_after(0))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(look)
    assert (len(told), reads) == (5, int(unheard))
    assert all(answer == told[0] for answer in told)


async def follow(database: Database, after: int, **of: str) -> tuple[list[Entry], int]:
    """Everything until there is nothing more."""
    told: list[Entry] = []
    while True:
        entries, reached = await database.facts_after(after, **of)
        told += entries
        if reached == after:
            return told, reached
        after = reached


def stored_entries(path: Path) -> list[tuple[object, ...]]:
    """The journal's rows, as if nobody else had the file open."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return file.execute("SELECT cursor, at, name, actor, fleet, agent, body, hash FROM events").fetchall()
