"""What a merge costs in a large repository: computed, checked against what stands there, kept and landed; then undone.

Each lands on those before it, as the merges of one fleet do.
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from muster.git.commits import commit_of, tree_named
from muster.git.landing import land, undo
from muster.git.merging import Landing, Merged, compute, keep, ours
from muster.git.obstacles import obstacles
from muster.git.project import open_project
from muster.git.run import Checkout, git
from muster.git.trees import replaced
from muster.model.change import Content

AGENTS = 9
FILES = 10


def rows(project: Path) -> Iterator[str]:
    checkout = open_project(project)
    tips = [_tip(checkout, agent) for agent in range(AGENTS)]
    landings: list[Landing] = []
    took = [_merged(checkout, tip, landings) for tip in tips]
    yield f"| the first merge, of {FILES} files | {took[0]:.0f} ms | ≤ 500 ms |"
    p50 = statistics.median(took[1:])
    yield f"| a merge of {FILES} files after {AGENTS // 2} others, p50 | {p50:.0f} ms | ≤ 500 ms |"
    yield f"| a merge undone, p50 | {statistics.median(_undone(checkout, each) for each in landings[::-1]):.0f} ms | |"


def _tip(checkout: Checkout, agent: int) -> str:
    """A commit that changes files all over the repository."""
    names = git(checkout, "ls-tree", "-r", "-z", "--name-only", "HEAD").decode().split("\0")
    paths = [names[agent * 53 + number * (len(names) // FILES)] for number in range(FILES)]
    blob = git(checkout, "hash-object", "-w", "--stdin", stdin=b"agent %d\n" % agent).decode().strip()
    contents = {path: Content(mode="100644", blob=blob) for path in paths}
    return commit_of(checkout, replaced(checkout, tree_named(checkout, "HEAD"), contents), ("HEAD",), "work")


def _merged(checkout: Checkout, tip: str, landings: list[Landing]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    mine = ours(checkout, landings)
    merged = compute(checkout, tip, mine)
    if not isinstance(merged, Merged) or obstacles(checkout, merged.changes):
        raise ValueError(f"it was to be a clean merge: {merged}")
    keep(checkout, f"refs/muster/merges/{tip}", merged, [mine, tip])
    landings.append(Landing(tip, tuple(landed.change for landed in land(checkout, merged.changes))))
    return (time.perf_counter() - began) * 1000


def _undone(checkout: Checkout, landing: Landing) -> float:
    began = time.perf_counter()
    for _ in undo(checkout, landing.changes):
        pass
    return (time.perf_counter() - began) * 1000
