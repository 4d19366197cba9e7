"""The reader of who fits a request: by words, and by meaning where a sentence model is there.

Who is free and how earlier work went is not its business: the view asks the rows.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any  # the arguments of the verb that will run

import anyio
import anyio.to_thread

from muster.engine import Engine, Reader
from muster.errors import MissingField
from muster.facts.crowd import Call, Crowd
from muster.facts.meaning import Meaning
from muster.model.actor import SYSTEM, Actor
from muster.model.facts import Contender, Contenders, Place
from muster.model.fleet import Fleet
from muster.model.ids import FleetId
from muster.views import agents as agent_views
from muster.views import fleets as fleet_views
from muster.views import routes as route_views

OVERLAP = timedelta(seconds=2)  # claims of one moment may be committed one after another
MOST_READ = 2000  # characters of a request


class ContendersReader:
    """`crowd` makes an empty one, at the first request: it reads all personas. `place` finds out where a fleet works.

    `attach_at_most`: how many personas a fleet's calls for help may add to it.
    """

    def __init__(self, crowd: Callable[[], Crowd], meaning: Meaning, place: Reader, *, attach_at_most: int = 0) -> None:
        self._make_crowd = crowd
        self._place = place
        self._attach_at_most = attach_at_most
        self._meaning = meaning
        self._reading = anyio.Lock()
        self._cursor = 0
        self._claimed: datetime | None = None

    async def __call__(self, engine: Engine, actor: Actor, arguments: Mapping[str, Any]) -> Contenders:
        if "description" in arguments:
            found = await self._found(engine, await _call_for_work(engine, actor, arguments))
            return Contenders(found=found, notes=self._meaning.notes if actor.agent is None else ())
        fleet = await _fleet_of_sender(engine, actor, arguments)
        place = await self._place(engine, actor, {"fleet_id": fleet.id}) if self._attach_at_most else None
        personas_in = fleet.directory if place is not None else None
        call = Call(text=arguments["payload"][:MOST_READ], fleet=fleet.id, personas_in=personas_in)
        return Contenders(
            found=await self._found(engine, call),
            attach_at_most=self._attach_at_most,
            place=place if isinstance(place, Place) else None,
        )

    async def _found(self, engine: Engine, call: Call) -> tuple[Contender, ...]:
        async with self._reading:
            await self._catch_up(engine)
            known, fits = await anyio.to_thread.run_sync(self._crowd.hear, call)
            meant = await self._meaning.of(engine, call.text, list(known.values()))
            told = [self._crowd.contender(id, call, fits.get(id), meant.get(id)) for id in fits.keys() | meant.keys()]
        return tuple(sorted(filter(_fits, told), key=_order))

    @cached_property
    def _crowd(self) -> Crowd:
        return self._make_crowd()

    async def _catch_up(self, engine: Engine) -> None:
        """Take in whoever was spawned, or said what it can do, since the last time."""
        crowd = await anyio.to_thread.run_sync(lambda: self._crowd)
        while found := await engine.query(route_views.candidates, SYSTEM, after=self._cursor):
            await anyio.to_thread.run_sync(crowd.take_in, found)
            self._cursor = found[-1].cursor
        since = None if self._claimed is None else self._claimed - OVERLAP
        if claims := await engine.query(route_views.claims, SYSTEM, since=since):
            await anyio.to_thread.run_sync(crowd.believe, claims)
            self._claimed = max(claim.registered_at for claim in claims)


async def _call_for_work(engine: Engine, actor: Actor, arguments: Mapping[str, Any]) -> Call:
    fleet: FleetId | None = actor.fleet or arguments.get("fleet_id")
    directory: str | None = arguments.get("project") or actor.directory
    if fleet is not None:
        directory = (await engine.query(fleet_views.row, SYSTEM, fleet=fleet)).directory
    wants_personas = arguments.get("include_personas", False)
    if wants_personas and directory is None:
        raise MissingField(verb="route.work with include_personas", field="project")
    text = str(arguments["description"])[:MOST_READ]
    return Call(text=text, fleet=fleet, personas_in=directory if wants_personas else None)


async def _fleet_of_sender(engine: Engine, actor: Actor, arguments: Mapping[str, Any]) -> Fleet:
    fleet = actor.fleet
    if fleet is None:
        fleet = (await engine.query(agent_views.row, SYSTEM, agent=arguments["from_agent_id"])).fleet
    return await engine.query(fleet_views.row, SYSTEM, fleet=fleet)


def _fits(one: Contender) -> bool:
    return one.score > 0


def _order(one: Contender) -> tuple[float, str]:
    return -one.score, one.agent or f"~{one.persona}"
