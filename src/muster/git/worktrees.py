"""An agent's own worktree: made, found, mended, removed.

Above it: the reconciler that wants a folder to be there, or gone. Below it: git. It knows no agents and no rows. All
of it can be done again after a crash at any point, and ends the same.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from muster.errors import GitFailed
from muster.git.beside import Note, beside, delete, read, sync, sync_all, whole, working_on, write
from muster.git.capture import begin
from muster.git.commits import DURABLE, commit_named, commit_of, empty_commit, temporary_index, tree_named, unlock
from muster.git.contents import ADD, Rules, copy_index, follow, write_tree
from muster.git.project import open_project
from muster.git.run import Checkout, ask, git
from muster.git.within import has_own_commits, links, not_ignored, repositories, submodules
from muster.model import filename

REMOVING = "removing"
DRAFT = "draft"
REPLACED = "replaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorktreeWish:
    """A worktree of the project at `folder`, on a branch of its own that begins at the commit `base`."""

    project: Path
    folder: Path
    branch: str
    base: str


def create(wish: WorktreeWish) -> Checkout:
    """Make it so, from whatever an earlier try, a crash or the agent has left; files of a worktree once ready stay.

    Raises GitFailed, also where the folder or the branch is there and not from us.
    """
    project, folder = open_project(wish.project), whole(wish.folder)
    with working_on(folder):
        note = read(folder) or _adopted(project, folder)
        if note is None or not note.is_ready:
            _refuse_foreign(folder, note)
            return _make(project, replace(wish, folder=folder))
        return _mend(project, replace(wish, folder=folder), note)


def checkout_of(project: Checkout, folder: Path) -> Checkout:
    """The worktree at a folder, by what was noted when it was made; nothing inside the folder is asked.

    Raises GitFailed where it is not one of this project's, and where `create` has to mend it first.
    """
    folder = whole(folder)
    note = read(folder)
    if note is None or not note.is_ready or Path(note.common) != project.common:
        raise GitFailed(what="worktree", why=f"{folder} is no worktree of {project.common}")
    checkout = Checkout(common=project.common, git_dir=Path(note.git_dir), work_tree=folder)
    if folder.is_symlink() or not folder.is_dir() or not _is_registered(checkout):
        raise GitFailed(what="worktree", why=f"{folder} is damaged; it has to be created again")
    return checkout


def owned(project: Checkout, root: Path) -> list[Path]:
    """Folders under `root` that are, or were to become, worktrees of this repository, whoever knows of them."""
    root = root.resolve()
    known = {Path(told).parent for told in _registrations(project).values()}
    noted = {place.parent.parent / place.parent.name[1:] for place in root.glob("**/.*/worktree.json")}
    ours = {folder for folder in noted if (note := read(folder)) and Path(note.common) == project.common}
    return sorted(
        folder for folder in known | ours if folder.is_relative_to(root) and not folder.parent.name.startswith(".")
    )


def base_of(project: Checkout, *, dirty: bool, along: Sequence[Path] = ()) -> str:
    """The commit that a worktree begins at: HEAD, or one on top of it with what the user has not committed.

    That is all of it, or only the files `along` as they stand; never what git ignores. Nothing of the user's is
    touched; in an empty repository there is an empty commit instead of HEAD's.
    """
    head = commit_named(project, "HEAD") or empty_commit(project)
    if not dirty and not along:
        return head
    with temporary_index() as index:
        if dirty:
            _enter_all(project, index)
        else:
            git(project, "read-tree", head, index=index)
        private = ignored(project, along)
        names = [path.relative_to(project.work_tree) for path in _within(project, along) if path not in private]
        git(project, *ADD, stdin=b"".join(os.fsencode(name) + b"\0" for name in names), index=index)
        tree = write_tree(project, index)
    if tree == tree_named(project, head):
        return head
    return commit_of(project, tree, (head,), "The user's work that was not committed yet")


def _enter_all(project: Checkout, index: Path) -> None:
    theirs = copy_index(project.git_dir / "index", index.with_name("theirs"))
    copy_index(project.git_dir / "index", index)
    modules = submodules(project) | links(project, index)
    follow(project, index, Rules(theirs=theirs, modules=modules, takes_repositories=False))


def ignored(project: Checkout, paths: Sequence[Path]) -> list[Path]:
    """Files below the top that git ignores and does not track."""
    names = {os.fsencode(path.relative_to(project.work_tree)): path for path in _within(project, paths)}
    taken = not_ignored(project, [*names])
    return [path for name, path in names.items() if name not in taken]


def _within(project: Checkout, paths: Sequence[Path]) -> list[Path]:
    """Those that git can hold: below the top, and not by way of a link."""
    inside = [path for path in paths if path.is_relative_to(project.work_tree) and path.is_file()]
    return [path for path in inside if path.parent == path.parent.resolve()]


def remove(checkout: Checkout, *, told: bool = False) -> None:
    """The folder and its registration go; branch and snapshots stay. Done again, it goes on where it stopped.

    Refuses with GitFailed where repositories of their own stand in it, whose commits no snapshot holds, unless whoever
    wants it was `told`.
    """
    folder = checkout.work_tree
    with working_on(folder) as place:
        if not told:
            _refuse_loss(checkout, place)
        if folder.exists() or folder.is_symlink():
            delete(place / REMOVING)
            folder.rename(place / REMOVING)
        _unregister(checkout, folder)
        delete(place)


def _refuse_loss(checkout: Checkout, place: Path) -> None:
    """What is nobody's but this worktree's: repositories within it, and what the agent had put in place of `.git`."""
    holding = [str(path) for path in place.glob(f"{REPLACED}-*") if not path.is_symlink()]
    note = read(checkout.work_tree)
    if checkout.work_tree.is_dir() and not checkout.work_tree.is_symlink():
        checkout = replace(checkout, git_dir=Path(note.git_dir)) if note and note.git_dir else checkout
        modules = submodules(checkout) | (frozenset(map(filename.raw, note.links)) if note else frozenset())
        inner = repositories(checkout)
        holding += [filename.told(path) for path in inner if path not in modules or has_own_commits(checkout, path)]
        holding += [".git"] if (checkout.work_tree / ".git").is_dir() else []
    if holding:
        raise GitFailed(what="worktree remove", why=f"other repositories stand in it: {', '.join(holding)}")


def drop_branch(project: Checkout, branch: str) -> None:
    """An agent's branch is let go. Raises GitFailed where somebody works on it."""
    ref = f"refs/heads/{branch}"
    used = git(project, "for-each-ref", "--format=%(worktreepath)", ref).decode(errors="replace").strip()
    if used:
        raise GitFailed(what="branch", why=f"{branch} is checked out at {used}")
    git(project, "update-ref", "-d", ref)


def _adopted(project: Checkout, folder: Path) -> Note | None:
    """Where our note was lost: a worktree that git knows at this folder, and that is no half-made one."""
    for git_dir, told in _registrations(project).items():
        if Path(told).parent == folder and (git_dir / "index").exists():
            return Note(common=str(project.common), branch="", base="", git_dir=str(git_dir), is_ready=True)
    return None


def _refuse_foreign(folder: Path, note: Note | None) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise GitFailed(what="worktree add", why=f"{folder} is in the way")
    if note is None and folder.is_dir() and any(folder.iterdir()):
        raise GitFailed(what="worktree add", why=f"{folder} holds files that are not from us")


def _make(project: Checkout, wish: WorktreeWish) -> Checkout:
    """From nothing: what an earlier try left has never been worked in."""
    folder = wish.folder
    note = Note(common=str(project.common), branch=wish.branch, base=wish.base)
    write(folder, note)
    delete(folder)
    checkout = _register(project, wish)
    folder.mkdir(parents=True, exist_ok=True)
    _point(checkout)
    git(checkout, "read-tree", "--reset", "-u", "HEAD")
    others = tuple(map(filename.told, sorted(begin(checkout, beside(folder)))))
    sync_all(checkout.git_dir)
    write(folder, replace(note, git_dir=str(checkout.git_dir), links=others, is_ready=True))
    return checkout


def _mend(project: Checkout, wish: WorktreeWish, note: Note) -> Checkout:
    """A worktree that was ready keeps its files; what git needs to know of it is made true again."""
    folder = wish.folder
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.rename(_free(beside(folder) / REPLACED))
    checkout = Checkout(common=project.common, git_dir=Path(note.git_dir), work_tree=folder)
    if not _is_registered(checkout):
        checkout = _register(project, wish)
    if not (checkout.git_dir / "index").exists() and commit_named(checkout, "HEAD"):
        git(checkout, "read-tree", "HEAD")
    if read(folder) is None or note.git_dir != str(checkout.git_dir):
        write(folder, replace(note, branch=note.branch or wish.branch, git_dir=str(checkout.git_dir)))
    if not folder.is_dir():
        _bring_back(checkout)
    _point(checkout)
    return checkout


def _bring_back(checkout: Checkout) -> None:
    """All files that the index knows, or none yet: half of them would look as if the rest had been deleted."""
    draft = beside(checkout.work_tree) / DRAFT
    delete(draft)
    draft.mkdir()
    git(replace(checkout, work_tree=draft), "checkout-index", "--all", "--force")
    draft.rename(checkout.work_tree)


def _register(project: Checkout, wish: WorktreeWish) -> Checkout:
    """Git learns of the worktree in an empty folder beside it, so that what stands in the true one is in no way."""
    scratch = beside(wish.folder) / f"muster-{wish.folder.parent.name}-{wish.folder.name}"  # its name in the repository
    log = _deleted(project, {scratch, wish.folder})
    delete(scratch)
    unlock(project, f"refs/heads/{wish.branch}")
    branch = _branch(project, wish)
    reason = ("--lock", "--reason", "kept by muster")
    git(project, *DURABLE, "worktree", "add", "--quiet", "--no-checkout", *reason, *branch[0], str(scratch), branch[1])
    git_dir = next(at for at, told in _registrations(project).items() if Path(told).parent == scratch)
    checkout = Checkout(common=project.common, git_dir=git_dir, work_tree=wish.folder)
    (git_dir / "logs").mkdir(exist_ok=True)
    with (git_dir / "logs" / "HEAD").open("ab") as file:  # git writes on, whatever core.logAllRefUpdates says
        file.write(log)
    delete(scratch)
    return checkout


def _deleted(project: Checkout, folders: set[Path]) -> bytes:
    """Earlier registrations of these folders go; returns what they recorded of HEAD, for it may be nowhere else."""
    log = b""
    for git_dir, told in _registrations(project).items():
        if Path(told).parent in folders:
            with suppress(OSError):
                log += (git_dir / "logs" / "HEAD").read_bytes()
            delete(git_dir)
    return log


def _branch(project: Checkout, wish: WorktreeWish) -> tuple[list[str], str]:
    ref = f"refs/heads/{wish.branch}"
    code, out, _ = ask(project, "rev-parse", "--verify", "--quiet", ref)
    if code:
        return ["-b", wish.branch], wish.base
    note = read(wish.folder)
    if not (note and note.is_ready) and out.decode().strip() != wish.base:
        raise GitFailed(what="worktree add", why=f"the branch {wish.branch} is there already and stands elsewhere")
    return [], wish.branch


def _point(checkout: Checkout) -> None:
    """Folder and registration name each other."""
    dot_git, told = checkout.work_tree / ".git", f"gitdir: {checkout.git_dir}\n".encode()
    if dot_git.is_symlink() or not dot_git.is_file() or dot_git.read_bytes() != told:
        if dot_git.is_symlink() or dot_git.exists():
            dot_git.rename(_free(beside(checkout.work_tree) / REPLACED))
        dot_git.write_bytes(told)
    registered = checkout.git_dir / "gitdir"
    if registered.read_bytes() != os.fsencode(dot_git) + b"\n":
        registered.write_bytes(os.fsencode(dot_git) + b"\n")
    sync(checkout.git_dir)


def _free(path: Path) -> Path:
    taken = {at.name for at in path.parent.iterdir()}
    return next(path.with_name(name) for n in count() if (name := f"{path.name}-{n}") not in taken)


def _is_registered(checkout: Checkout) -> bool:
    return checkout.git_dir.parent == checkout.common / "worktrees" and (checkout.git_dir / "HEAD").is_file()


def _registrations(project: Checkout) -> dict[Path, str]:
    """Each worktree's folder in the repository, and the `.git` that it names."""
    return dict(_each_registration(project.common / "worktrees"))


def _each_registration(worktrees: Path) -> Iterator[tuple[Path, str]]:
    for told in sorted(worktrees.glob("*/gitdir")):
        try:
            yield told.parent, os.fsdecode(told.read_bytes()).removesuffix("\n")
        except OSError:
            continue


def _unregister(checkout: Checkout, folder: Path) -> None:
    for git_dir, told in _registrations(checkout).items():
        if Path(told).parent == folder:
            delete(git_dir)
