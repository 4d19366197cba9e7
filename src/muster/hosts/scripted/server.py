"""A scripted server: sessions that outlive it, and the work that does not."""

from dataclasses import dataclass, field
from itertools import count

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from muster.hosts.contract import Hint, ReplyWish, ServerProcess, SessionWish
from muster.hosts.scripted.sessions import Asked, Play, Reply, Session, perform
from muster.model.ask import HostAsk
from muster.model.ids import ServerId, SessionId

ABORTED = Reply(error="Aborted", tokens=0, cost_usd=0.0, steps=0)


@dataclass(slots=True)
class Pending:
    """A play that stands still, until the reply is there."""

    ask: HostAsk
    answered: anyio.Event = field(default_factory=anyio.Event)
    reply: ReplyWish | None = None


@dataclass(slots=True)
class Server:
    """The slot of a server id over all its generations; `process` is None while it is stopped.

    `silent`: it runs, and answers nobody. `forgotten`: the directories that it was told to let go of.
    """

    id: ServerId
    play: Play
    tasks: TaskGroup
    process: ServerProcess | None = None
    silent: bool = False
    loses_answer: bool = False
    memory_mib: int = 0
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    listeners: list[MemoryObjectSendStream[Hint]] = field(default_factory=list)
    pending: dict[str, Pending] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def run(self, process: ServerProcess) -> None:
        self.process = process
        self.silent, self.memory_mib = False, 0
        self._tell(Hint(session=None, turning=True))

    def die(self) -> None:
        """What was worked on stays unanswered; what was answered stays."""
        self.process = None
        for session in self.sessions.values():
            session.interrupt(None)

    def open(self, wish: SessionWish) -> Session:
        session = Session(id=SessionId(f"ses_{self.id}_{next(self._numbers)}"), wish=wish)
        self.sessions[session.id] = session
        return session

    def abort(self, session: SessionId) -> None:
        if session in self.sessions:
            self.sessions[session].interrupt(ABORTED)
            self._tell(Hint(session=session, turning=True))

    async def ask(self, ask: HostAsk) -> ReplyWish:
        """Stand still until somebody replies; what is cut meanwhile asks no more."""
        pending = self.pending[ask.id] = Pending(ask)
        self._tell(Hint(session=ask.session, turning=False, asking=True))
        try:
            await pending.answered.wait()
        finally:
            del self.pending[ask.id]
        assert pending.reply is not None
        return pending.reply

    def asks_in(self, directory: str) -> tuple[HostAsk, ...]:
        waiting = [pending.ask for pending in self.pending.values() if pending.reply is None]
        return tuple(ask for ask in waiting if self.sessions[ask.session].wish.directory == directory)

    def reply(self, wish: ReplyWish) -> bool:
        pending = self.pending.get(wish.id)
        if pending is None or pending.reply is not None:
            return False
        pending.reply = wish
        pending.answered.set()
        return True

    def work(self, session: Session, asked: Asked) -> None:
        asked.work = CancelScope()
        self.tasks.start_soon(self._work, session, asked, asked.work)

    async def _work(self, session: Session, asked: Asked, scope: CancelScope) -> None:
        self._tell(Hint(session=session.id, turning=False))
        with scope:
            reply = await perform(self.play, asked.wish)
            await anyio.lowlevel.checkpoint()
            asked.work = None
            session.settle(asked, reply)
            self._tell(Hint(session=session.id, turning=True))

    def _tell(self, hint: Hint) -> None:
        for listener in self.listeners:
            listener.send_nowait(hint)
