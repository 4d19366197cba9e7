"""Moves the refs of merges that land as commits, and lets the user's index follow. Blocking; called in a thread.

What is done here a second time, after a crash, changes nothing.
"""

from collections.abc import Sequence

from muster.git.branching import MOVED, Author, contains, current_branch, follow, move, revert
from muster.git.run import Checkout
from muster.model.change import PathChange
from muster.model.merge import LandAs, Merge

SWITCHED = "Another branch was checked out at this very moment."
UNDOING = "Take the work of {name} back"


def advance(project: Checkout, merge: Merge, changes: Sequence[PathChange]) -> str | None:
    """Why the ref cannot be moved to the merge's commit, if it cannot. Raises GitFailed."""
    assert merge.ref and merge.commit, f"{merge.id} lands by no ref"
    is_onto = merge.land_as is LandAs.COMMITS
    if is_onto and current_branch(project) != merge.ref:
        return SWITCHED
    is_there = move(project, merge.ref, to=merge.commit, since=merge.head if is_onto else None)
    if not is_there and not contains(project, merge.ref, merge.commit):
        return MOVED.format(ref=merge.ref)
    if is_onto:
        follow(project, changes)
    return None


def retreat(project: Checkout, merge: Merge, name: str, changes: Sequence[PathChange]) -> str | None:
    """Why it cannot be taken back, if it cannot: a branch of ours goes, the user's gets a commit. Raises GitFailed."""
    assert merge.ref and merge.commit, f"{merge.id} landed by no ref"
    if merge.land_as is LandAs.BRANCH:
        return None if move(project, merge.ref, to=None, since=merge.commit) else MOVED.format(ref=merge.ref)
    why = revert(project, merge.ref, changes, Author(name="muster", says=UNDOING.format(name=name)))
    if why is None:
        follow(project, [change.backwards() for change in changes])
    return why
