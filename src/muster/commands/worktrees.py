"""Worktrees are made, kept and removed: what the operator wants of them, and what the reconcilers report."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from muster.commands.endings import note_rest
from muster.commands.failures import fail_run
from muster.errors import BadValue, Conflict, InvalidInput, NotFound
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.errand import Errand, ErrandKind, ErrandState
from muster.model.event import WorktreeFound
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, ErrandId, SnapshotId, WorktreeId
from muster.model.retry import Again
from muster.model.run import ON_THE_WAY, Run, RunState
from muster.model.worktree import Occasion, Presence, Snapshot, Worktree, WorktreeState
from muster.store.records import Transaction
from muster.verbs import Operator, Settles, System, command

Path = Annotated[str, Field(min_length=1, max_length=4096, pattern="^/")]
Branch = Annotated[str, Field(pattern=r"^[^-\s~^:?*\[\\][^\s~^:?*\[\\]{0,199}$")]  # git itself looks closer
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{4,64}$", description="a snapshot, or the beginning of its name")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwanted:
    agent_id: AgentId


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    errand_id: ErrandId


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a drop lets go. `token`: given with the next call, it says that this list was seen."""

    commit: str
    why: Occasion
    taken_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """`errand_id` null: nothing was dropped yet."""

    agent_id: AgentId
    branch: str
    ref: str
    snapshots: list[Listed]
    token: str
    errand_id: ErrandId | None


# ── what the operator wants ──────────────────────────────────────────────────────────────────────


@command(
    by=Operator,
    settles=Settles(view="worktree.brief", until=lambda _, latest, __: latest.state is WorktreeState.REMOVED),
)
def remove(tx: Transaction, actor: Actor, agent_id: AgentId) -> Unwanted:
    """Remove the folder of an agent's worktree, after a snapshot of all that is in it; branch and snapshots stay.

    Refused while the agent is on the way. Woken again, it finds its worktree as it left it.
    """
    worktree = _worktree_of(tx, agent_id)
    if tx.get(Run, tx.get(Agent, agent_id).run).state in ON_THE_WAY:
        raise Conflict(why=f"Agent {agent_id} is on the way; cancel it, or wait until it is done.")
    if worktree.wanted is Presence.PRESENT:
        unwanted, event = worktree.unwant()
        tx.save(unwanted)
        tx.record(event)
    return Unwanted(agent_id=agent_id)


@command(
    by=Operator,
    settles=Settles(view="worktree.errand", until=lambda _, latest, __: latest.state is not ErrandState.WANTED),
)
def restore(
    tx: Transaction,
    actor: Actor,
    agent_id: AgentId,
    commit: Commit | None = None,
    folder: Path | None = None,
    branch: Branch | None = None,
) -> Wanted:
    """Bring a snapshot of an agent's back, the newest where none is named: as files in a new `folder` (absolute), or as
    a new `branch` of the project. Nothing that is there is changed.
    """
    if (folder is None) == (branch is None):
        raise InvalidInput(why="Give either `folder` or `branch`.")
    worktree = _worktree_of(tx, agent_id)
    snapshot = _chosen(_standing(tx, worktree), commit, agent_id)
    return Wanted(errand_id=_ask(tx, worktree, ErrandKind.RESTORE, snapshot.commit, folder, branch))


@command(by=Operator)
def drop(tx: Transaction, actor: Actor, agent_id: AgentId, token: str | None = None) -> Drop:
    """Let an agent's snapshots go for good, with its branch. Without a `token` it only lists them, and gives one;
    with it they are dropped. Refused where the worktree is still there (worktree.remove), or more came since the list.
    """
    worktree = _worktree_of(tx, agent_id)
    snapshots = _standing(tx, worktree)
    seen = _token(worktree, snapshots)
    errand = None if token is None else _drop(tx, worktree, snapshots, is_seen=token == seen)
    return Drop(
        agent_id=agent_id,
        branch=worktree.branch,
        ref=worktree.ref,
        snapshots=[Listed(commit=one.commit, why=one.why, taken_at=one.taken_at) for one in snapshots],
        token=seen,
        errand_id=errand,
    )


# ── what the reconcilers report ──────────────────────────────────────────────────────────────────


@command(by=System)
def rest_on(tx: Transaction, actor: Actor, worktree: WorktreeId, base: str) -> str:
    """A worktree is to begin as this commit, and so are all that were asked for with it. Returns what it begins as:
    another one, where that was settled meanwhile.
    """
    row = tx.get(Worktree, worktree)
    if row.base is not None:
        return row.base
    for other in tx.select(
        Worktree, fleet=row.fleet, project=row.project, base=None, begins_as=row.begins_as, created_at=row.created_at
    ):
        tx.save(other.rest_on(base))
    return base


@command(by=System)
def ready(tx: Transaction, actor: Actor, worktree: WorktreeId) -> None:
    """Its folder is as it was asked for."""
    row, event = tx.get(Worktree, worktree).ready()
    tx.save(row)
    tx.record(event)


@command(by=System)
def fail(tx: Transaction, actor: Actor, worktree: WorktreeId, error: str) -> None:
    """It could not be made: the run that waits for it has failed."""
    row, event = tx.get(Worktree, worktree).fail(error)
    tx.save(row)
    tx.record(event)
    agent = tx.get(Agent, row.agent)
    run = tx.get(Run, agent.run)
    if run.state is RunState.QUEUED:
        fail_run(tx, run, agent, error, again=Again.NEVER, jitter=0.0)


@command(by=System)
def recall(tx: Transaction, actor: Actor, worktree: WorktreeId) -> None:
    """Its folder is not what it should be."""
    row, event = tx.get(Worktree, worktree).recall()
    tx.save(row)
    tx.record(event)


@command(by=System)
def gone(tx: Transaction, actor: Actor, worktree: WorktreeId) -> None:
    """Its folder is removed."""
    row, event = tx.get(Worktree, worktree).remove(tx.now)
    tx.save(row)
    tx.record(event)


@command(by=System)
def keep(
    tx: Transaction,
    actor: Actor,
    worktree: WorktreeId,
    commit: str,
    tree: str,
    tip: str | None,
    why: Occasion,
    owed: datetime | None,
) -> None:
    """A snapshot stands. `owed` is what the row said to be owed before it was begun: that is paid."""
    row = tx.get(Worktree, worktree)
    snapshot = Snapshot(
        id=SnapshotId(tx.new_id(Snapshot)),
        worktree=row.id,
        agent=row.agent,
        fleet=row.fleet,
        commit=commit,
        tree=tree,
        tip=tip,
        why=why,
        taken_at=tx.now,
    )
    kept, event = row.keep(snapshot, owed)
    if event is not None:
        tx.add(snapshot)
        tx.record(event)
    tx.save(kept)
    _note_rest(tx, row, kept)


@command(by=System)
def miss(tx: Transaction, actor: Actor, worktree: WorktreeId, error: str) -> None:
    """A snapshot could not be taken. Nobody is held up by that; it is tried again."""
    row = tx.get(Worktree, worktree)
    missed, event = row.miss(error)
    tx.save(missed)
    if event is not None:
        tx.record(event)
    _note_rest(tx, row, missed)


@command(by=System)
def find(tx: Transaction, actor: Actor, folder: str, ref: str | None = None, error: str | None = None) -> None:
    """Among the worktrees stood a folder that no row knows: it is kept under `ref`, and removed; or why it is not."""
    tx.record(WorktreeFound(folder=folder, ref=ref, error=error))


@command(by=System)
def end_errand(tx: Transaction, actor: Actor, errand: ErrandId, error: str | None = None) -> None:
    """It is done, or could not be."""
    row, event = tx.get(Errand, errand).end(error, tx.now)
    tx.save(row)
    tx.record(event)
    if row.kind is ErrandKind.DROP and error is None:
        worktree = tx.get(Worktree, row.worktree)
        for snapshot in _standing(tx, worktree):
            tx.save(snapshot.drop(tx.now))
        tx.save(worktree.forget_snapshots())


def _note_rest(tx: Transaction, before: Worktree, after: Worktree) -> None:
    """The last snapshot that is owed lets the fleet come to rest."""
    fleet = tx.get(Fleet, before.fleet)
    if before.awaits_snapshot and not after.awaits_snapshot and fleet.cancelled_at is None:
        note_rest(tx, fleet.id)


def _worktree_of(tx: Transaction, agent: AgentId) -> Worktree:
    worktree = tx.find(Worktree, agent=tx.get(Agent, agent).id)
    if worktree is None:
        raise NotFound(
            kind="worktree of agent", id=agent, hint="It works in the shared checkout; worktree.list names all."
        )
    return worktree


def _standing(tx: Transaction, worktree: Worktree) -> list[Snapshot]:
    """Those that were not dropped, newest first."""
    return tx.select(Snapshot, worktree=worktree.id, dropped_at=None, newest_first=True)


def _chosen(snapshots: Sequence[Snapshot], commit: str | None, agent: AgentId) -> Snapshot:
    found = [one for one in snapshots if commit is None or one.commit.startswith(commit)]
    names = {one.commit for one in found}
    if not found:
        raise NotFound(kind="snapshot", id=commit or f"of {agent}", hint="worktree.snapshots lists them.")
    if commit is not None and len(names) > 1:
        raise BadValue(field="commit", expected="more of its letters", got=commit)
    return found[0]


def _drop(tx: Transaction, worktree: Worktree, snapshots: Sequence[Snapshot], *, is_seen: bool) -> ErrandId:
    if worktree.state is not WorktreeState.REMOVED:
        raise Conflict(why=f"The worktree is still at {worktree.folder}; remove it first (worktree.remove).")
    if not is_seen:
        raise Conflict(why="The token is not of this list: there are other snapshots now.")
    if not snapshots:
        raise NotFound(kind="snapshot", id=f"of {worktree.agent}", hint="There is nothing to drop.")
    return _ask(tx, worktree, ErrandKind.DROP, snapshots[0].commit)


def _token(worktree: Worktree, snapshots: Sequence[Snapshot]) -> str:
    names = " ".join([worktree.id, *(one.commit for one in snapshots)])
    return hashlib.sha256(names.encode()).hexdigest()[:16]


def _ask(
    tx: Transaction,
    worktree: Worktree,
    kind: ErrandKind,
    commit: str,
    folder: str | None = None,
    branch: str | None = None,
) -> ErrandId:
    errand = Errand(
        id=ErrandId(tx.new_id(Errand)),
        worktree=worktree.id,
        agent=worktree.agent,
        fleet=worktree.fleet,
        kind=kind,
        commit=commit,
        folder=folder,
        branch=branch,
        asked_at=tx.now,
    )
    tx.add(errand)
    tx.record(errand.ask())
    return errand.id
