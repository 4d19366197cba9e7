"""Commits that only git's own records of one worktree still name: reset away, amended, stashed, being rebased."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from muster.git.run import Checkout, git

COMMIT = re.compile(rb"\b(?!0+\b)(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
HEADS = (  # what git writes into a worktree's folder
    "logs/HEAD", "ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "BISECT_HEAD",
    "MERGE_AUTOSTASH", "rebase-merge/autostash", "rebase-apply/autostash", "rebase-merge/orig-head",
    "rebase-apply/orig-head", "rebase-merge/stopped-sha", "rebase-merge/amend", "rebase-merge/rewritten-list",
)  # fmt: skip
OWN_REFS = "refs"  # in a worktree's folder: bisect, worktree, rewritten


def recorded(checkout: Checkout, branch: str, known: Iterable[str]) -> tuple[str, ...]:
    """What `known` does not reach, without those that others of them reach; what is not there any more is left out."""
    told = dict.fromkeys(commit.decode() for text in _texts(checkout, branch) for commit in COMMIT.findall(text))
    if not told:
        return ()
    asked = "".join(f"{commit}\n" for commit in [*told, *(f"^{commit}" for commit in known)])
    out = git(checkout, "rev-list", "--parents", "--ignore-missing", "--stdin", stdin=asked.encode())
    rows = [line.split() for line in out.decode().splitlines()]
    below = {parent for row in rows for parent in row[1:]}
    return tuple(row[0] for row in rows if row[0] not in below)


def _texts(checkout: Checkout, branch: str) -> Iterator[bytes]:
    for name in HEADS:
        yield _read(checkout.git_dir / name)
    for folder, _, names in os.walk(checkout.git_dir / OWN_REFS):
        yield from (_read(Path(folder) / name) for name in names)
    yield _read(checkout.common / "logs" / "refs" / "heads" / branch)
    yield from _stashed(checkout, branch)


def _stashed(checkout: Checkout, branch: str) -> Iterator[bytes]:
    """The stash is shared by all worktrees; its messages name the branch that each entry was made on."""
    mark = f"n {branch}:".encode()  # `On branch: …` and `WIP on branch: …`
    for line in _read(checkout.common / "logs" / "refs" / "stash").splitlines():
        names, _, says = line.partition(b"\t")
        if says.startswith((b"O" + mark, b"WIP o" + mark)):
            yield names.split(b" ")[1]


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
