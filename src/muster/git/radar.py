"""Whether two agents' work fits together, computed without touching a file, an index or a ref.

Files that both changed are nearly always changed in different places (reference: one pair in fourteen conflicts), so
the names decide only who is compared; git's own merge says who conflicts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import muster.model.filename as filename
from muster.errors import GitFailed
from muster.git.conflicts import Conflict, conflicts
from muster.git.run import Checkout, ask, git

Names = frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Side:
    """What an agent has: the commit that it began from, and its newest."""

    base: str
    tip: str


def changed_paths(project: Checkout, side: Side) -> Names:
    """What differs between the two; a rename counts with both names."""
    told = git(
        project, "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none", side.base, side.tip
    )
    return frozenset(told.split(b"\0")[:-1])


def meet(one: Names, other: Names) -> bool:
    """Whether they share a path, or one has a file where the other has a folder."""
    return not one.isdisjoint(other) or _stands_in(one, other) or _stands_in(other, one)


def clash(project: Checkout, one: Side, other: Side, *, among: Names) -> tuple[Conflict, ...]:
    """What of the two cannot land together, among paths that either changed: the first is `ours`, the other `theirs`.

    Where they began at different states of the user's, the rest is not their doing.
    """
    names = {one.tip: "one", other.tip: "the other"}
    code, out, err = ask(project, "merge-tree", "--write-tree", "-z", "--allow-unrelated-histories", *names)
    if code not in (0, 1):
        raise GitFailed(what="merge-tree", why=err.decode(errors="replace").strip())
    found = conflicts(project, out, names=names) if code else ()
    told = {filename.told(name) for name in among}
    return tuple(conflict for conflict in found if conflict.path in told)


class Changes:
    """Changed paths, remembered by commits, whose names say all that is in them. The oldest are forgotten."""

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._known: dict[tuple[str, Side], Names] = {}

    def of(self, project: Checkout, side: Side) -> Names:
        key = (str(project.common), side)
        names = self._known.pop(key, None)
        self._known[key] = names = changed_paths(project, side) if names is None else names
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return names


def _stands_in(files: Names, others: Names) -> bool:
    return any(folder in files for name in others for folder in _folders(name))


def _folders(name: bytes) -> Mapping[bytes, None]:
    parts = name.split(b"/")
    return {b"/".join(parts[:at]): None for at in range(1, len(parts))}
