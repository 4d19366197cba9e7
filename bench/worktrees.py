"""What worktrees and merges cost in a large repository, beside plain `git worktree add`.

Each of ours is made right after a plain one and both are removed again, so that what else the machine does meets both
alike and the disk holds two at once.
"""

import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import combinations
from pathlib import Path

from bench import merges
from muster.git import snapshots, worktrees
from muster.git.commits import commit_of, temporary_index
from muster.git.project import open_project
from muster.git.radar import Changes, Side, clash, meet
from muster.git.run import Checkout, git
from muster.git.worktrees import WorktreeWish

FILES = 50_000
IN_A_FOLDER = 50
LINES = 20
CREATIONS = 20
ROUNDS = 9
BRANCHES = 20
HOT, CHANGED = 300, 20  # files that agents change, and how many each does
REF = "refs/muster/bench/agent"
NOBODY = {
    **{f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
}


def table() -> str:
    return "\n".join(_lines())


@contextmanager
def large_repository(files: int = FILES) -> Iterator[Path]:
    """A repository with one commit, packed as git packs it."""
    with tempfile.TemporaryDirectory(prefix="muster-bench-") as folder:
        project = Path(folder) / "project"
        for number in range(files):
            _write(project / f"d{number // 2500:02d}/s{number // IN_A_FOLDER:04d}/f{number:05d}.py", number)
        (project / ".gitignore").write_text("*.log\nbuild/\n__pycache__/\n")
        _git(project, "init", "--quiet")
        _git(project, "config", "gc.auto", "0")  # or it begins by itself, behind our back
        for command in (["add", "--all"], ["commit", "--quiet", "-m", "all"], ["gc", "--quiet"]):
            _git(project, *command)
        yield project


def _lines() -> Iterator[str]:
    yield f"| {FILES:,} files | measured | wanted |"
    yield "|---|---|---|"
    with large_repository() as project:
        plain, ours = _creations(project)
        yield f"| {CREATIONS} times plain `git worktree add` | {sum(plain):.1f} s | |"
        yield f"| {CREATIONS} worktrees of ours | {sum(ours):.1f} s ({sum(ours) / sum(plain):.2f} ×) | ≤ 1.5 × |"
        yield from merges.rows(project)
        yield from _snapshots(project)
        yield from _radar(project)


def _creations(project: Path) -> tuple[list[float], list[float]]:
    plain, ours = [], []
    base = worktrees.base_of(open_project(project), dirty=False)
    for number in range(CREATIONS):
        folder = project.parent / "plain"
        plain.append(_took(partial(_git, project, "worktree", "add", "-q", "-b", f"p{number}", str(folder))))
        wish = WorktreeWish(project=project, folder=_place(project, number), branch=f"muster/bench/{number}", base=base)
        ours.append(_took(partial(worktrees.create, wish)))
        _git(project, "worktree", "remove", "--force", str(folder))
        worktrees.remove(worktrees.checkout_of(open_project(project), wish.folder))
    return plain, ours


def _snapshots(project: Path) -> Iterator[str]:
    base = worktrees.base_of(open_project(project), dirty=False)
    folder, keep = _place(project, CREATIONS), project.parent / "state/git/kept.git"
    checkout = worktrees.create(WorktreeWish(project=project, folder=folder, branch="muster/bench/agent", base=base))

    def take() -> None:
        snapshots.take(checkout, REF, keep, "measured")

    yield f"| the first snapshot, with a copy of the repository | {_took(take) * 1000:.0f} ms | |"
    take()  # what was written in the second of the checkout is looked at once more
    yield f"| a snapshot with nothing new, p50 | {_median(take):.0f} ms | < 1,000 ms |"
    yield f"| a snapshot with one file changed, p50 | {_median(take, before=lambda: _change(checkout))} ms | |"
    yield f"| the user's dirty state as a base | {_median(lambda: _dirty(project)):.0f} ms | |"
    yield f"| removed | {_took(lambda: worktrees.remove(checkout)) * 1000:.0f} ms | |"


def _radar(project: Path) -> Iterator[str]:
    """Each of the branches changes some files of a few hundred, so that most pairs meet and few conflict."""
    checkout = open_project(project)
    sides = [_side(checkout, number) for number in range(BRANCHES)]
    changes = Changes()
    began = time.perf_counter()
    names = [changes.of(checkout, side) for side in sides]
    named = time.perf_counter()
    pairs = [(a, b) for a, b in combinations(range(BRANCHES), 2) if meet(names[a], names[b])]
    found = sum(bool(clash(checkout, sides[a], sides[b], among=names[a] | names[b])) for a, b in pairs)
    done = time.perf_counter()
    told = f"{BRANCHES} branches: names {(named - began) * 1000:.0f} ms, {len(pairs)} pairs meet, {found} conflict"
    yield f"| the radar's full pass, {told} | {done - began:.1f} s | |"


def _side(checkout: Checkout, number: int) -> Side:
    base = worktrees.base_of(checkout, dirty=False)
    chosen = random.Random(number)
    with temporary_index() as index:
        git(checkout, "read-tree", base, index=index)
        lines = b""
        for file in chosen.sample(range(HOT), CHANGED):
            path = f"d{file // 2500:02d}/s{file // IN_A_FOLDER:04d}/f{file:05d}.py"
            content = (checkout.work_tree / path).read_text().splitlines(keepends=True)
            content[chosen.randrange(len(content))] = f"# agent {number}\n"
            blob = git(checkout, "hash-object", "-w", "--stdin", stdin="".join(content).encode()).decode().strip()
            lines += f"100644 {blob}\t{path}".encode() + b"\0"
        git(checkout, "update-index", "-z", "--index-info", stdin=lines, index=index)
        tree = git(checkout, "write-tree", index=index).decode().strip()
    return Side(base, commit_of(checkout, tree, (base,), "measured"))


def _dirty(project: Path) -> None:
    (project / "new").write_text("new\n")
    worktrees.base_of(open_project(project), dirty=True)


def _change(checkout: Checkout) -> None:
    _write(checkout.work_tree / "d00/s0000/f00000.py", time.time_ns())


def _median(call: Callable[[], object], *, before: Callable[[], object] = lambda: None) -> float:
    """Milliseconds."""
    took = []
    for _ in range(ROUNDS):
        before()
        took.append(_took(call))
    return round(statistics.median(took) * 1000)


def _took(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _place(project: Path, number: int) -> Path:
    return project.parent / "state/worktrees/bench" / str(number)


def _write(file: Path, number: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"def f{line}(x):\n    return x + {number * line}\n\n\n" for line in range(LINES)))


def _git(project: Path, *arguments: str) -> None:
    project.mkdir(exist_ok=True)
    environment = dict(os.environ) | NOBODY
    subprocess.run(["git", "-C", str(project), *arguments], env=environment, check=True, capture_output=True)
