"""What was landed, as a diff: made from the blobs, for the user's index knows nothing of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muster.git.commits import temporary_index
from muster.git.contents import write_tree
from muster.git.merging import head_of
from muster.git.run import Checkout, ask, git
from muster.git.scratch import enter
from muster.git.trees import contents
from muster.model.change import Content, PathChange

GITLINK = "160000"
MOST_BYTES = 200_000
PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--src-prefix=a/", "--dst-prefix=b/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """`shown` counts the files in it: not those that it had no room for, or whose contents git has no more."""

    text: str
    shown: int


def difference(project: Checkout, changes: Sequence[PathChange], most: int = MOST_BYTES) -> Diff:
    """One unified diff of so many bytes; only the last file in it may be cut."""
    gone = _gone(project, changes)
    there = [change for change in changes if change.path not in gone]
    old = _tree(project, {change.path: change.old for change in there})
    new = _tree(project, {change.path: change.new for change in there})
    texts = _by_file(git(project, "diff-tree", "-r", "-p", *PLAIN, old, new))
    shown: list[bytes] = []
    for text in texts:
        room = most - sum(map(len, shown))
        if room <= 0:
            break
        shown.append(text[:room])
    return Diff(text=b"".join(shown).decode(errors="replace"), shown=len(shown))


def committed(project: Checkout, changes: Sequence[PathChange]) -> set[str]:
    """The paths that stand in HEAD as they were landed: the user has taken them over."""
    head = head_of(project)
    if head is None:
        return set()
    wanted = {change.path: change.new for change in changes}
    there = contents(project, head)
    return {path for path, content in wanted.items() if there.get(path) == content}


def blob(project: Checkout, content: Content | None) -> bytes:
    return b"" if content is None else git(project, "cat-file", "blob", content.blob)


def _gone(project: Checkout, changes: Sequence[PathChange]) -> set[str]:
    """The paths of which git has lost one side: somebody dropped what kept it."""
    names = {name for change in changes for name in _blobs(change)}
    asked = "".join(f"{name}\n" for name in names).encode()
    _, out, _ = ask(project, "cat-file", "--batch-check=%(objectname)", stdin=asked)
    lost = {line.split()[0].decode() for line in out.splitlines() if line.endswith(b" missing")}
    return {change.path for change in changes if lost.intersection(_blobs(change))}


def _blobs(change: PathChange) -> list[str]:
    return [one.blob for one in (change.old, change.new) if one is not None and one.mode != GITLINK]


def _tree(project: Checkout, contents: Mapping[str, Content | None]) -> str:
    with temporary_index() as index:
        enter(project, index, {path: content for path, content in contents.items() if content is not None})
        return write_tree(project, index)


def _by_file(told: bytes) -> list[bytes]:
    parts = (b"\n" + told).split(b"\ndiff --git ")
    return [b"diff --git " + part + (b"" if part.endswith(b"\n") else b"\n") for part in parts[1:]]
