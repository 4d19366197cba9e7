"""A tree with some of its paths replaced, without an index of all the others: only the folders on the way are read."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from muster.errors import GitFailed
from muster.git.run import Checkout, git
from muster.model import filename
from muster.model.change import Content

FOLDER = "40000"
KINDS = {FOLDER: "tree", "160000": "commit"}


def contents(project: Checkout, commit: str) -> dict[str, Content]:
    """All that a commit, or a tree, holds, by path."""
    found = {}
    for entry in git(project, "ls-tree", "-r", "-z", commit).split(b"\0")[:-1]:
        facts, _, name = entry.partition(b"\t")
        mode, _, blob = facts.decode().split(" ")
        found[filename.told(name)] = Content(mode=mode, blob=blob)
    return found


@dataclass(slots=True)
class Folder:
    """One that was read: modes and names of objects, and the folders in it that were read too."""

    entries: dict[bytes, tuple[str, str]] = field(default_factory=dict)
    folders: dict[bytes, "Folder"] = field(default_factory=dict)


def replaced(project: Checkout, tree: str, contents: Mapping[str, Content | None]) -> str:
    """The name of the new tree; None takes a path out, and a folder with it that holds nothing else."""
    paths = {tuple(filename.raw(path).split(b"/")): content for path, content in contents.items()}
    top = _read(project, tree, set(paths))
    for path, content in sorted(paths.items(), key=lambda item: item[1] is not None):
        _set(top, path, content)
    written: list[bytes] = []
    name = _write(top, written, len(tree))
    if name is None:
        return _hashed(b"", len(tree))  # which every repository has
    made = git(project, "mktree", "-z", "--batch", "--missing", stdin=b"\0".join(written)).decode().split()
    if not made or made[-1] != name:
        raise GitFailed(what="mktree", why=f"it made {made[-1:]}, not {name}")
    return name


def _read(project: Checkout, tree: str, paths: set[tuple[bytes, ...]]) -> Folder:
    """The folders above the paths, one level of all of them at a time."""
    top = Folder()
    level: dict[tuple[bytes, ...], tuple[Folder, str]] = {(): (top, tree)}
    while level:
        wanted = {path[: depth + 1] for path in paths for depth in range(len(path) - 1)}
        names = [name for _, name in level.values()]
        below: dict[tuple[bytes, ...], tuple[Folder, str]] = {}
        for (at, (folder, _)), content in zip(level.items(), _trees(project, names), strict=True):
            folder.entries = dict(_entries(content, len(tree) // 2))
            for part in [
                part for part, (mode, _) in folder.entries.items() if mode == FOLDER and (*at, part) in wanted
            ]:
                folder.folders[part] = Folder()
                below[*at, part] = folder.folders[part], folder.entries[part][1]
        level = below
    return top


def _trees(project: Checkout, names: list[str]) -> Iterator[bytes]:
    told = git(project, "cat-file", "--batch", stdin="".join(f"{name}\n" for name in names).encode())
    at = 0
    for name in names:
        line = told[at : told.index(b"\n", at)]
        kind, _, size = line.decode().removeprefix(f"{name} ").partition(" ")
        if kind != "tree":
            raise GitFailed(what="cat-file", why=line.decode())
        at += len(line) + 1
        yield told[at : at + int(size)]
        at += int(size) + 1


def _entries(tree: bytes, size: int) -> Iterator[tuple[bytes, tuple[str, str]]]:
    """Of a tree as git stores it: mode, name, and `size` bytes of the object's name."""
    at = 0
    while at < len(tree):
        end = tree.index(b"\0", at)
        mode, _, name = tree[at:end].partition(b" ")
        yield name, (mode.decode(), tree[end + 1 : end + 1 + size].hex())
        at = end + 1 + size


def _set(top: Folder, path: tuple[bytes, ...], content: Content | None) -> None:
    folder = top
    for part in path[:-1]:
        if part not in folder.folders:
            if content is None:
                return
            folder.entries[part] = FOLDER, ""
            folder.folders[part] = Folder()
        folder = folder.folders[part]
    folder.folders.pop(path[-1], None)
    if content is None:
        folder.entries.pop(path[-1], None)
    else:
        folder.entries[path[-1]] = content.mode, content.blob


def _write(folder: Folder, written: list[bytes], length: int) -> str | None:
    """For `git mktree`, what is in a folder before the folder; the name that git will give it, if it holds anything."""
    for part, inner in folder.folders.items():
        name = _write(inner, written, length)
        if name is None:
            folder.entries.pop(part, None)
        else:
            folder.entries[part] = FOLDER, name
    if not folder.entries:
        return None
    lines = [(mode, name, part) for part, (mode, name) in folder.entries.items()]
    written.append(b"".join(b"%s %s %s\t%s\0" % (m.encode(), _kind(m), n.encode(), p) for m, n, p in lines))
    ordered = sorted(lines, key=lambda line: line[2] + (b"/" if line[0] == FOLDER else b""))
    stored = b"".join(mode.encode() + b" " + part + b"\0" + bytes.fromhex(name) for mode, name, part in ordered)
    return _hashed(stored, length)


def _hashed(tree: bytes, length: int) -> str:
    kind = hashlib.sha1 if length == hashlib.sha1().digest_size * 2 else hashlib.sha256
    return kind(b"tree %d\0" % len(tree) + tree, usedforsecurity=False).hexdigest()


def _kind(mode: str) -> bytes:
    return KINDS.get(mode, "blob").encode()
