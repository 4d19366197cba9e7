"""What every test gets: one event loop flavour, a guard over it, and marks by folder."""

import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from loop_guard import LoopGuard

TESTS = Path(__file__).parent
LIBRARY = TESTS.parent / "src" / "muster"
TIERS = {"unit", "contract", "e2e", "architecture", "chaos", "browser"}
# These drive real programs, whose weight on a small machine is not the library's fault.
UNGUARDED = {"contract", "e2e", "chaos", "browser"}
TOOLS = {"rg": "ripgrep"}
SENTENCES = ("numpy", "onnxruntime", "muster_minilm")


def tier(path: Path) -> str:
    return path.relative_to(TESTS).parts[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if (name := tier(item.path)) in TIERS:
            item.add_marker(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for tool in mark.args:
            if shutil.which(tool) is None:
                pytest.skip(f"SKIPPED FOR WANT OF {tool}: install {TOOLS.get(tool, tool)} to run this test")
    if item.get_closest_marker("sentences") and not all(map(find_spec, SENTENCES)):
        pytest.skip("SKIPPED FOR WANT OF THE SENTENCE MODEL: make model, and run this test again")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _loop_stays_free(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test in which library code held the event loop for more than half a second."""
    if "anyio_backend" not in request.fixturenames or tier(request.path) in UNGUARDED:
        yield
        return
    guard = LoopGuard(LIBRARY)
    with guard.watching():
        yield
    if guard.stacks:
        pytest.fail("library code blocked the event loop:\n" + "\n".join(guard.stacks), pytrace=False)
