"""The readers: they find out what a verb must know of the outside, before it runs.

Above them: the engine, which gives them 300 ms. Below them: the file system and the hosts. A reader that cannot
find out raises; it never guesses.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any  # the arguments of the verb that will run

import anyio.to_thread

from muster.engine import Engine, Reader
from muster.errors import BadValue, HostFailed, MissingField
from muster.facts.contenders import ContendersReader
from muster.facts.crowd import Crowd
from muster.facts.meaning import Meaning
from muster.git.project import open_project, top_level
from muster.git.review import committed, difference
from muster.git.run import Checkout
from muster.hosts.contract import Host
from muster.model.actor import SYSTEM, Actor
from muster.model.agent import Agent
from muster.model.change import PathChange
from muster.model.facts import Address, Condition, Contenders, LandedFile, Place, Progress, Review, Terms, Transcript
from muster.reconcilers.connections import Connections
from muster.reconcilers.runs import turn_wish
from muster.views import actors as actor_views
from muster.views import agents as agent_views
from muster.views import fleets as fleet_views
from muster.views import merges as merge_views
from muster.views import runs as run_views
from muster.views import teams as team_views
from muster.views.merges import Landed

REVIEWED_FILES = 500  # of which a diff is made

TermsAt = Callable[[Path], Terms]  # of a project, by its top


@dataclass(frozen=True, slots=True, kw_only=True)
class Premises:
    """Where the hub lives and answers, since when, and which program it is to start; empty: the one on the PATH."""

    home: Path
    url: str
    database: Path
    started_at: datetime
    opencode: str

    @property
    def worktrees(self) -> Path:
        return self.home / "worktrees"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What routing goes by. `crowd` makes an empty one; `attach_at_most`: personas that calls for help may add."""

    crowd: Callable[[], Crowd]
    meaning: Meaning
    attach_at_most: int = 0


def readers(
    host: Host, connections: Connections, terms_at: TermsAt, premises: Premises, words: Words
) -> Mapping[type, Reader]:
    """Every reader by the type of what it finds."""
    place = partial(read_place, host, terms_at, premises)
    contenders = ContendersReader(words.crowd, words.meaning, place, attach_at_most=words.attach_at_most)
    return {
        Address: partial(read_address, premises),
        Contenders: contenders,
        Condition: partial(read_condition, premises),
        Place: place,
        Progress: partial(read_progress, connections),
        Review: read_review,
        Transcript: partial(read_transcript, connections),
    }


async def read_address(premises: Premises, engine: Engine, actor: Actor, arguments: Mapping[str, Any]) -> Address:
    """Where the hub answers."""
    return Address(url=premises.url)


async def read_condition(premises: Premises, engine: Engine, actor: Actor, arguments: Mapping[str, Any]) -> Condition:
    """How the hub and its machine are."""
    return await anyio.to_thread.run_sync(_condition, premises, abandon_on_cancel=True)


async def read_place(
    host: Host, terms_at: TermsAt, premises: Premises, engine: Engine, actor: Actor, arguments: Mapping[str, Any]
) -> Place:
    """Where work is asked for: the fleet's directory or the team's, else `project`, else where the caller stands."""
    asked: str | None = arguments.get("project")
    directory = actor.directory if asked is None else asked
    if "fleet_id" in arguments:
        directory = (await engine.query(fleet_views.row, SYSTEM, fleet=arguments["fleet_id"])).directory
    if "team" in arguments:
        directory = (await engine.query(team_views.found, SYSTEM, lead=actor, team=arguments["team"])).directory
    if directory is None:
        raise MissingField(verb="this request", field="project")
    return await anyio.to_thread.run_sync(_place, host, terms_at, premises.worktrees, directory, abandon_on_cancel=True)


async def read_progress(
    connections: Connections, engine: Engine, actor: Actor, arguments: Mapping[str, Any]
) -> Progress:
    """What an agent's session has cost so far, as its host counts at this moment."""
    agent: Agent = await engine.query(agent_views.row, SYSTEM, agent=arguments["agent"])
    work = await engine.query(run_views.work, SYSTEM, run=agent.run)
    if work.server is None or agent.session is None:
        return Progress(spent=None)
    try:
        sight = await (await connections.to(work.server)).look(turn_wish(work))
    except HostFailed:
        return Progress(spent=None)
    return Progress(spent=sight.spent)


async def read_transcript(
    connections: Connections, engine: Engine, actor: Actor, arguments: Mapping[str, Any]
) -> Transcript:
    """An agent's conversation, where its host server is awake."""
    seat = await engine.query(actor_views.seat, SYSTEM, agent=arguments["agent_id"])
    if seat.server is None or seat.session is None:
        return Transcript(lines=None, why="its session has not begun")
    try:
        connection = await connections.to(seat.server)
        return Transcript(lines=await connection.transcript(seat.session, seat.directory), why=None)
    except HostFailed as error:
        return Transcript(lines=None, why=error.message)


async def read_review(engine: Engine, actor: Actor, arguments: Mapping[str, Any]) -> Review:
    """Landed work that stands, as a diff: of a fleet, in a project, or everywhere."""
    fleet, project = arguments.get("fleet_id"), arguments.get("project")
    standing = await engine.query(merge_views.standing, SYSTEM, fleet=fleet, project=project)
    return await anyio.to_thread.run_sync(_review, standing, abandon_on_cancel=True)


def _review(standing: Mapping[str, Sequence[Landed]]) -> Review:
    parts = [_review_of(open_project(Path(project)), landed) for project, landed in standing.items()]
    return Review(
        files=tuple(file for part in parts for file in part.files),
        diff="".join(part.diff for part in parts),
        cut=sum(part.cut for part in parts),
    )


def _review_of(project: Checkout, landed: Sequence[Landed]) -> Review:
    """Each file once, from what it was before the first of the merges to what the last made of it."""
    changes: dict[str, PathChange] = {}
    names: dict[str, list[str]] = {}
    for merge in landed:
        for change in merge.changes:
            first = changes.get(change.path, change)
            changes[change.path] = replace(change, old_blob=first.old_blob, old_mode=first.old_mode)
            names.setdefault(change.path, []).append(merge.name)
    shown = [changes[path] for path in sorted(changes) if changes[path].old != changes[path].new]
    taken = committed(project, shown)
    diff = difference(project, [change for change in shown if change.path not in taken][:REVIEWED_FILES])
    files = tuple(
        LandedFile(path=one.path, names=tuple(dict.fromkeys(names[one.path])), committed=one.path in taken)
        for one in shown
    )
    return Review(files=files, diff=diff.text, cut=len(shown) - len(taken) - diff.shown)


def _condition(premises: Premises) -> Condition:
    log = premises.database.with_name(f"{premises.database.name}-wal")
    return Condition(
        home=str(premises.home),
        started_at=premises.started_at,
        database_bytes=premises.database.stat().st_size,
        wal_bytes=log.stat().st_size if log.exists() else 0,
        disk_free_bytes=shutil.disk_usage(premises.home).free,
        opencode=shutil.which(premises.opencode or "opencode"),
    )


def _place(host: Host, terms_at: TermsAt, worktrees: Path, directory: str) -> Place:
    path = Path(directory)
    if not path.is_absolute() or not _is_directory(path):
        raise BadValue(field="project", expected="the absolute path of a directory that exists", got=directory[:200])
    path = path.resolve()
    top = top_level(path)
    return Place(
        directory=str(path),
        project=str(top or path),
        git=top is not None,
        worktrees=str(worktrees),
        personas=host.personas(str(path)),
        terms=terms_at(top or path),
    )


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False
