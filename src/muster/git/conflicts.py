"""Conflicts, read from what `git merge-tree -z` prints of them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from muster.git.run import Checkout, git
from muster.model import filename
from muster.model.change import Content

MOST_READ = 20  # conflicts of which the hunks are read
MOST_BYTES = 1_000_000  # of a file that is read for its hunks
MOST_HUNKS = 20  # of one file
SIDE = 2_000  # characters of one side of a hunk
BASE, OURS, THEIRS = 1, 2, 3  # git's stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunk:
    """Lines on which the sides differ, and the line of the merged text at which they stand."""

    line: int
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A path that git cannot merge.

    `kind` is git's word: contents, binary, modify/delete, rename/rename, rename/delete, file/directory, submodule …
    `says` is git's sentence. The sides are what stands there on each, None where nothing does. `hunks` are those of a
    text that both sides changed, bounded.
    """

    path: str
    kind: str
    says: str
    base: Content | None
    ours: Content | None
    theirs: Content | None
    hunks: tuple[Hunk, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    paths: tuple[bytes, ...]
    kind: str
    says: str


Stages = Mapping[int, Content]


def conflicts(project: Checkout, told: bytes, *, names: Mapping[str, str]) -> tuple[Conflict, ...]:
    """`names` says what the two commits are called in sentences, which git calls by their ids; ours is the first."""
    fields = iter(told.split(b"\0"))
    tree = next(fields).decode()
    stages = _stages(fields)
    messages = list(_messages(fields))
    found: list[Conflict] = []
    for path in stages:
        message = _message_about(path, messages)
        hunks = _hunks(project, tree, path, tuple(names)) if _has_hunks(message, stages[path], len(found)) else ()
        found.append(_conflict(_without(path, names), message, stages[path], hunks, names))
    return tuple(found)


def _conflict(
    path: bytes, message: Message, stages: Stages, hunks: tuple[Hunk, ...], names: Mapping[str, str]
) -> Conflict:
    return Conflict(
        path=filename.told(path),
        kind=message.kind,
        says=_renamed(message.says, names),
        base=stages.get(BASE),
        ours=stages.get(OURS),
        theirs=stages.get(THEIRS),
        hunks=hunks,
    )


def _stages(fields: Iterator[bytes]) -> dict[bytes, dict[int, Content]]:
    """By path, until the empty field behind them."""
    found: dict[bytes, dict[int, Content]] = {}
    for field in fields:
        if not field:
            break
        facts, _, path = field.partition(b"\t")
        mode, blob, stage = facts.decode().split(" ")
        found.setdefault(path, {})[int(stage)] = Content(mode=mode, blob=blob)
    return found


def _messages(fields: Iterator[bytes]) -> Iterator[Message]:
    """Only those about conflicts; git also tells what went well."""
    for count in fields:
        if not count.strip():
            break
        paths = tuple(next(fields) for _ in range(int(count)))
        kind, says = next(fields).decode(errors="replace"), next(fields).decode(errors="replace")
        if named := re.fullmatch(r"CONFLICT \((.*)\)", kind):
            yield Message(paths, named[1], says.strip())


def _message_about(path: bytes, messages: Sequence[Message]) -> Message:
    about = [message for message in messages if path in message.paths]
    return about[0] if about else Message((path,), "conflict", "Both sides changed it.")


def _has_hunks(message: Message, stages: Stages, before: int) -> bool:
    return before < MOST_READ and message.kind in ("contents", "add/add") and {OURS, THEIRS} <= stages.keys()


def _hunks(project: Checkout, tree: str, path: bytes, sides: tuple[str, ...]) -> tuple[Hunk, ...]:
    """Found by git's marks, which end in the commits' ids: marks that a file holds by itself are not taken for them."""
    blob = f"{tree}:{path.decode(errors='surrogateescape')}"
    if int(git(project, "cat-file", "-s", blob)) > MOST_BYTES:
        return ()
    text = git(project, "cat-file", "blob", blob).decode(errors="replace")
    return tuple(_marked(text.splitlines(keepends=True), *sides))[:MOST_HUNKS]


def _marked(lines: Sequence[str], ours: str, theirs: str) -> Iterator[Hunk]:
    side: str | None = None
    texts: dict[str, str] = {}
    begun = 0
    for number, line in enumerate(lines, start=1):
        if re.match(rf"<+ {ours}", line):
            side, texts, begun = "ours", {"ours": "", "base": "", "theirs": ""}, number
        elif side and re.match(rf">+ {theirs}", line):
            yield Hunk(line=begun, ours=texts["ours"][:SIDE], theirs=texts["theirs"][:SIDE])
            side = None
        elif side == "ours" and line.startswith("|||||||"):
            side = "base"
        elif side in ("ours", "base") and line.rstrip() == "=======":
            side = "theirs"
        elif side:
            texts[side] += line


def _without(path: bytes, names: Mapping[str, str]) -> bytes:
    """Git puts `~` and the side's name behind a file where the other side has a folder."""
    return re.sub(rb"~(" + b"|".join(name.encode() for name in names) + rb")(_\d+)?$", b"", path)


def _renamed(says: str, names: Mapping[str, str]) -> str:
    for name, spoken in names.items():
        says = says.replace(name, spoken)
    return says
