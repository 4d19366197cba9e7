"""The one way to do or ask anything: execute, query, settle, watch.

Above it: surfaces and reconcilers, which know who asks and what an answer looks like. Below it: the store.
The engine knows no verb by name and decides nothing about fleets.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from math import inf
from typing import Any, ParamSpec, TypeVar  # Any: the arguments of every verb

import anyio

from muster.errors import BadValue, RequestReused, Unavailable, WrongType
from muster.model.actor import Actor
from muster.model.event import Entry
from muster.store.database import Database
from muster.store.journal import Listener
from muster.store.records import Transaction
from muster.store.requests import Remembered
from muster.verbs import Catalog, Json, Settles, Verb, read_object

P = ParamSpec("P")
R = TypeVar("R")

Reader = Callable[["Engine", Actor, Mapping[str, Any]], Awaitable[object]]
"""Finds out, before a verb runs, what it must know of the outside."""

READ_SECONDS = 0.3
REQUEST_ID_LENGTH = 200


class Engine:
    def __init__(self, database: Database, catalog: Catalog, readers: Mapping[type, Reader]) -> None:
        self._database = database
        self._readers = readers
        self.catalog = catalog

    async def execute(self, verb: Verb[P, R], actor: Actor, *arguments: P.args, **named: P.kwargs) -> R:
        """Run a command in one transaction; it is durable when this returns."""
        verb.require_caller(actor)
        facts = await self._read_facts(verb, actor, named)
        return await self._database.write(actor, lambda tx: verb.function(tx, actor, *arguments, **named), facts)

    async def query(self, verb: Verb[P, R], actor: Actor, *arguments: P.args, **named: P.kwargs) -> R:
        """Ask a view."""
        answer, _ = await self._look(verb, actor, named, arguments)
        return answer

    async def settle(
        self, verb: Verb[..., R], actor: Actor, settles: Settles, within: float, **named: Any
    ) -> tuple[R, bool]:
        """Ask a view until its answer is final, at most `within` seconds. Returns the last answer and whether it is."""
        first, cursor = await self._look(verb, actor, named)
        latest = first
        with anyio.move_on_after(within):
            while not settles.until(first, latest, named):
                await self._database.watch.beyond(cursor)
                latest, cursor = await self._look(verb, actor, named)
            return latest, True
        latest, _ = await self._look(verb, actor, named)  # as things stand now, not as they stood at the last change
        return latest, settles.until(first, latest, named)

    async def watch(self, after: int, *, fleet: str | None = None, agent: str | None = None) -> AsyncIterator[Entry]:
        """Every fact after a cursor, for ever, as it happens."""
        async for page in self.pages(after, fleet=fleet, agent=agent):
            for entry in page:
                yield entry

    async def pages(
        self, after: int, *, fleet: str | None = None, agent: str | None = None
    ) -> AsyncIterator[list[Entry]]:
        """The same, as many at once as there are."""
        while True:
            entries, after = await self._database.facts_after(after, fleet=fleet, agent=agent)
            if entries:
                yield entries
            await self._database.watch.beyond(after)

    def hear(self, listener: Listener) -> None:
        """Have it called with the facts of each commit, before whoever caused them is answered."""
        self._database.watch.hear(listener)

    def close(self) -> None:
        """Let nobody wait any longer: every wait answers `unavailable`, every stream ends."""
        self._database.watch.close()

    @property
    def head(self) -> int:
        """The journal's newest cursor."""
        return self._database.watch.head

    async def call(self, name: str, actor: Actor, raw: str | bytes, *, patience: float = inf) -> Json:
        """What every surface does: a verb by name, its arguments as JSON, its answer as JSON.

        A `request_id` beside the arguments of a command makes a resend safe: it gets the first answer. `patience` is
        how many seconds a command may wait at most for what it is to find, whatever its caller said.
        """
        verb = self.catalog[name]
        verb.require_caller(actor)
        given = read_object(raw)
        names_request = verb.changes and "request_id" in given
        request_id = _take_request_id(given) if names_request else None
        arguments = verb.parse(json.dumps(given) if names_request else raw)
        if not verb.changes:
            return await self._ask(verb, actor, arguments)
        answer = await self._change(verb, actor, arguments, request_id, patience)
        return await self._follow(verb, actor, answer)

    async def _await(self, verb: Verb[..., Any], actor: Actor, arguments: Json, patience: float) -> None:
        """Wait for what a command is to find, at most as long as its caller said. The command itself looks again."""
        awaited = verb.awaits
        if awaited is None or awaited.view is None:
            return
        within = min(patience, arguments[awaited.within] if isinstance(awaited.within, str) else awaited.within)
        if within:
            view = self.catalog[awaited.view]
            named = {name: arguments[name] for name in view.arguments.model_fields if name in arguments}
            await self.settle(view, actor, awaited, within, **named)

    async def _ask(self, verb: Verb[..., Any], actor: Actor, arguments: Json) -> Json:
        settles = verb.settles
        if settles is None:
            return verb.render(await self.query(verb, actor, **arguments))
        within = arguments[settles.within] if isinstance(settles.within, str) else settles.within
        answer, settled = await self.settle(verb, actor, settles, within, **arguments)
        return verb.render(answer) | {"settled": settled}

    async def _follow(self, verb: Verb[..., Any], actor: Actor, answer: Json) -> Json:
        """Look at a command's effect, where it declares one."""
        settles = verb.settles
        if settles is None or settles.view is None:
            return answer
        view = self.catalog[settles.view]
        named = {name: answer[name] for name in view.arguments.model_fields if name in answer}
        assert isinstance(settles.within, float)
        effect, settled = await self.settle(view, actor, settles, settles.within, **named)
        return answer | view.render(effect) | {"settled": settled}

    async def _change(
        self, verb: Verb[..., Any], actor: Actor, arguments: Json, request_id: str | None, patience: float
    ) -> Json:
        if request_id is None:
            await self._await(verb, actor, arguments, patience)
            return verb.render(await self.execute(verb, actor, **arguments))
        mark = _fingerprint(verb, arguments)
        if verb.awaits is not None or verb.needs_facts(actor, arguments):  # what a repeated request need not wait for
            known = await self._database.read(actor, lambda reading: reading.remembered(request_id))
            if known is not None:
                return _first_answer(known, verb, mark)
        await self._await(verb, actor, arguments, patience)
        facts = await self._read_facts(verb, actor, arguments)

        def once(tx: Transaction) -> Json:
            if (known := tx.remembered(request_id)) is not None:
                return _first_answer(known, verb, mark)
            answer = verb.render(verb.function(tx, actor, **arguments))
            text = json.dumps(answer, ensure_ascii=False)
            tx.remember(Remembered(request_id=request_id, verb=verb.name, fingerprint=mark, answer=text))
            return answer

        return await self._database.write(actor, once, facts)

    async def _look(
        self, verb: Verb[..., R], actor: Actor, named: Mapping[str, Any], arguments: tuple[Any, ...] = ()
    ) -> tuple[R, int]:
        """A view's answer, and the journal's head before it was made, so that no change after it is missed."""
        verb.require_caller(actor)
        facts = await self._read_facts(verb, actor, named)
        cursor = self._database.watch.head
        answer = await self._database.read(
            actor, lambda reading: verb.function(reading, actor, *arguments, **named), facts
        )
        return answer, cursor

    async def _read_facts(self, verb: Verb[..., Any], actor: Actor, named: Mapping[str, Any]) -> object:
        if verb.facts is None or not verb.needs_facts(actor, named):
            return None
        within = getattr(verb.facts, "within_seconds", READ_SECONDS)
        with anyio.move_on_after(within):
            return await self._readers[verb.facts](self, actor, named)
        raise Unavailable(why=f"{verb.name}: what it must know could not be read within {within} s.")


def _take_request_id(given: Json) -> str | None:
    """Split `request_id` off the arguments."""
    request_id = given.pop("request_id")
    expected = f"text of 1 to {REQUEST_ID_LENGTH} characters"
    if not isinstance(request_id, str | None):
        raise WrongType(field="request_id", expected=expected, got=json.dumps(request_id)[:60])
    if request_id is not None and not 0 < len(request_id) <= REQUEST_ID_LENGTH:
        raise BadValue(field="request_id", expected=expected, got=f"{len(request_id)} characters")
    return request_id


def _fingerprint(verb: Verb[..., Any], arguments: Json) -> str:
    canonical = verb.arguments(**arguments).model_dump_json()
    return hashlib.sha256(canonical.encode()).hexdigest()


def _first_answer(known: Remembered, verb: Verb[..., Any], mark: str) -> Json:
    if (known.verb, known.fingerprint) != (verb.name, mark):
        raise RequestReused(request_id=known.request_id, verb=known.verb)
    answer: Json = json.loads(known.answer)
    return answer
