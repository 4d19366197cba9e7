"""The hub's own bare repository beside the user's: what is kept there stays whole when the user's is deleted."""

from pathlib import Path

from muster.git.beside import delete, sync, sync_all
from muster.git.commits import DURABLE, commit_named, unlock
from muster.git.run import Checkout, alone, ask, git

PACKS = 50


def kept(keep: Path) -> Checkout:
    """The hub's repository, to read from."""
    return Checkout(common=keep, git_dir=keep, work_tree=keep)


def keep_ref(checkout: Checkout, keep: Path, ref: str, commit: str) -> None:
    """Commit and all that it reaches are in `keep` under the same ref, on the disk. Begun with what the user has."""
    if not keep.is_dir():
        keep.parent.mkdir(parents=True, exist_ok=True)
        with alone(keep.with_suffix(".lock")):  # all agents of a fleet come to rest at about the same time
            _begin(checkout, keep)
    if commit_named(kept(keep), ref) == commit:
        return
    durable = (*DURABLE, "-c", "fetch.unpackLimit=1")  # one file to write through, however many objects
    plain = ("--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--update-shallow")
    unlock(kept(keep), ref)
    git(kept(keep), *durable, "fetch", *plain, str(checkout.common), f"+{commit}:{ref}")
    _gather(keep)


def forget_ref(keep: Path, ref: str) -> None:
    if keep.is_dir():
        git(kept(keep), "update-ref", "-d", ref)


def _begin(checkout: Checkout, keep: Path) -> None:
    if keep.is_dir():
        return
    draft = keep.with_name(f"{keep.name}.new")
    delete(draft)
    plain = ("--quiet", "--bare", "--template=", "--dissociate")
    code, _, _ = ask(checkout, "clone", *plain, "--local", str(checkout.common), str(draft))
    if code:  # a repository that is itself made of links
        delete(draft)
        git(checkout, "clone", *plain, "--no-local", str(checkout.common), str(draft))
    sync_all(draft, passing_over="objects")  # those are the user's own files, by a second name
    draft.rename(keep)
    sync(keep.parent)


def _gather(keep: Path) -> None:
    """Each snapshot is a pack; many small ones become few, of which each is twice the next. Nothing is thrown away."""
    if len(list((keep / "objects" / "pack").glob("*.pack"))) <= PACKS:
        return
    with alone(keep.with_suffix(".lock")):
        git(kept(keep), *DURABLE, "repack", "--quiet", "-d", "--geometric=2", "--no-write-bitmap-index")
