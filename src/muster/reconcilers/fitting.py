"""Whether a merge fits: all that git is asked before the user's files are touched.

Blocking; called in a thread. Nothing is written but objects, and one ref of ours that keeps what the merge is made of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from muster.git.branching import (
    Author,
    contains,
    current_branch,
    free_branch,
    landed_commit,
    not_as_committed,
    with_uncommitted,
)
from muster.git.commits import AUTHOR, commit_of, empty_commit, tree_named
from muster.git.conflicts import Conflict
from muster.git.merging import Conflicted, Landing, changes, compute, head_of, keep, ours
from muster.git.obstacles import obstacles
from muster.git.project import in_progress, open_project
from muster.git.review import blob
from muster.git.run import Checkout, ask, git
from muster.model.change import PathChange
from muster.model.merge import MOST_SIDES, NOTHING_TOLD, SIDE, LandAs, MergeFacts, PathNote, Plan, Sides
from muster.model.trigger import gives_other_orders, is_package, is_trigger
from muster.model.worktree import Worktree
from muster.views.merges import MergeWork

KEPT = "refs/muster/merges/{}"
AGAIN = "`muster merge {agent}` tries it again."
IN_THE_MIDST = "You are in the midst of a {what} in {project}."
UNCOMMITTED = "{name} has work that it has not committed."
TAKE_ALONG = "`muster merge {agent} --include-uncommitted` lands that too."
IN_THE_WAY = "Something of yours is in the way, and nothing was written."
CLEAR = "Commit it, or put it elsewhere; then `muster merge {agent}{terms}`."
CLASH = "Both sides changed the same, and nothing was written."
SETTLE = "It stays on the branch {branch}. Settle one side, then `muster merge {agent}{terms}` tries it again."
UNASKED = "It changes files that run by themselves: that lands on your word only."
UNWELL = "The last run of {name} did not end well: what it did lands on your word only."
LOOK = "Look at the branch {branch}; `muster merge {agent}{terms}` lands it."
DETACHED = "No branch is checked out, so there is none for commits to land on."
ATTACH = "Check one out; or `muster merge {agent} --as branch{terms}`."
STAGED = "Paths that it changes are staged or changed in your checkout, and nothing was written."
BEGUN_WITH = "{name} began with files that you had not committed, and they would come along in its history."
SQUASHED = "Land it as one commit: `muster merge {agent}{terms}`."
LANDING = "Land the work of {name}"
UNKEPT = "What {name} did could not be snapshotted: {error}"
NO_SNAPSHOT = "There is no snapshot of what {name} did: it was dropped."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fits:
    """`commit` is what comes of it."""

    commit: str
    plan: Plan
    changes: tuple[PathChange, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """It does not land; `is_conflict`: the two sides themselves are the reason."""

    facts: MergeFacts
    is_conflict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """The user's files have all of it."""


def has_nothing_new(work: MergeWork, worktree: Worktree) -> bool:
    """Whether the agent's files are as it found them, or as they were when they last landed: a cheap question."""
    before = _since(work) or worktree.base
    return before is not None and worktree.snapshot_tree == _tree_of(Path(work.merge.project), before)


def unkept(work: MergeWork, error: str) -> Against:
    """What cannot be kept is not landed."""
    return Against(facts=MergeFacts(why=UNKEPT.format(name=work.name, error=error), next=_said(work, AGAIN)))


def fit(work: MergeWork, worktree: Worktree, *, after: str | None = None) -> Fits | Against | Nothing:
    """`after`: what is to come of others that land before it, which the user's files do not show yet.

    Raises GitFailed.
    """
    project = open_project(Path(work.merge.project))
    if (what := in_progress(project)) is not None:
        why = IN_THE_MIDST.format(what=what, project=work.merge.project)
        return Against(facts=MergeFacts(why=why, next=f"Finish it; then {_said(work, AGAIN)}"))
    if worktree.snapshot is None:
        return Against(facts=MergeFacts(why=_said(work, NO_SNAPSHOT), next="Have it work again."))
    loose = _uncommitted(project, worktree)
    if loose and not work.merge.include_uncommitted:
        names = [change.path for change in loose]
        return Against(facts=NOTHING_TOLD.against(names, _said(work, UNCOMMITTED), _said(work, TAKE_ALONG)))
    tip = worktree.snapshot if loose or worktree.snapshot_tip is None else worktree.snapshot_tip
    if work.merge.land_as is LandAs.WORKING_TREE:
        return _against_ours(project, work, worktree, tip, after)
    return _on_head(project, work, worktree, tip)


def _against_ours(
    project: Checkout, work: MergeWork, worktree: Worktree, tip: str, after: str | None
) -> Fits | Against | Nothing:
    own = after or ours(project, [*_begun_with(project, worktree), *_landings(work)])
    found = compute(project, tip, own, since=_since(work))
    if isinstance(found, Conflicted):
        return Against(facts=_conflicting(work, found.conflicts), is_conflict=True)
    if not found.changes:
        return Nothing()
    unasked = tuple(_triggers(project, found.changes))
    withheld = _withheld(work, unasked) if work.merge.by_itself else None
    stopped = withheld or (None if after else _obstructed(project, work, found.changes))
    if stopped is not None:
        return Against(facts=replace(stopped, runs_by_itself=unasked))
    commit = keep(project, KEPT.format(work.merge.id), found, [own, tip])
    plan = Plan(tip=tip, ours=own, head=head_of(project), tree=found.tree, runs_by_itself=unasked)
    return Fits(commit=commit, plan=plan, changes=found.changes)


def _on_head(project: Checkout, work: MergeWork, worktree: Worktree, tip: str) -> Fits | Against | Nothing:
    """As commits, on what the user has committed: what only stands in the files is nobody's commit."""
    head, onto = head_of(project), current_branch(project)
    is_onto = work.merge.land_as is LandAs.COMMITS
    if is_onto and onto is None:
        return Against(facts=MergeFacts(why=DETACHED, next=_said(work, ATTACH)))
    if not work.merge.squash and _begun_at(project, worktree) is not None:
        return Against(facts=MergeFacts(why=_said(work, BEGUN_WITH), next=_said(work, SQUASHED)))
    own = _committed(project, work, worktree, head)
    found = compute(project, tip, own, since=_since_committed(work))
    if isinstance(found, Conflicted):
        return Against(facts=_conflicting(work, found.conflicts), is_conflict=True)
    if not found.changes:
        return Nothing()
    stuck = not_as_committed(project, found.changes) if is_onto else []
    if stuck:
        return Against(facts=NOTHING_TOLD.against(stuck, STAGED, _said(work, CLEAR)))
    author = Author(name=work.name, says=LANDING.format(name=work.name))
    history = tip if tip == worktree.snapshot_tip else with_uncommitted(project, tip, worktree.snapshot_tip, author)
    commit = landed_commit(project, found.tree, history, author, squash=work.merge.squash)
    keep(project, KEPT.format(work.merge.id), found, [own, tip, commit])
    plan = Plan(
        tip=tip,
        ours=own,
        head=head,
        tree=found.tree,
        ref=onto if is_onto else free_branch(project, work.name),
        commit=commit,
        files=tuple(change.path for change in found.changes),
        runs_by_itself=tuple(_triggers(project, found.changes)),
    )
    return Fits(commit=commit, plan=plan, changes=found.changes if is_onto else ())


def _committed(project: Checkout, work: MergeWork, worktree: Worktree, head: str | None) -> str:
    """The user's side, which knows what of agents' it holds by commits of ours.

    What a worktree began with that the user had not committed is nobody's work here: it is known, and not in it.
    """
    head = head or empty_commit(project)
    base = _begun_at(project, worktree)
    begun = [base] if base is not None else []
    tips = begun + [one.tip for one in work.committed if contains(project, head, one.commit)]
    return commit_of(project, f"{head}^{{tree}}", (head, *tips), "The user's side of a merge") if tips else head


def _since_committed(work: MergeWork) -> str | None:
    tips = [one.tip for one in work.committed if one.agent == work.merge.agent]
    return tips[-1] if tips else None


def _landings(work: MergeWork) -> list[Landing]:
    return [Landing(landed.tip, landed.changes) for landed in work.landed]


def _since(work: MergeWork) -> str | None:
    """The newest of the agent's commits that landed and stands."""
    tips = [landed.tip for landed in work.landed if landed.agent == work.merge.agent and landed.tip]
    return tips[-1] if tips else None


def _uncommitted(project: Checkout, worktree: Worktree) -> tuple[PathChange, ...]:
    if worktree.snapshot_tip is None or worktree.snapshot is None:
        return ()
    return changes(project, worktree.snapshot_tip, worktree.snapshot)


def _begun_with(project: Checkout, worktree: Worktree) -> Iterator[Landing]:
    """What it began with that was not committed then stands on both sides."""
    if (base := _begun_at(project, worktree)) is not None:
        yield Landing(base, changes(project, f"{base}^", base))


def _begun_at(project: Checkout, worktree: Worktree) -> str | None:
    """The commit that the worktree began at, where that is one of ours on top of the user's."""
    if worktree.base is None or ask(project, "merge-base", "--is-ancestor", worktree.base, "HEAD")[0] == 0:
        return None
    headers = git(project, "cat-file", "commit", worktree.base).decode(errors="replace").partition("\n\n")[0]
    is_ours = AUTHOR["GIT_AUTHOR_EMAIL"] in headers and "\nparent " in headers
    return worktree.base if is_ours else None


def _conflicting(work: MergeWork, conflicts: Sequence[Conflict]) -> MergeFacts:
    sides = tuple(_sides(conflict) for conflict in conflicts[:MOST_SIDES])
    names = [conflict.path for conflict in conflicts]
    return MergeFacts(sides=sides).against(names, CLASH, _said(work, SETTLE))


def _sides(conflict: Conflict) -> Sides:
    return Sides(
        path=conflict.path,
        says=conflict.says,
        ours="…\n".join(hunk.ours for hunk in conflict.hunks)[:SIDE],
        theirs="…\n".join(hunk.theirs for hunk in conflict.hunks)[:SIDE],
    )


def _triggers(project: Checkout, found: Sequence[PathChange]) -> list[str]:
    return [change.path for change in found if is_trigger(change) or _runs_others(project, change)]


def _runs_others(project: Checkout, change: PathChange) -> bool:
    return is_package(change) and gives_other_orders(blob(project, change.old), blob(project, change.new))


def _withheld(work: MergeWork, unasked: Sequence[str]) -> MergeFacts | None:
    """Why it does not land by itself, where that is so."""
    if unasked:
        return NOTHING_TOLD.against(unasked, UNASKED, _said(work, LOOK))
    if work.has_failed:
        return MergeFacts(why=_said(work, UNWELL), next=_said(work, LOOK))
    return None


def _obstructed(project: Checkout, work: MergeWork, found: Sequence[PathChange]) -> MergeFacts | None:
    stuck = obstacles(project, found)
    if not stuck:
        return None
    notes = tuple(PathNote(path=one.path, why=one.why) for one in stuck)
    facts = NOTHING_TOLD.against([one.path for one in stuck], IN_THE_WAY, _said(work, CLEAR))
    return replace(facts, obstacles=notes[: len(facts.files)])


def _said(work: MergeWork, words: str) -> str:
    terms = " --include-uncommitted" if work.merge.include_uncommitted else ""
    if work.merge.land_as is not LandAs.WORKING_TREE:
        terms += f" --as {work.merge.land_as}"
    return words.format(name=work.name, agent=work.merge.agent, branch=work.worktree.branch, terms=terms)


@lru_cache(maxsize=256)
def _tree_of(project: Path, commit: str) -> str:
    """What a commit holds never changes."""
    return tree_named(open_project(project), commit)
