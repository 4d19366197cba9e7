"""Merges, computed without touching a file, an index or a ref.

"Ours" is made anew for each merge: what the user has committed, with what of earlier merges still stands in the files.
So HEAD may move, and two agents may change one file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muster.errors import GitFailed
from muster.git.commits import DURABLE, commit_of, empty_commit, tree_named
from muster.git.conflicts import Conflict, conflicts
from muster.git.run import Checkout, ask, git
from muster.git.standing import Standing, standing
from muster.git.trees import replaced
from muster.model import filename
from muster.model.change import Content, PathChange

NO_FILE = "000000"


@dataclass(frozen=True, slots=True)
class Landing:
    """A merge of which something stands: the agent's commit, and what it changed in the user's files.

    Without a tip it does not stand whole: it was stopped, or not all of it could be undone.
    """

    tip: str | None
    changes: tuple[PathChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A merge without conflict: the whole tree, and what of it is not in ours. No changes: there was nothing new."""

    tree: str
    changes: tuple[PathChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflicted:
    conflicts: tuple[Conflict, ...]


def ours(project: Checkout, landings: Sequence[Landing] = ()) -> str:
    """A commit that stands for the user's side: HEAD, and of earlier landings, oldest first, what still stands.

    What the user took back to what was there before counts as never landed; what the user changed since is not
    committed, so it is not in it.
    """
    head = head_of(project) or empty_commit(project)
    histories = _histories(landings)
    found = standing(project, {path: _candidates(history) for path, history in histories.items()})
    landed = {path: found[path].content for path in found if _is_landed(histories[path], found[path])}
    tips = [one.tip for at, one in enumerate(landings) if one.tip and _stands(one, at, histories, found)]
    if not landed and not tips:
        return head
    parents = tuple(dict.fromkeys([head, *tips]))
    tree = replaced(project, tree_named(project, head), landed)
    return commit_of(project, tree, parents, "The user's side of a merge")


def compute(project: Checkout, tip: str, ours: str, *, since: str | None = None) -> Merged | Conflicted:
    """Merge an agent's commit into ours. `since` is the newest of the agent's commits that was landed, if any.

    With it what the agent amended or threw away since then is seen as that, not as a second change of the same lines.
    """
    theirs = tip if since is None else _after(project, tip, since)
    options = ("--write-tree", "-z", "--allow-unrelated-histories")
    code, out, err = ask(project, "merge-tree", *options, ours, theirs)
    if code == 1:
        return Conflicted(conflicts=conflicts(project, out, names={ours: "ours", theirs: "theirs"}))
    if code:
        raise GitFailed(what="merge-tree", why=err.decode(errors="replace").strip())
    tree = out.split(b"\0")[0].decode()
    return Merged(tree=tree, changes=changes(project, ours, tree))


def changes(project: Checkout, old: str, new: str) -> tuple[PathChange, ...]:
    """From one tree or commit to another; a rename is a deletion and an addition."""
    out = git(project, "diff-tree", "-r", "-z", "--no-renames", "--ignore-submodules=none", old, new)
    return tuple(change for _, change in raw_changes(out))


def raw_changes(told: bytes) -> list[tuple[str, PathChange]]:
    """What git prints with `--raw -z`: its letter and the change, for each path."""
    fields = iter(told.split(b"\0")[:-1])
    return [(facts[-1:].decode(), _change(facts, path)) for facts, path in zip(fields, fields, strict=True)]


def keep(project: Checkout, ref: str, merged: Merged, parents: Sequence[str]) -> str:
    """A commit of the merged tree under a ref, so that git keeps all that landing and undoing it takes.

    What was made for it is on the disk then, in one pack: that is one wait for the disk, not one for each object.
    """
    kept = commit_of(project, merged.tree, parents, "A merge")
    head = head_of(project)
    known = [parent if parent == head else f"{parent}^@" for parent in parents]
    pack = project.common / "objects" / "pack" / "pack"
    words = "\n".join([kept, "--not", *known]).encode()
    git(project, *DURABLE, "pack-objects", "--quiet", "--revs", "--sparse", str(pack), stdin=words)
    git(project, *DURABLE, "update-ref", ref, kept)
    return kept


def head_of(project: Checkout) -> str | None:
    """The user's commit; None in a repository without one."""
    code, out, err = ask(project, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    if code and err:
        raise GitFailed(what="rev-parse", why=err.decode(errors="replace").strip())
    return None if code else out.decode().strip()


# ── what of earlier landings stands ──────────────────────────────────────────────────────────────

History = list[tuple[int, PathChange]]  # of one path: which landing, and what it did


def _histories(landings: Sequence[Landing]) -> dict[str, History]:
    histories: dict[str, History] = {}
    for at, landing in enumerate(landings):
        for change in landing.changes:
            histories.setdefault(change.path, []).append((at, change))
    return histories


def _candidates(history: History) -> list[Content | None]:
    """What was landed, newest first; then what was there before."""
    landed = [change.new for _, change in reversed(history)]
    before = [change.old for _, change in reversed(history)]
    return list(dict.fromkeys([*landed, *before]))


def _is_landed(history: History, found: Standing) -> bool:
    return any(change.new == found.content for _, change in history)


def _stands(landing: Landing, at: int, histories: Mapping[str, History], found: Mapping[str, Standing]) -> bool:
    """Whether any of it was not taken back."""
    return any(not _is_taken_back(at, histories[change.path], found.get(change.path)) for change in landing.changes)


def _is_taken_back(at: int, history: History, found: Standing | None) -> bool:
    """The file is again what it was before this landing. What it became by later hands stands on this one."""
    if found is None:
        return False
    if any(change.new == found.content for by, change in history if by >= at):
        return False
    return any(change.old == found.content for by, change in history if by <= at)


def _after(project: Checkout, tip: str, since: str) -> str:
    """The agent's commit, as one that knows what was landed."""
    code, _, err = ask(project, "merge-base", "--is-ancestor", since, tip)
    if code not in (0, 1):
        raise GitFailed(what="merge-base", why=err.decode(errors="replace").strip())
    return tip if code == 0 else commit_of(project, f"{tip}^{{tree}}", (tip, since), "The agent's side of a merge")


def _change(facts: bytes, path: bytes) -> PathChange:
    old_mode, new_mode, old, new, _ = facts.decode().removeprefix(":").split(" ")
    return PathChange(
        path=filename.told(path),
        old_blob=None if old_mode == NO_FILE else old,
        old_mode=None if old_mode == NO_FILE else old_mode,
        new_blob=None if new_mode == NO_FILE else new,
        new_mode=None if new_mode == NO_FILE else new_mode,
    )
