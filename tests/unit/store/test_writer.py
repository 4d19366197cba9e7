"""Nothing answered "ok" is missing; whatever was answered `unavailable` is there whole, or not at all."""

import resource
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from itertools import count

import anyio
import pytest

from muster.errors import Conflict, MusterError
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.event import FleetSpawned
from muster.store.database import Database, open_database
from muster.store.records import Reading, Transaction
from unit.stage import Stage, contents, hub, refused
from unit.store.faults import Fault

pytestmark = pytest.mark.anyio

WHOLE = {"agent.attached": 1, "fleet.spawned": 1, "run.queued": 1}


@pytest.fixture
async def database(tmp_path, clock):
    with open_database(tmp_path / "muster.db", clock) as database:
        yield database


def note(name: str, tx: Transaction) -> str:
    tx.record(FleetSpawned(name=name, agents=0))
    return name


def note_and_raise(name: str, error: BaseException, tx: Transaction) -> None:
    note(name, tx)
    raise error


async def noted(database: Database) -> list[str]:
    return [entry.body["name"] for entry in await database.read(SYSTEM, partial(Reading.events, after=0, limit=500))]


@asynccontextmanager
async def writer_held(database: Database) -> AsyncIterator[None]:
    """Keep the writer in one job, so that what is submitted meanwhile becomes one group."""
    entered, leave = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        entered.set()
        assert leave.wait(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, SYSTEM, hold)
        assert await anyio.to_thread.run_sync(entered.wait, 10)
        try:
            yield
        finally:
            leave.set()


async def together(database: Database, *jobs: object) -> list[object]:
    """What came of jobs that are committed as one group."""
    outcomes: dict[int, object] = {}

    async def attempt(index: int, job: object) -> None:
        try:
            outcomes[index] = await database.write(OPERATOR, job)
        except (MusterError, ValueError) as error:
            outcomes[index] = error

    async with anyio.create_task_group() as tasks, writer_held(database):
        for index, job in enumerate(jobs):
            tasks.start_soon(attempt, index, job)
        await anyio.wait_all_tasks_blocked()
    return [outcomes[index] for index in range(len(jobs))]


async def test_jobs_that_wait_are_committed_once(disk, database):
    commits = []
    disk.breaks = lambda number, sql: commits.append(sql) if sql == "COMMIT" else None
    assert await together(database, *(partial(note, str(number)) for number in range(20))) == [
        str(number) for number in range(20)
    ]
    assert len(commits) == 2  # the job that held the writer, and all twenty
    assert await noted(database) == [str(number) for number in range(20)]


@pytest.mark.parametrize("error", [Conflict(why="no"), ValueError("a bug")])
async def test_job_that_raises_takes_back_only_itself(database, error):
    jobs = (partial(note, "a"), partial(note_and_raise, "b", error), partial(note, "c"))
    assert await together(database, *jobs) == ["a", error, "c"]
    assert await noted(database) == ["a", "c"]


async def test_cursor_of_a_refused_job_leaves_no_gap(database):
    await together(database, partial(note, "a"), partial(note_and_raise, "b", ValueError()), partial(note, "c"))
    entries = await database.read(SYSTEM, partial(Reading.events, after=0, limit=9))
    assert [entry.cursor for entry in entries] == [1, 2]


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("statement", ["BEGIN", "SAVEPOINT", "RELEASE", "COMMIT"])
async def test_group_whose_transaction_is_lost_is_unavailable_as_a_whole(disk, database, fault, statement):
    groups = count()
    group = 0

    def breaks(number: int, sql: str) -> Fault | None:
        nonlocal group
        group = next(groups) if sql.startswith("BEGIN") else group
        return fault if group == 1 and sql.startswith(statement) else None

    disk.breaks = breaks  # group 0 is the job that holds the writer
    jobs = partial(note, "a"), partial(note_and_raise, "b", Conflict(why="no")), partial(note, "c")
    outcomes = await together(database, *jobs)
    disk.mend()
    assert [getattr(outcome, "code", outcome) for outcome in outcomes] == ["unavailable"] * 3
    assert await noted(database) in ([], ["a", "c"])
    assert await database.write(OPERATOR, partial(note, "after")) == "after"
    assert (await noted(database))[-1] == "after"


async def spawn_twice(stage: Stage) -> list[object]:
    outcomes: list[object] = []

    async def spawn(name: str) -> None:
        try:
            outcomes.append((await stage.spawn("a", name=name))["fleet_id"])
        except MusterError as error:
            outcomes.append(error.code)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spawn, "one")
        tasks.start_soon(spawn, "two")
    return outcomes


async def require_whole(stage: Stage, fleets: set[str]) -> None:
    """Every fleet that is there is there with all its agents, runs, turns and facts."""
    for fleet in fleets:
        names = [event["name"] for event in await stage.events(fleet_id=fleet)]
        assert {name: names.count(name) for name in set(names)} == WHOLE
        assert len((await stage.call("fleet.status", fleet_id=fleet, full=True))["agents"]) == 1


async def fleet_ids(stage: Stage) -> set[str]:
    return {fleet["fleet_id"] for fleet in (await stage.call("fleet.list", limit=500))["fleets"]}


@pytest.mark.parametrize("fault", Fault)
async def test_whatever_statement_fails_what_was_answered_is_there_whole(disk, stage, fault):
    begun = disk.count
    await spawn_twice(stage)
    statements = disk.count - begun
    for broken in range(1, statements + 1):
        before = await fleet_ids(stage)
        start = disk.count
        disk.breaks = lambda number, sql, at=start + broken: fault if number == at else None
        outcomes = await spawn_twice(stage)
        disk.mend()
        added = await fleet_ids(stage) - before
        answered = {outcome for outcome in outcomes if outcome != "unavailable"}
        assert answered <= added, (broken, outcomes)
        assert len(added) <= 2
        await require_whole(stage, added)


@pytest.mark.parametrize("fault", Fault)
async def test_writer_goes_on_after_a_rollback_that_failed_too(disk, database, fault):
    broken = iter(["COMMIT", "ROLLBACK"])
    expected = next(broken)

    def breaks(number: int, sql: str) -> Fault | None:
        nonlocal expected
        if sql != expected:
            return None
        expected = next(broken, "")
        return Fault.BEFORE if sql == "COMMIT" else fault

    disk.breaks = breaks
    with anyio.fail_after(5), refused("unavailable"):
        await database.write(OPERATOR, partial(note, "lost"))
    disk.mend()
    with anyio.fail_after(5):
        assert await database.write(OPERATOR, partial(note, "kept")) == "kept"
    assert await noted(database) == ["kept"]


async def test_full_database_refuses_and_goes_on_once_there_is_room(disk, stage):
    first = (await stage.spawn("a"))["fleet_id"]
    pages = disk.opened[-1].execute("PRAGMA page_count").fetchone()[0]
    disk.opened[-1].execute(f"PRAGMA max_page_count={pages + 8}")
    rows = contents(stage.path)
    with refused("unavailable"):
        await stage.spawn("x" * 100_000)
    assert contents(stage.path) == rows
    assert await fleet_ids(stage) == {first}
    disk.opened[-1].execute("PRAGMA max_page_count=1000000")
    second = (await stage.spawn("x" * 100_000))["fleet_id"]
    assert await fleet_ids(stage) == {first, second}


async def test_small_job_beside_one_that_fills_the_disk_is_whole_or_refused(disk, stage):
    pages = disk.opened[-1].execute("PRAGMA page_count").fetchone()[0]
    disk.opened[-1].execute(f"PRAGMA max_page_count={pages + 8}")
    outcomes: dict[str, str] = {}

    async def spawn(name: str, *prompts: str) -> None:
        try:
            outcomes[name] = (await stage.spawn(*prompts, name=name))["fleet_id"]
        except MusterError as error:
            outcomes[name] = error.code

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spawn, "small", "a")
        tasks.start_soon(spawn, "big", "x" * 100_000)
    assert outcomes["big"] == "unavailable"
    there = await fleet_ids(stage)
    assert there == {outcomes["small"]} - {"unavailable"}
    await require_whole(stage, there)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The operating system itself refuses every write beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_write_that_the_system_refuses_is_unavailable_and_leaves_nothing(stage):
    first = (await stage.spawn("a"))["fleet_id"]
    wal = stage.path.with_name("muster.db-wal")
    with largest_file(wal.stat().st_size + 2048), refused("unavailable"):
        await stage.spawn("x" * 500_000)
    assert await fleet_ids(stage) == {first}
    second = (await stage.spawn("d"))["fleet_id"]
    assert await fleet_ids(stage) == {first, second}
    await require_whole(stage, {first, second})


async def test_caller_cancelled_while_its_job_is_queued_leaves_it_to_finish(database):
    async with writer_held(database):
        with anyio.move_on_after(0) as scope:
            await database.write(OPERATOR, partial(note, "abandoned"))
    assert scope.cancelled_caught
    assert await database.write(OPERATOR, partial(note, "next")) == "next"
    assert await noted(database) == ["abandoned", "next"]


async def test_caller_cancelled_while_its_job_runs_leaves_it_to_finish(database):
    entered, leave = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        note("abandoned", tx)
        entered.set()
        assert leave.wait(10)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(database.write, OPERATOR, slow)
        await anyio.to_thread.run_sync(entered.wait, 10)
        tasks.cancel_scope.cancel()
    leave.set()
    await database.write(OPERATOR, partial(note, "next"))
    assert await noted(database) == ["abandoned", "next"]


async def test_abandoned_job_that_raises_hurts_nobody(database):
    async with writer_held(database):
        with anyio.move_on_after(0):
            await database.write(OPERATOR, partial(note_and_raise, "abandoned", ValueError("nobody hears it")))
    await database.write(OPERATOR, partial(note, "next"))
    assert await noted(database) == ["next"]


async def test_closing_finishes_what_was_submitted_and_refuses_the_rest(tmp_path, clock):
    answers = []

    async def write(number: int) -> None:
        answers.append(await database.write(OPERATOR, partial(note, str(number))))

    async with anyio.create_task_group() as tasks:
        with open_database(tmp_path / "muster.db", clock) as database:
            for number in range(50):
                tasks.start_soon(write, number)
            await anyio.wait_all_tasks_blocked()
    assert answers == [str(number) for number in range(50)]
    with refused("unavailable"):
        await database.write(OPERATOR, partial(note, "late"))


async def test_restart_finds_every_answered_fleet(tmp_path, clock, stage):
    ids = [(await stage.spawn("a"))["fleet_id"] for _ in range(3)]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in stage.path.parent.glob("muster.db*"):  # what a hub that is killed now leaves behind
        (copy / file.name).write_bytes(file.read_bytes())
    async with hub(copy, stage.host, clock) as again:
        assert await fleet_ids(again) == set(ids)
        await require_whole(again, set(ids))
