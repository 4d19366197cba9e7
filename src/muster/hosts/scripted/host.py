"""The scripted host: see the package."""

import os
import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from muster.errors import Broken
from muster.hosts.contract import ReplyWish, ServerProcess, ServerWish, Traces, TurnWish
from muster.hosts.scripted.connection import ScriptedConnection
from muster.hosts.scripted.server import Server
from muster.hosts.scripted.sessions import Heard, Play, Session
from muster.model.ask import AskKind, HostAsk, Question
from muster.model.delivery import Arrival
from muster.model.facts import Persona
from muster.model.ids import RunId, ServerId, SessionId

VERSION = "1"
BUILD = Persona(name="build", description="Does what the test says.", mode="primary", source="built-in")
GENERAL = replace(BUILD, name="general", mode="subagent")


class ScriptedHost:
    """Plays agents. Enter it: the work goes on in its task group, and what a play raises comes out there.

        async with ScriptedHost({"say hello": "hello"}) as host: …

    `play` is an async function of the turn, or a table from a part of the prompt to its answer. `models`: those that it
    has; None: any.
    """

    def __init__(
        self,
        play: Play,
        *,
        personas: tuple[Persona, ...] = (BUILD, GENERAL),
        models: tuple[str, ...] | None = None,
    ) -> None:
        self._play = play
        self._offered = personas
        self._models = models
        self._servers: dict[ServerId, Server] = {}
        self._left: set[RunId] = set()
        self._ports = count(1)
        self._asks = count(1)
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        tasks, self._tasks = self._entered(), None
        tasks.cancel_scope.cancel()
        return await tasks.__aexit__(kind, error, trace)

    @property
    def forgotten(self) -> list[str]:
        """The directories that its servers were told to let go of."""
        return [directory for server in self._servers.values() for directory in server.forgotten]

    @property
    def name(self) -> str:
        return "scripted"

    async def start(self, wish: ServerWish) -> ServerProcess:
        await self.stop(wish.id)
        process = ServerProcess(pid=os.getpid(), started_at=time.time(), port=next(self._ports), version=VERSION)
        self._slot(wish.id).run(process)
        return process

    def connect(self, wish: ServerWish, process: ServerProcess) -> ScriptedConnection:
        return ScriptedConnection(self._slot(wish.id), process, self._offered, self._models)

    async def stop(self, server: ServerId) -> None:
        await anyio.lowlevel.checkpoint()
        self._slot(server).die()

    async def end_run(self, run: RunId) -> None:
        await anyio.lowlevel.checkpoint()
        self._left.discard(run)

    async def traces(self) -> Traces:
        await anyio.lowlevel.checkpoint()
        running = frozenset(id for id, server in self._servers.items() if server.process is not None)
        return Traces(servers=running, runs=frozenset(self._left))

    async def tidy(self, wish: ServerWish) -> None:
        await anyio.lowlevel.checkpoint()

    async def works(self, run: RunId) -> bool:
        await anyio.lowlevel.checkpoint()
        return False

    def alive(self, process: ServerProcess) -> bool:
        return any(server.process == process for server in self._servers.values())

    def memory_mib(self, process: ServerProcess) -> int:
        return next((server.memory_mib for server in self._servers.values() if server.process == process), 0)

    def configured_by(self, directory: str) -> tuple[Path, ...]:
        return tuple(Path(persona.source) for persona in self._offered if Path(persona.source).is_absolute())

    def personas(self, directory: str) -> tuple[Persona, ...]:
        return self._offered

    async def ask(self, wish: TurnWish, what: str, pattern: str = "", *questions: Question) -> ReplyWish:
        """What a play calls that wants something: it goes on with the reply. With `questions` it is a question."""
        server = next(server for server in self._servers.values() if wish.session in server.sessions)
        kind = AskKind.QUESTION if questions else AskKind.PERMISSION
        id = f"{kind}_{wish.id}_{next(self._asks)}"
        return await server.ask(
            HostAsk(id=id, session=wish.session, kind=kind, what=what, pattern=pattern, questions=questions)
        )

    def crash(self, server: ServerId) -> None:
        """End a server as `kill -9` would: nobody is told, and open turns stay without an answer."""
        self._slot(server).die()

    def hear(self, wish: TurnWish, call: str, text: str) -> None:
        """What a play calls when a tool call of its turn was answered: the answer stands in the conversation."""
        for session in self.sessions:
            if session.id == wish.session:
                session.heard[call] = Heard(turn=wish.id, text=text)

    def place(self, session: SessionId, call: str, arrival: Arrival) -> None:
        """Let a tool call of a session have got so far."""
        for server in self._servers.values():
            if session in server.sessions:
                server.sessions[session].calls[call] = arrival

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Every conversation that is not lost."""
        return tuple(session for server in self._servers.values() for session in server.sessions.values())

    def lose_sessions(self) -> None:
        """Let every conversation be gone, as with the database that held it."""
        for server in self._servers.values():
            server.die()
            server.sessions.clear()

    def lose_answer(self, server: ServerId) -> None:
        """Let the next prompt for a server arrive, and the answer to its sender be lost."""
        self._slot(server).loses_answer = True

    def leave(self, run: RunId) -> None:
        """Let a run have left something behind, until that is ended."""
        self._left.add(run)

    def swell(self, server: ServerId, memory_mib: int) -> None:
        """Let a server hold that much, until it is started anew."""
        self._slot(server).memory_mib = memory_mib

    def silence(self, server: ServerId) -> None:
        """Let a server answer nobody any more, until it is started anew."""
        self._slot(server).silent = True

    def _slot(self, server: ServerId) -> Server:
        return self._servers.setdefault(server, Server(id=server, play=self._play, tasks=self._entered()))

    def _entered(self) -> TaskGroup:
        if self._tasks is None:
            raise Broken(why="a scripted host is used outside of its `async with`")
        return self._tasks
