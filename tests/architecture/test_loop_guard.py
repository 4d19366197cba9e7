"""The guard over the event loop sees what it should, and nothing else."""

import asyncio
import time
from pathlib import Path

from loop_guard import LoopGuard

HERE = Path(__file__).parent
ELSEWHERE = HERE / "elsewhere"


def stacks_of(work, *, library: Path) -> list[str]:
    guard = LoopGuard(library, limit=0.1)
    with guard.watching():
        asyncio.run(work())
    return guard.stacks


async def sleeping() -> None:
    time.sleep(0.3)  # blocking the loop is what is tested


async def computing() -> None:
    deadline = time.process_time() + 0.3
    while time.process_time() < deadline:
        pass


async def waiting() -> None:
    await asyncio.sleep(0.3)


def test_a_sleep_is_found_once_with_its_stack():
    (stack,) = stacks_of(sleeping, library=HERE)
    assert "in sleeping" in stack


def test_a_computation_is_found():
    assert len(stacks_of(computing, library=HERE)) == 1


def test_waiting_is_not_blocking():
    assert stacks_of(waiting, library=HERE) == []


def test_a_test_may_block_where_no_library_is_involved():
    assert stacks_of(sleeping, library=ELSEWHERE) == []


def test_a_guarded_test_fails_when_the_library_blocks(pytester):
    pytester.makeconftest(
        (HERE.parent / "conftest.py").read_text().replace("LoopGuard(LIBRARY)", "LoopGuard(TESTS, limit=0.1)")
    )
    pytester.makepyfile(
        test_one="import time\nasync def test_blocks(): time.sleep(0.3)\nasync def test_yields(): ...\n"
    )
    pytester.makeini(f"[pytest]\nanyio_mode = auto\npythonpath = {HERE.parent}")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, errors=1)
