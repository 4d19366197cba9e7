"""Commits that Muster makes by itself, from trees that no index of the user's has seen."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from muster.git.run import Checkout, ask, git

AUTHOR = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "muster"), ("EMAIL", "muster@localhost"))
}
TIMELESS = AUTHOR | {"GIT_AUTHOR_DATE": "@0 +0000", "GIT_COMMITTER_DATE": "@0 +0000"}  # the same tree, the same commit
DURABLE = ("-c", "core.fsync=committed,reference")  # on the disk before git returns


def commit_of(checkout: Checkout, tree: str, parents: Sequence[str], says: str, by: Mapping[str, str] = AUTHOR) -> str:
    """A commit that no ref names yet. `by`: the variables that say whose it is, and of when."""
    named = [word for parent in parents for word in ("-p", parent)]
    command = (*DURABLE, "commit-tree", tree, *named, "-F", "-")
    return git(checkout, *command, stdin=says.encode(), environment=by).decode().strip()


def empty_commit(checkout: Checkout) -> str:
    """What stands for HEAD where nothing was ever committed."""
    tree = git(checkout, *DURABLE, "hash-object", "-w", "-t", "tree", "--stdin").decode().strip()
    return commit_of(checkout, tree, (), "An empty repository", TIMELESS)


def commit_named(checkout: Checkout, name: str) -> str | None:
    code, out, _ = ask(checkout, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    return out.decode().strip() if code == 0 else None


def tree_named(checkout: Checkout, name: str) -> str:
    return git(checkout, "rev-parse", "--verify", f"{name}^{{tree}}").decode().strip()


def unlock(checkout: Checkout, ref: str) -> None:
    """A git that died while it wrote a ref leaves its lock for ever. For refs that nobody but the caller writes."""
    (checkout.common / f"{ref}.lock").unlink(missing_ok=True)


@contextmanager
def temporary_index() -> Iterator[Path]:
    """The name of an index that is not there yet, and is gone afterwards."""
    with TemporaryDirectory(prefix="muster-index-") as folder:
        yield Path(folder) / "index"
