"""A running scripted server, spoken to."""

from collections.abc import AsyncIterator, Mapping
from math import inf

import anyio

from muster.errors import HostAway, HostRefused, SessionLost
from muster.hosts.contract import ArrivalsWish, Hint, ReplyWish, ServerProcess, SessionWish, Sight, TurnWish
from muster.hosts.scripted.server import Server
from muster.hosts.scripted.sessions import Session
from muster.model.ask import HostAsk
from muster.model.delivery import Arrival
from muster.model.facts import Line, Persona
from muster.model.ids import SessionId

HOST = "scripted"


class ScriptedConnection:
    """One generation of a server: when that is gone, it answers no more."""

    def __init__(
        self, server: Server, process: ServerProcess, personas: tuple[Persona, ...], models: tuple[str, ...] | None
    ) -> None:
        self._server = server
        self._process = process
        self._personas = {persona.name for persona in personas}
        self._models = models

    async def healthy(self) -> bool:
        await anyio.lowlevel.checkpoint()
        return self._server.process == self._process and not self._server.silent

    async def open_session(self, wish: SessionWish) -> SessionId:
        await self._reach()
        for session in self._server.sessions.values():
            if session.wish.run == wish.run:
                return session.id
        return self._server.open(wish).id

    async def send(self, wish: TurnWish) -> None:
        session = await self._session(wish.session)
        if wish.persona not in self._personas:
            raise HostRefused(host=HOST, why=f"there is no persona {wish.persona} in {wish.directory}")
        if self._models is not None and wish.model not in (None, *self._models):
            raise HostRefused(host=HOST, why=f"there is no model {wish.model} in {wish.directory}")
        if asked := session.ask(wish):
            self._server.work(session, asked)
        if self._server.loses_answer:
            self._server.loses_answer = False
            raise HostAway(host=HOST, server=self._server.id, why="it took the prompt, and its answer was lost")

    async def look(self, wish: TurnWish) -> Sight:
        return (await self._session(wish.session)).sight(wish.id)

    async def arrivals(self, wish: ArrivalsWish) -> Mapping[str, Arrival]:
        session = await self._session(wish.session)
        return (
            {turn: session.arrival(turn) for turn in wish.turns}
            | {call: session.call_arrival(call) for call in wish.calls}
            | {name: session.arrival_since(moment) for name, moment in wish.moments.items()}
        )

    async def abort(self, session: SessionId, directory: str) -> None:
        await self._reach()
        self._server.abort(session)

    async def asks(self, directory: str) -> tuple[HostAsk, ...]:
        await self._reach()
        return self._server.asks_in(directory)

    async def reply(self, wish: ReplyWish) -> bool:
        await self._reach()
        return self._server.reply(wish)

    async def transcript(self, session: SessionId, directory: str) -> tuple[Line, ...]:
        return (await self._session(session)).lines()

    async def forget(self, directory: str) -> None:
        await self._reach()
        self._server.forgotten.append(directory)

    async def hints(self) -> AsyncIterator[Hint]:
        send, receive = anyio.create_memory_object_stream[Hint](inf)
        async with send, receive:
            self._server.listeners.append(send)
            try:
                yield Hint(session=None, turning=True)
                async for hint in receive:
                    yield hint
            finally:
                self._server.listeners.remove(send)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def _reach(self) -> None:
        if not await self.healthy():
            raise HostAway(host=HOST, server=self._server.id, why="it has ended, or is silent")

    async def _session(self, session: SessionId) -> Session:
        await self._reach()
        if session not in self._server.sessions:
            raise SessionLost(host=HOST, session=session)
        return self._server.sessions[session]
