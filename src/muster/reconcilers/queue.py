"""The keyed work queue that every reconciler is.

Keys come from three sides: the first pass and each resync (`keys`), the journal (`concerned`), and the reconciler's
own wish to look again (`reconcile`'s answer). Only the rows count; a key is no more than a hint where to look.
"""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Container, Iterable

import anyio
from anyio.abc import TaskGroup

from muster.engine import Engine
from muster.errors import MusterError
from muster.model.event import Entry

log = logging.getLogger(__name__)

SUBJECTS = ("run", "server", "ask", "to")  # what a fact is about, beside its fleet and its agent
RESYNC_SECONDS = 1.0  # what a lost wake-up costs
RESTING_SECONDS = 15.0
FIRST_BACKOFF, LAST_BACKOFF = 0.25, 5.0


class Queue:
    """Keys with the moment they are due. A key that is being worked on waits until it is done."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}
        self._busy: set[str] = set()
        self._changed = anyio.Event()
        self._taking = anyio.Lock()

    def add(self, key: str, after: float = 0.0) -> None:
        """Look at a key in `after` seconds, or earlier where that was asked for before."""
        due = time.monotonic() + after
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._wake()

    def add_missing(self, key: str) -> None:
        """Look at a key that nobody works on and nobody has asked for."""
        if key not in self._due and key not in self._busy:
            self.add(key)

    async def take(self) -> str:
        """The key that has been due longest; its taker calls `done`."""
        async with self._taking:  # one taker watches for all of them: a change wakes one, not everybody
            while True:
                ready = {key: due for key, due in self._due.items() if key not in self._busy}
                key = min(ready, key=ready.__getitem__, default=None)
                now = time.monotonic()
                if key is not None and ready[key] <= now:
                    del self._due[key]
                    self._busy.add(key)
                    return key
                with anyio.move_on_after(None if key is None else ready[key] - now):
                    await self._changed.wait()

    def done(self, key: str) -> None:
        self._busy.discard(key)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Reconciler(ABC):
    """Makes one kind of row true."""

    workers = 8
    follows: Container[str] | None = None
    """The names of the facts that may move its keys, where they are few; None for any."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.queue = Queue()
        self._failures: dict[str, int] = {}

    @abstractmethod
    async def keys(self) -> Iterable[str]:
        """Every key that may want something; read anew each time."""

    @abstractmethod
    async def concerned(self, entry: Entry) -> Iterable[str]:
        """The keys that a fact may have moved."""

    @abstractmethod
    async def reconcile(self, key: str) -> float | None:
        """Make one row true, or bring it a step nearer. Answers in how many seconds to look again, if at all."""

    async def run(self) -> None:
        """Work until cancelled."""
        head = self.engine.head
        async with anyio.create_task_group() as tasks:
            self.start(tasks)
            tasks.start_soon(self._follow, head)
            tasks.start_soon(self._resync)
            for _ in range(self.workers):
                tasks.start_soon(self._work)

    def start(self, tasks: TaskGroup) -> None:  # noqa: B027 - most have nothing to add
        """Called once, with the group that lives as long as the reconciler."""

    async def moved(self, entries: Collection[Entry]) -> Iterable[str]:
        """The keys that several facts may have moved, for a reconciler that has one question about all of them."""
        return {key: None for entry in entries for key in await self.concerned(entry)}

    async def _follow(self, head: int) -> None:
        """Survives a journal that cannot be read for a while; what it misses then, the resync finds."""
        while True:
            try:
                async for page in self.engine.pages(head):
                    for key in await self.moved(_one_of_each(self._followed(page))):
                        self.queue.add(key)
                    head = page[-1].cursor
            except Exception as error:
                self._log("reconciler.follow_failed", error)
                await anyio.sleep(FIRST_BACKOFF)

    def _followed(self, page: Iterable[Entry]) -> Iterable[Entry]:
        names = self.follows
        return page if names is None else [entry for entry in page if entry.name in names]

    async def _resync(self) -> None:
        """Rows change with the journal: where nothing was wanted, nothing is until it moves. To be sure, it asks."""
        resting: tuple[int, float] | None = None  # the journal's head then, and until when
        while True:
            try:
                head, now = self.engine.head, time.monotonic()
                if resting is None or head != resting[0] or now > resting[1]:
                    keys = list(await self.keys())
                    resting = None if keys else (head, now + RESTING_SECONDS)
                    for key in keys:
                        self.queue.add_missing(key)
            except Exception as error:
                self._log("reconciler.resync_failed", error)
            await anyio.sleep(RESYNC_SECONDS)

    async def _work(self) -> None:
        while True:
            key = await self.queue.take()
            try:
                again = await self._guarded(key)
            finally:
                self.queue.done(key)
            if again is not None:
                self.queue.add(key, again)

    async def _guarded(self, key: str) -> float | None:
        """One bad row must not stop the others: log it, and try again later and later."""
        try:
            again: float | None = await self.reconcile(key)
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self._log("reconciler.failed", error, key=key, failures=failures)
            return min(FIRST_BACKOFF * 2.0 ** (failures - 1), LAST_BACKOFF)
        self._failures.pop(key, None)
        return again

    def _log(self, event: str, error: Exception, **facts: object) -> None:
        """A refusal of ours is a line; anything else is a bug, and comes with its trace."""
        expected = isinstance(error, MusterError)
        told = "".join(f" {name}={value}" for name, value in facts.items())
        level = logging.WARNING if expected else logging.ERROR
        log.log(level, "%s reconciler=%s%s error=%s", event, type(self).__name__, told, error, exc_info=not expected)


def _one_of_each(page: Iterable[Entry]) -> Collection[Entry]:
    """Facts of one name about the same things move the same keys: the last of them stands for all."""
    return {
        (entry.name, entry.fleet, entry.agent, *(entry.body.get(subject) for subject in SUBJECTS)): entry
        for entry in page
    }.values()
