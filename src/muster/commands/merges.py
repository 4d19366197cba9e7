"""Merges are asked for, answered, and taken back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from muster.commands.endings import note_rest
from muster.commands.landings import request
from muster.commands.posting import tell
from muster.errors import Conflict, InvalidInput, NotFound, Stale
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.change import PathChange
from muster.model.event import Event
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, LandedPathId, MergeId
from muster.model.merge import (
    MOST_FILES,
    UNDERWAY,
    LandAs,
    LandedPath,
    Merge,
    MergeFacts,
    MergeState,
    PathNote,
    PathState,
    Plan,
    Terms,
)
from muster.model.message import MessageType
from muster.model.worktree import Worktree, WorktreeState
from muster.prompts.merges import failed_check
from muster.store.records import Transaction
from muster.verbs import Operator, Settles, System, command

SHARED = "{name} works in the shared checkout {directory}: its edits are there, and nothing is to be merged."
NO_WORK = "{name} never had its worktree: {why}."
OTHER_TERMS = "Merge {id} of {name} is under way with other terms: wait for its answer."
IN_THE_WAY = "Something came in the way before anything was written."
HALF = "Something came in the way while it was written: a part of it stands."
HALF_NEXT = "`muster undo {merge}` takes that part back; `muster merge {agent}` tries the rest again."
LATER = "{merge} of {name} changed {path} after it: undo that first."

Check = Annotated[str, Field(min_length=1, max_length=10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    merge_id: MergeId


@command(
    by=Operator,
    settles=Settles(view="merge.brief", until=lambda _, latest, __: latest.state not in UNDERWAY),
)
def land(
    tx: Transaction,
    actor: Actor,
    agent_id: AgentId,
    check: Check | None = None,
    land_as: LandAs = LandAs.WORKING_TREE,
    *,
    include_uncommitted: bool = False,
    squash: bool = True,
) -> Requested:
    """Land what an agent has committed in the user's files. `include_uncommitted`: as its worktree stands.

    `check` is a shell command that what comes of it must pass first, at the top of a checkout of its own; without it
    the setting `merge_check` holds. Nothing is written where it conflicts, or where something of the user's is in the
    way; the answer says what.
    `land_as`: `working_tree`; `branch`, a new one of ours; `commits`, on your branch: one commit by the agent, or with
    `squash` false its own and a merge. Otherwise index, HEAD, stash and every other file stay as they are. merge.undo
    takes it back.
    """
    terms = Terms(include_uncommitted=include_uncommitted, check=check, land_as=land_as, squash=squash)
    merge = want_landed(tx, tx.get(Agent, agent_id), terms)
    return Requested(merge_id=merge.id)


@command(by=Operator, settles=Settles(view="merge.brief", until=lambda _, latest, __: not latest.undo_wanted))
def undo(tx: Transaction, actor: Actor, agent_id: AgentId | None = None, merge_id: MergeId | None = None) -> Requested:
    """Take a landed merge back, or the newest of an agent's that stands: each file is again what it was before.

    A file that was changed since stays as it is, and is named under `kept`.
    """
    return Requested(merge_id=want_undone(tx, _to_undo(tx, agent_id, merge_id)).id)


def want_landed(tx: Transaction, agent: Agent, terms: Terms) -> Merge:
    """Somebody asks for it; asked for twice at once it is one merge."""
    worktree = _worktree(tx, agent)
    for merge in tx.select(Merge, agent=agent.id, state=UNDERWAY):
        if merge.terms != terms:
            raise Conflict(why=OTHER_TERMS.format(id=merge.id, name=agent.name))
        return merge
    return request(tx, agent, worktree, by_itself=False, terms=terms)


def want_undone(tx: Transaction, merge: Merge) -> Merge:
    """Somebody wants it taken back. Refused where a later one stands on it."""
    if not merge.undo_wanted:
        _refuse_under_later(tx, merge)
        asked, event = merge.ask_undo()
        tx.save(asked)
        tx.record(event)
    return merge


def newest_landed(tx: Transaction, agent: AgentId) -> Merge:
    """Of which something stands, or may soon. Raises NotFound."""
    for row in tx.select(Merge, agent=tx.get(Agent, agent).id, newest_first=True):
        if row.is_underway or _stands(tx, row):
            return row
    raise NotFound(kind="landed merge of", id=agent, hint="`muster review` shows what has landed.")


# ── reports ──────────────────────────────────────────────────────────────────────────────────────


@command(by=System)
def compute(tx: Transaction, actor: Actor, merge: MergeId, plan: Plan, changes: Sequence[PathChange]) -> None:
    """It fits. From here on it is written, path by path."""
    row = tx.get(Merge, merge)
    computed, event = row.compute(plan, len(changes), tx.now)
    tx.save(computed)
    for position, change in enumerate(changes):
        tx.add(
            LandedPath(
                id=LandedPathId(f"{row.id}:{position}"),
                merge=row.id,
                project=row.project,
                position=position,
                path=change.path,
                old_blob=change.old_blob,
                old_mode=change.old_mode,
                new_blob=change.new_blob,
                new_mode=change.new_mode,
            )
        )
    tx.record(event)


@command(by=System)
def write(tx: Transaction, actor: Actor, merge: MergeId, paths: Sequence[str]) -> None:
    """These paths are written. When all are, it has landed."""
    row = tx.get(Merge, merge)
    if row.state is not MergeState.COMPUTED:
        raise Stale(kind="merge", id=row.id, state=row.state)
    written = set(paths)
    for path in tx.select(LandedPath, merge=row.id, state=PathState.PLANNED):
        if path.path in written:
            tx.save(path.write())
    if not tx.any(LandedPath, merge=row.id, state=PathState.PLANNED):
        files = [path.path for path in tx.select(LandedPath, merge=row.id)]
        _answer(tx, *row.land(row.facts.naming(files) if files else row.facts, tx.now))


@command(by=System)
def stop(tx: Transaction, actor: Actor, merge: MergeId, obstacle: PathNote) -> None:
    """Something came in the way while it was written: what is written stands, and the rest is not tried."""
    row = tx.get(Merge, merge)
    for path in tx.select(LandedPath, merge=row.id, state=PathState.PLANNED):
        tx.save(path.stop())
    written = [path.path for path in tx.select(LandedPath, merge=row.id, state=PathState.WRITTEN)]
    _answer(tx, *row.refuse(_stopped(row, obstacle, written), tx.now))


@command(by=System)
def conflict(tx: Transaction, actor: Actor, merge: MergeId, facts: MergeFacts) -> None:
    """Both sides changed the same; nothing was written."""
    _answer(tx, *tx.get(Merge, merge).conflict(facts, tx.now))


@command(by=System)
def refuse(tx: Transaction, actor: Actor, merge: MergeId, facts: MergeFacts) -> None:
    """Nothing was written."""
    _answer(tx, *tx.get(Merge, merge).refuse(facts, tx.now))


@command(by=System)
def pass_check(tx: Transaction, actor: Actor, merges: Sequence[tuple[MergeId, str]]) -> None:
    """What comes of these, each with its tree, passed together. One that was withdrawn meanwhile is left out."""
    for id, tree in merges:
        row = tx.get(Merge, id)
        if row.state is MergeState.REQUESTED:
            passed, event = row.pass_check(tree)
            tx.save(passed)
            tx.record(event)


@command(by=System)
def fail_check(tx: Transaction, actor: Actor, merge: MergeId, facts: MergeFacts) -> None:
    """Alone it did not pass: it does not land, and its agent hears why.

    What lands by itself wakes its agent for that once in a row, so that nobody works for ever on what cannot pass.
    """
    row = tx.get(Merge, merge)
    was_woken = row.by_itself and _failed_before(tx, row)
    refused, event = row.refuse(facts, tx.now)
    tell(tx, row.agent, MessageType.ALERT, failed_check(facts), row.id, lapses=was_woken)
    _answer(tx, refused, event)


@command(by=System)
def put_back(tx: Transaction, actor: Actor, merge: MergeId) -> None:
    """The user's side is another than when it was checked."""
    waiting, event = tx.get(Merge, merge).wait_again()
    tx.save(waiting)
    tx.record(event)


@command(by=System)
def find_nothing(tx: Transaction, actor: Actor, merge: MergeId) -> None:
    """There is nothing that the user's files do not have."""
    _answer(tx, *tx.get(Merge, merge).find_nothing(tx.now))


@command(by=System)
def take_back(tx: Transaction, actor: Actor, merge: MergeId, paths: Sequence[str]) -> None:
    """These paths are as they were before it."""
    row = tx.get(Merge, merge)
    if not row.undo_wanted:
        raise Stale(kind="merge", id=row.id, state=row.state)
    back = set(paths)
    for path in tx.select(LandedPath, merge=row.id, state=PathState.WRITTEN):
        if path.path in back:
            tx.save(path.undo())


@command(by=System)
def end_undo(tx: Transaction, actor: Actor, merge: MergeId, kept: Sequence[PathNote]) -> None:
    """All that could be taken back was."""
    undone, event = tx.get(Merge, merge).undo(kept, tx.now)
    tx.save(undone)
    tx.record(event)


@command(by=System)
def keep(tx: Transaction, actor: Actor, merge: MergeId, why: str) -> None:
    """It cannot be undone now; the operator asks again."""
    kept, event = tx.get(Merge, merge).keep(why)
    tx.save(kept)
    tx.record(event)


def _answer(tx: Transaction, merge: Merge, event: Event) -> None:
    """It has its answer; its fleet may have waited for nothing else."""
    tx.save(merge)
    tx.record(event)
    if merge.by_itself and tx.get(Fleet, merge.fleet).cancelled_at is None:
        note_rest(tx, merge.fleet)


def _failed_before(tx: Transaction, merge: Merge) -> bool:
    before = [one for one in tx.select(Merge, agent=merge.agent, newest_first=True, limit=2) if one.id != merge.id]
    return bool(before) and before[0].state is MergeState.REFUSED and before[0].facts.check is not None


def _stopped(row: Merge, obstacle: PathNote, written: Sequence[str]) -> MergeFacts:
    facts = replace(row.facts, obstacles=(obstacle,), written=tuple(written[:MOST_FILES]))
    if written:
        return facts.against([obstacle.path], HALF, HALF_NEXT.format(merge=row.id, agent=row.agent))
    return facts.against([obstacle.path], IN_THE_WAY, f"Then `muster merge {row.agent}` again.")


def _worktree(tx: Transaction, agent: Agent) -> Worktree:
    worktree = tx.find(Worktree, agent=agent.id)
    if worktree is None:
        raise Conflict(why=SHARED.format(name=agent.name, directory=agent.directory))
    if worktree.state in (WorktreeState.ASKED, WorktreeState.FAILED) and worktree.snapshot is None:
        raise Conflict(why=NO_WORK.format(name=agent.name, why=worktree.error or "it is being made"))
    return worktree


def _to_undo(tx: Transaction, agent: AgentId | None, merge: MergeId | None) -> Merge:
    if (agent is None) == (merge is None):
        raise InvalidInput(why="Name the merge, or the agent whose newest landed merge is meant.")
    if merge is not None:
        row = tx.get(Merge, merge)
        if not row.is_underway and not _stands(tx, row):
            raise Conflict(why=f"Merge {row.id} is {row.state}: nothing of it stands in the user's files.")
        return row
    return newest_landed(tx, agent or AgentId(""))


def _stands(tx: Transaction, merge: Merge) -> bool:
    return merge.is_on_branch or tx.any(LandedPath, merge=merge.id, state=PathState.WRITTEN)


def _refuse_under_later(tx: Transaction, merge: Merge) -> None:
    """A file that was landed over cannot become what it was before: the later merge stands on this one."""
    standing = {path.path for path in tx.select(LandedPath, merge=merge.id, state=PathState.WRITTEN)}
    rows = {row.id: row for row in tx.select(Merge, project=merge.project)}
    order = list(rows)
    for path in tx.select(LandedPath, project=merge.project, state=(PathState.PLANNED, PathState.WRITTEN)):
        other = rows[path.merge]
        is_later = order.index(other.id) > order.index(merge.id)
        if is_later and other.state is not MergeState.UNDONE and path.path in standing:
            name = tx.get(Agent, other.agent).name
            raise Conflict(why=LATER.format(merge=f"Merge {other.id}", name=name, path=path.path))
