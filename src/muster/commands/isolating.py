"""Who works in a worktree of its own, and whether that is there when a run would begin."""

from collections.abc import Sequence
from pathlib import Path

from muster.errors import BadValue
from muster.model.agent import Agent
from muster.model.facts import Persona, Place
from muster.model.ids import AgentId, WorktreeId
from muster.model.run import LIVE, Run
from muster.model.worktree import Isolation, Presence, Worktree, WorktreeState
from muster.store.records import Transaction

SNAPSHOTS = "refs/muster/snapshots/{fleet}/{name}"  # under `refs/muster/` alone it would hide the branch
OWN = (
    "{who} in worktrees of their own below {folder}, each on a branch of its own: what stands there is kept by "
    "snapshots (`muster snapshots AGENT`)."
)
SHARED = (
    "{who} in the shared checkout {directory}{why}: edits are not kept apart there, and Muster keeps no copy of them."
)
NO_GIT = ", for there is no git repository"
IN_GIT = "false, or a project in git (`git init`): there is no repository at {project}"


def isolates(persona: Persona, place: Place, field: str, *, wished: bool | None) -> bool:
    """Whether an agent gets a worktree. Raises BadValue where that was asked for and cannot be had.

    One that may not edit gets none: it needs none.
    """
    is_never = wished is False or (wished is None and place.terms.isolation is Isolation.NEVER)
    if is_never or not persona.edits:
        return False
    is_required = wished is True or place.terms.isolation is Isolation.ALWAYS
    if is_required and not place.git:
        raise BadValue(field=field, expected=IN_GIT.format(project=place.project), got="true")
    return place.git


def worktree_for(tx: Transaction, agent: Agent, place: Place) -> Worktree:
    """The worktree that an agent is to have, by its names alone. Nothing is made here.

    Where an agent of that name was undone, what is left of its worktree is not taken over.
    """
    recipe = place.terms.recipe
    folder = Path(place.worktrees) / agent.fleet
    taken = tx.count(Worktree, fleet=agent.fleet, folder=str(folder / agent.name))
    name = f"{agent.name}_{agent.id.partition('_')[2]}" if taken else agent.name
    return Worktree(
        id=WorktreeId(tx.new_id(Worktree)),
        agent=agent.id,
        fleet=agent.fleet,
        project=place.project,
        folder=str(folder / name),
        subfolder=_inside(place),
        branch=f"muster/{agent.fleet}/{name}",
        ref=SNAPSHOTS.format(fleet=agent.fleet, name=name),
        begins_as=recipe.begins_as,
        setup=recipe.setup,
        copy=recipe.copy,
        link=recipe.link,
        created_at=tx.now,
    )


def notes_of(place: Place, agents: Sequence[Agent], isolated: Sequence[Worktree]) -> list[str]:
    """Where agents work, in words for whoever spawned them."""
    apart = {worktree.agent for worktree in isolated}
    sharing = [agent.name for agent in agents if agent.id not in apart]
    notes = []
    if apart:
        notes.append(OWN.format(who=_some("Agents work", len(apart), len(agents)), folder=place.worktrees))
    if sharing:
        who, why = _some("Agents work", len(sharing), len(agents)), "" if place.git else NO_GIT
        notes.append(SHARED.format(who=who, directory=place.directory, why=why))
    return notes


def is_housed(tx: Transaction, agent: Agent) -> bool:
    """Whether a queued run finds its agent's worktree ready; where nobody sees to it, it is wanted once more."""
    worktree = tx.find(Worktree, agent=agent.id)
    if worktree is None or worktree.is_usable:
        return True
    if worktree.state is not WorktreeState.ASKED or worktree.wanted is Presence.ABSENT:
        recalled, event = worktree.recall()
        tx.save(recalled)
        tx.record(event)
    return False


def forsake(tx: Transaction, agent: AgentId) -> None:
    """Nobody will work in it any more; what is still to be made need not be."""
    _unwant(tx, tx.find(Worktree, agent=agent, state=WorktreeState.ASKED, wanted=Presence.PRESENT))


def take_down(tx: Transaction, agent: AgentId) -> None:
    """Have the folder removed, after a snapshot of what is in it; branch and snapshots stay."""
    _unwant(tx, tx.find(Worktree, agent=agent, wanted=Presence.PRESENT))


def owe_snapshot(tx: Transaction, run: Run) -> None:
    """A run has ended: what its agent did has no snapshot yet."""
    worktree = tx.find(Worktree, agent=run.agent, state=WorktreeState.READY)
    if worktree is not None and run.state in LIVE:
        tx.save(worktree.owe(tx.now))


def _unwant(tx: Transaction, worktree: Worktree | None) -> None:
    if worktree is not None:
        unwanted, event = worktree.unwant()
        tx.save(unwanted)
        tx.record(event)


def _inside(place: Place) -> str:
    inside = Path(place.directory).relative_to(place.project).as_posix()
    return "" if inside == "." else inside


def _some(words: str, number: int, of: int) -> str:
    return words if number == of else f"{number} of {of} {words.lower()}"
