"""Faults at every statement, every page and every write: what was answered agrees with a file that is opened anew.

"ok" is there; `unavailable` is there whole or not at all, and the same request, repeated, tells which: it is answered
as it would have been, and what it asks for is there once.
"""

import resource
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muster.hosts.scripted import ScriptedHost
from unit.stage import Stage, hub
from unit.store.faults import Disk, Fault
from unit.store.rounds import KINDS, Command, Outcomes, command, left_by, outcome, together

pytestmark = pytest.mark.anyio

UNKNOWN = "unavailable"
PAGE = 4096
FRAME = PAGE + 24


@pytest.fixture
async def base(stage: Stage) -> AsyncIterator[str]:
    spawned = await stage.spawn("a", name="base")
    yield spawned["fleet_id"]


def commands(stage: Stage, base: str, number: int, kinds: Sequence[str] = KINDS, prompt: str = "a") -> list[Command]:
    return [command(stage, base, kind, number * len(kinds) + place, prompt) for place, kind in enumerate(kinds)]


async def require_agreement(stage: Stage, folder: Path, group: Sequence[Command], outcomes: Outcomes) -> None:
    """What stands in the file is what was answered; and a repeated request finds out, and changes nothing more."""
    left = after_a_power_cut(stage, folder, group)
    for each in group:
        told = outcomes[each.mark]
        if told == UNKNOWN:
            assert left[each.mark] in (0, 1), each
        else:
            assert (told == "not_found") is (each.kind == "refused"), (each, told)
            assert left[each.mark] == (0 if each.kind == "refused" else 1), each
    again = {each.mark: await outcome(stage, each) for each in group}
    for each in group:
        assert again[each.mark] != UNKNOWN, each
        assert outcomes[each.mark] in (UNKNOWN, again[each.mark]), each
    final = after_a_power_cut(stage, folder, group)
    assert final == {each.mark: 0 if each.kind == "refused" else 1 for each in group}


def after_a_power_cut(stage: Stage, folder: Path, group: Sequence[Command]) -> dict[str, int]:
    """What each command has left in the files as they lie there now."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for file in stage.path.parent.glob("muster.db*"):
        if not file.name.endswith("-shm"):
            shutil.copy(file, folder)
    return {each.mark: left_by(folder / stage.path.name, each) for each in group}


class Faults:
    """Breaks the n-th statements of a group, each as it is told, and knows whether it came so far."""

    def __init__(self, disk: Disk, *at: tuple[int, Fault]) -> None:
        self._disk = disk
        self._at = dict(at)
        self.struck = 0

    def begin(self) -> None:
        """From the group's BEGIN on: what holds the writer has its RELEASE, the journal's head and COMMIT to go."""
        rest = 0

        def breaks(number: int, sql: str) -> Fault | None:
            nonlocal rest
            rest = rest + 1 if rest or sql.startswith("BEGIN") else 0
            fault = self._at.get(rest)
            self.struck += fault is not None
            return fault

        self._disk.breaks = breaks


@pytest.mark.parametrize("fault", Fault)
async def test_whatever_statement_of_a_group_fails_the_file_agrees_with_the_answers(disk, stage, base, tmp_path, fault):
    number, unknown = 0, 0
    while True:
        number += 1
        faults = Faults(disk, (number, fault))
        group = commands(stage, base, number)
        outcomes = await together(stage, group, faults.begin)
        disk.mend()
        await require_agreement(stage, tmp_path / "cut", group, outcomes)
        unknown += UNKNOWN in outcomes.values()
        if not faults.struck:
            break
    assert number > 40  # a group has that many statements, and each of them has failed
    assert unknown > 30


async def test_commit_that_is_reported_as_failed_but_took_place_is_found_by_the_repeated_request(
    disk, stage, base, tmp_path
):
    group = commands(stage, base, 1)
    disk.breaks = lambda number, sql: None

    def begin() -> None:
        seen = iter((None, Fault.AFTER))  # the first COMMIT is that of the job that held the writer
        disk.breaks = lambda number, sql: next(seen, None) if sql == "COMMIT" else None

    outcomes = await together(stage, group, begin)
    disk.mend()
    assert set(outcomes.values()) == {UNKNOWN}
    assert list(after_a_power_cut(stage, tmp_path / "cut", group).values()) == [1, 1, 1, 0]
    events = await stage.events()
    await require_agreement(stage, tmp_path / "cut", group, outcomes)
    assert await stage.events() == events  # nothing was done twice


async def test_facts_of_a_commit_that_took_place_unheard_are_heard_before_it_is_answered(disk, stage, base):
    heard: list[str] = []
    stage.engine.hear(lambda facts: heard.extend(fact.name for fact in facts))
    disk.breaks = lambda number, sql: Fault.AFTER if sql == "COMMIT" else None
    assert await outcome(stage, command(stage, base, "limit", 1)) == UNKNOWN
    assert heard == ["fleet.limited"]


async def test_commit_that_took_place_unheard_wakes_whoever_waits_for_its_facts(disk, stage, base):
    head = stage.engine.head
    disk.breaks = lambda number, sql: Fault.AFTER if sql == "COMMIT" else None
    assert await outcome(stage, command(stage, base, "limit", 1)) == UNKNOWN
    with anyio.fail_after(5):
        await stage.database.watch.beyond(head)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
    at=st.lists(st.tuples(st.integers(1, 60), st.sampled_from(Fault)), max_size=3),
)
async def test_several_faults_in_any_group_leave_file_and_answers_in_agreement(disk, stage, base, tmp_path, kinds, at):
    number = disk.count  # another one for each example
    group = [command(stage, base, kind, number * 10 + place) for place, kind in enumerate(kinds)]
    outcomes = await together(stage, group, Faults(disk, *at).begin)
    disk.mend()
    await require_agreement(stage, tmp_path / "cut", group, outcomes)


async def test_whatever_page_finds_the_disk_full_the_file_agrees_with_the_answers(disk, stage, base, tmp_path):
    """SQLite's own refusal: the file may grow by so many pages and no further."""
    refused = 0
    for room in range(200):
        writing = disk.opened[-1]
        pages = writing.execute("PRAGMA page_count").fetchone()[0]
        writing.execute(f"PRAGMA max_page_count={pages + room}")
        group = commands(stage, base, room, prompt="x" * 3 * PAGE)
        outcomes = await together(stage, group, lambda: None)
        disk.opened[-1].execute("PRAGMA max_page_count=1000000")
        await require_agreement(stage, tmp_path / "cut", group, outcomes)
        if UNKNOWN not in outcomes.values():
            break
        refused += 1
    assert 8 < refused < 199


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The operating system refuses every write beyond a size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_whatever_write_the_system_refuses_the_file_agrees_with_the_answers(disk, stage, base, tmp_path):
    """The log may grow by so many half frames and no further: some writes fail whole, some in their middle."""
    disk.opened[-1].execute("PRAGMA wal_autocheckpoint=0")  # else it begins anew, and has room again
    wal, refused = stage.path.with_name("muster.db-wal"), 0
    for halves in range(200):
        group = commands(stage, base, halves, kinds=("spawn", "refused"))
        with largest_file(wal.stat().st_size + halves * FRAME // 2):
            outcomes = await together(stage, group, lambda: None)
        await require_agreement(stage, tmp_path / "cut", group, outcomes)
        if UNKNOWN not in outcomes.values():
            break
        refused += 1
    assert 8 < refused < 199


async def test_hub_that_starts_after_the_faults_knows_every_request_that_took_place(disk, stage, base, tmp_path):
    told: list[tuple[Command, object]] = []
    for number, fault in enumerate(Fault):
        group = commands(stage, base, number)
        outcomes = await together(stage, group, Faults(disk, (30, fault)).begin)
        disk.mend()
        told += [(each, outcomes[each.mark]) for each in group]
    after_a_power_cut(stage, tmp_path / "cut", [])
    async with ScriptedHost({}) as host, hub(tmp_path / "cut", host, stage.clock) as again:
        for each, answer in told:
            if each.kind != "spawn":  # its project is another folder's now
                assert answer in (UNKNOWN, await outcome(again, each))
                assert left_by(again.path, each) == (each.kind != "refused")
