"""Landing as commits: on a branch of its own, or on the one that the user has checked out.

Made from HEAD alone: what stands in the user's files uncommitted is nobody's commit. A ref moves only from where it was
read, so that nobody's commit is lost; the files of the user's branch follow path by path, as in any landing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muster.errors import GitFailed
from muster.git.commits import AUTHOR, DURABLE, commit_of, empty_commit, tree_named
from muster.git.merging import head_of
from muster.git.run import Checkout, ask, git
from muster.git.scratch import enter
from muster.git.standing import standing
from muster.git.trees import contents, replaced
from muster.model import filename
from muster.model.change import Content, PathChange

LANDED = "muster/landed/{name}"
MOST_NUMBERS = 1_000
SUBJECTS = 20
ELSEWHERE = "{ref} is not checked out."
SINCE = "HEAD has these otherwise by now: {paths}."
OTHERWISE = "These are staged or changed: {paths}."
MOVED = "{ref} was moved."


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Whose work it is, and what is said of it."""

    name: str
    says: str


def signed(project: Checkout, agent: str) -> dict[str, str]:
    """The agent wrote it, and who uses this repository committed it; nobody known there: Muster did."""
    told = {"GIT_AUTHOR_NAME": agent, "GIT_AUTHOR_EMAIL": AUTHOR["GIT_AUTHOR_EMAIL"]}
    name, email = (_configured(project, f"user.{what}") for what in ("name", "email"))
    if name and email:
        return AUTHOR | told | {"GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email}
    return AUTHOR | told


def landed_commit(project: Checkout, tree: str, tip: str, author: Author, *, squash: bool) -> str:
    """On HEAD: one commit with all of it, or a merge that keeps the agent's own. No ref names it yet."""
    head = head_of(project)
    parents = ([head] if head else []) + ([] if squash else [tip])
    says = f"{author.says}\n\n{_subjects(project, head, tip)}".strip() + "\n"
    return commit_of(project, tree, parents, says, signed(project, author.name))


def with_uncommitted(project: Checkout, snapshot: str, tip: str | None, author: Author) -> str:
    """What the agent had not committed, as one commit on its newest: without the snapshots' own history."""
    by = signed(project, author.name)
    return commit_of(project, f"{snapshot}^{{tree}}", [tip] if tip else [], author.says, by)


# ── refs ─────────────────────────────────────────────────────────────────────────────────────────


def free_branch(project: Checkout, name: str) -> str:
    """A branch that is not there yet, numbered from 2 where it would be."""
    first = LANDED.format(name=name)
    names = (first, *(f"{first}-{number}" for number in range(2, MOST_NUMBERS)))
    return next(f"refs/heads/{one}" for one in names if read_ref(project, f"refs/heads/{one}") is None)


def current_branch(project: Checkout) -> str | None:
    """The ref of the branch that is checked out; None: HEAD is detached."""
    code, out, _ = ask(project, "symbolic-ref", "--quiet", "HEAD")
    return None if code else out.decode().strip()


def read_ref(project: Checkout, ref: str) -> str | None:
    code, out, _ = ask(project, "rev-parse", "--verify", "--quiet", ref)
    return None if code else out.decode().strip()


def move(project: Checkout, ref: str, *, to: str | None, since: str | None) -> bool:
    """From `since` (None: there is no such ref) to `to` (None: it goes). False: somebody moved it; True also where it
    was moved so before.
    """
    now = read_ref(project, ref)
    if now == to:
        return True
    if now != since:
        return False
    nothing = "0" * len(to or since or "")
    arguments = ("-d", ref, since or nothing) if to is None else (ref, to, since or nothing)
    code, _, err = ask(project, *DURABLE, "update-ref", "--no-deref", *arguments)
    if code and read_ref(project, ref) == since:
        raise GitFailed(what="update-ref", why=err.decode(errors="replace").strip())
    return code == 0


# ── the user's index ─────────────────────────────────────────────────────────────────────────────


def not_as_committed(project: Checkout, changes: Sequence[PathChange]) -> list[str]:
    """Those of the paths that the user has staged, or changed in the files."""
    staged = _staged(project, [change.path for change in changes])
    found = standing(project, {change.path: [change.old] for change in changes})
    return [
        change.path
        for change in changes
        if staged.get(change.path) != change.old or change.path not in found or found[change.path].content != change.old
    ]


def follow(project: Checkout, changes: Sequence[PathChange]) -> None:
    """Entries of the index that are as they were become what was landed; those that the user staged stay."""
    staged = _staged(project, [change.path for change in changes])
    entries = {change.path: change.new for change in changes if staged.get(change.path) == change.old}
    if entries:
        enter(project, project.git_dir / "index", entries)


def _staged(project: Checkout, paths: Sequence[str]) -> Mapping[str, Content | None]:
    """What the index has; a path that is not merged has nothing that equals anything."""
    wanted = set(paths)
    found: dict[str, Content | None] = {}
    for entry in git(project, "ls-files", "--stage", "-z").split(b"\0")[:-1]:
        facts, _, name = entry.partition(b"\t")
        path = filename.told(name)
        if path in wanted:
            mode, blob, stage = facts.decode().split(" ")
            found[path] = Content(mode=mode, blob=blob if stage == "0" else "unmerged")
    return found


def revert(project: Checkout, ref: str, changes: Sequence[PathChange], author: Author) -> str | None:
    """Take landed paths back by a commit on the user's branch; why not, where that cannot be. Done again it is done."""
    if current_branch(project) != ref:
        return ELSEWHERE.format(ref=ref)
    head = head_of(project)
    there = contents(project, head) if head else {}
    if all(there.get(change.path) == change.old for change in changes):
        return None
    back = [change.backwards() for change in changes]
    if stuck := [change.path for change in changes if there.get(change.path) != change.new]:
        return SINCE.format(paths=", ".join(stuck[:SUBJECTS]))
    if stuck := not_as_committed(project, back):
        return OTHERWISE.format(paths=", ".join(stuck[:SUBJECTS]))
    before = tree_named(project, head or empty_commit(project))
    tree = replaced(project, before, {change.path: change.new for change in back})
    commit = commit_of(project, tree, [head] if head else [], author.says, signed(project, author.name))
    return None if move(project, ref, to=commit, since=head) else MOVED.format(ref=ref)


def contains(project: Checkout, ref: str, commit: str) -> bool:
    now = read_ref(project, ref)
    return now is not None and ask(project, "merge-base", "--is-ancestor", commit, now)[0] == 0


def _configured(project: Checkout, key: str) -> str:
    code, out, _ = ask(project, "config", "--get", key)
    return "" if code else out.decode(errors="replace").strip()


def _subjects(project: Checkout, head: str | None, tip: str) -> str:
    """The agent's own words, where a squashed commit would lose them."""
    not_ours = [f"^{head}"] if head else []
    shape = ("--no-merges", f"--max-count={SUBJECTS}", "--no-commit-header", "--format=* %s")
    told = git(project, "rev-list", *shape, tip, *not_ours)
    return told.decode(errors="replace").strip()
