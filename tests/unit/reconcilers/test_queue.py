"""Every key is looked at, in turn, by one worker at a time; none can hold up the others."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from muster.engine import Engine
from muster.errors import Conflict, Unavailable
from muster.model.event import Entry
from muster.reconcilers import queue as queue_module
from muster.reconcilers.queue import Queue, Reconciler
from unit.stage import WITHIN_SECONDS

pytestmark = pytest.mark.anyio


@dataclass
class Looks:
    """What a reconciler did, and events to wait for."""

    looked: list[str] = field(default_factory=list)
    moved: anyio.Event = field(default_factory=anyio.Event)

    def note(self, key: str) -> None:
        self.looked.append(key)
        self.moved.set()
        self.moved = anyio.Event()

    async def count(self, key: str, times: int = 1) -> None:
        with anyio.fail_after(WITHIN_SECONDS):
            while self.looked.count(key) < times:
                await self.moved.wait()


class Scripted(Reconciler):
    """Looks at the keys that a test adds, and does with each what the test says."""

    def __init__(self, engine: Engine, **does: object) -> None:
        super().__init__(engine)
        self.looks = Looks()
        self.does = does
        self.wanted: list[str] = []

    async def keys(self) -> Iterable[str]:
        return self.wanted

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [entry.name]

    async def reconcile(self, key: str) -> float | None:
        self.looks.note(key)
        does = self.does.get(key)
        return await does() if does else None


@asynccontextmanager
async def running(reconciler: Reconciler) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(reconciler.run)
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


async def test_keys_are_worked_on_beside_each_other(stage):
    begun, released = anyio.Event(), anyio.Event()

    async def wait_for_the_other():
        begun.set()
        await released.wait()

    async def release():
        released.set()

    reconciler = Scripted(stage.engine, first=wait_for_the_other, second=release)
    async with running(reconciler):
        reconciler.queue.add("first")
        with anyio.fail_after(WITHIN_SECONDS):
            await begun.wait()
            reconciler.queue.add("second")
            await released.wait()


async def test_all_workers_are_woken_by_keys_that_come_together(stage):
    together, begun = anyio.Event(), 0

    async def wait_for_all():
        nonlocal begun
        begun += 1
        if begun == 8:
            together.set()
        await together.wait()

    names = [f"key{number}" for number in range(8)]
    reconciler = Scripted(stage.engine, **dict.fromkeys(names, wait_for_all))
    async with running(reconciler):
        for name in names:
            reconciler.queue.add(name)
        with anyio.fail_after(WITHIN_SECONDS):
            await together.wait()


async def test_key_is_worked_on_by_one_worker_at_a_time_and_once_more_when_asked_meanwhile(stage):
    at_work, most, entered, leave = 0, 0, anyio.Event(), anyio.Event()

    async def work():
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        entered.set()
        await leave.wait()
        at_work -= 1

    reconciler = Scripted(stage.engine, key=work)
    async with running(reconciler):
        reconciler.queue.add("key")
        await entered.wait()
        for _ in range(5):
            reconciler.queue.add("key")
        await anyio.wait_all_tasks_blocked()
        assert reconciler.looks.looked == ["key"]
        leave.set()
        await reconciler.looks.count("key", 2)
        await anyio.wait_all_tasks_blocked()
    assert (reconciler.looks.looked, most) == (["key", "key"], 1)


@pytest.mark.parametrize("error", [Conflict(why="no"), ValueError("a bug"), RuntimeError("a worse one")])
async def test_key_that_always_fails_stops_no_other(stage, error, monkeypatch, caplog):
    monkeypatch.setattr(queue_module, "FIRST_BACKOFF", 0.001)

    async def fail():
        raise error

    reconciler = Scripted(stage.engine, bad=fail)
    reconciler.workers = 1
    async with running(reconciler):
        reconciler.queue.add("bad")
        await reconciler.looks.count("bad", 3)
        reconciler.queue.add("good")
        await reconciler.looks.count("good")


async def test_key_that_fails_is_tried_later_and_later_and_at_once_again_after_a_success(stage, monkeypatch, caplog):
    monkeypatch.setattr(queue_module, "FIRST_BACKOFF", 0.001)
    monkeypatch.setattr(queue_module, "LAST_BACKOFF", 0.004)
    pauses: list[float] = []
    add = Queue.add

    def noted(queue: Queue, key: str, after: float = 0.0) -> None:
        pauses.append(after)
        add(queue, key, after)

    monkeypatch.setattr(Queue, "add", noted)
    outcomes = iter([True, True, True, True, False, True, False])

    async def fail():
        if next(outcomes, False):
            raise Conflict(why="no")

    reconciler = Scripted(stage.engine, bad=fail)
    async with running(reconciler):
        reconciler.queue.add("bad")
        await reconciler.looks.count("bad", 5)
        await anyio.wait_all_tasks_blocked()
        reconciler.queue.add("bad")
        await reconciler.looks.count("bad", 7)
    assert pauses == [0, 0.001, 0.002, 0.004, 0.004, 0, 0.001]


async def test_earlier_wish_for_a_key_wins_over_a_later_one():
    queue = Queue()
    queue.add("key", 3600)
    queue.add("key")
    queue.add("key", 3600)
    with anyio.fail_after(1):
        assert await queue.take() == "key"


async def test_key_that_has_been_due_longest_is_taken_first():
    queue = Queue()
    for key in ("a", "b", "c"):
        queue.add(key)
    queue.add("a")
    assert [await queue.take() for _ in range(3)] == ["a", "b", "c"]


async def test_taker_that_gives_up_leaves_its_watch_to_the_next():
    queue, taken = Queue(), []

    async def take(scope: anyio.CancelScope) -> None:
        with scope:
            taken.append(await queue.take())

    async with anyio.create_task_group() as tasks:
        impatient = anyio.CancelScope()
        tasks.start_soon(take, impatient)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(take, anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        impatient.cancel()
        queue.add("a")
    assert taken == ["a"]


async def test_lost_wake_up_costs_one_resync(stage, monkeypatch):
    monkeypatch.setattr(queue_module, "RESYNC_SECONDS", 0.001)
    monkeypatch.setattr(queue_module, "RESTING_SECONDS", 0.001)
    reconciler = Scripted(stage.engine)
    async with running(reconciler):
        reconciler.wanted = ["forgotten"]
        await reconciler.looks.count("forgotten")


async def test_who_wants_nothing_is_not_asked_again_until_the_journal_moves(stage, monkeypatch):
    monkeypatch.setattr(queue_module, "RESYNC_SECONDS", 0.001)
    reconciler = Scripted(stage.engine)
    asked = Looks()

    async def keys() -> Iterable[str]:
        asked.note("keys")
        return []

    monkeypatch.setattr(reconciler, "keys", keys)
    async with running(reconciler):
        await asked.count("keys")
        for times in range(2, 5):
            await anyio.wait_all_tasks_blocked()
            assert len(asked.looked) < times
            await stage.spawn("a")
            await asked.count("keys", times)


async def test_fact_in_the_journal_wakes_its_key(stage):
    reconciler = Scripted(stage.engine)
    async with running(reconciler):
        await stage.spawn("a")
        await reconciler.looks.count("fleet.spawned")
        await reconciler.looks.count("run.queued")


async def test_facts_alike_that_come_together_are_looked_into_once(stage):
    """Whoever follows is busy with the first of them while the others come."""
    asked: list[str] = []
    first, rest = anyio.Event(), anyio.Event()

    class Curious(Scripted):
        async def concerned(self, entry: Entry) -> Iterable[str]:
            asked.append(entry.name)
            first.set()
            await rest.wait()
            return await super().concerned(entry)

    curious = Curious(stage.engine)
    async with running(curious):
        fleet = (await stage.spawn("a"))["fleet_id"]
        with anyio.fail_after(WITHIN_SECONDS):
            await first.wait()
        for limit in range(1, 21):
            await stage.call("fleet.set_timeout", fleet_id=fleet, timeout_ms=limit)
        rest.set()
        await curious.looks.count("fleet.limited")
    assert asked.count("fleet.limited") == 1


async def test_fact_of_a_name_that_is_not_followed_is_not_looked_into(stage):
    class Choosy(Scripted):
        follows = ("run.queued",)

    choosy = Choosy(stage.engine)
    async with running(choosy):
        await stage.spawn("a")
        await choosy.looks.count("run.queued")
    assert choosy.looks.looked == ["run.queued"]


class Stumbling(Scripted):
    """Cannot find out, the first time, what to look at."""

    def __init__(self, engine: Engine, error: Exception) -> None:
        super().__init__(engine)
        self.errors = {"keys": error, "concerned": error}

    async def keys(self) -> Iterable[str]:
        if error := self.errors.pop("keys", None):
            raise error
        return await super().keys()

    async def concerned(self, entry: Entry) -> Iterable[str]:
        if error := self.errors.pop("concerned", None):
            raise error
        return await super().concerned(entry)


@pytest.mark.parametrize("error", [Unavailable(why="no"), ValueError("a bug")])
async def test_reconciler_outlives_a_time_in_which_it_cannot_look(stage, monkeypatch, caplog, error):
    monkeypatch.setattr(queue_module, "RESYNC_SECONDS", 0.001)
    monkeypatch.setattr(queue_module, "RESTING_SECONDS", 0.001)
    monkeypatch.setattr(queue_module, "FIRST_BACKOFF", 0.001)
    reconciler = Stumbling(stage.engine, error)
    async with running(reconciler):
        await stage.spawn("a")
        await reconciler.looks.count("run.queued")
        reconciler.wanted = ["later"]
        await reconciler.looks.count("later")
    assert reconciler.errors == {}
