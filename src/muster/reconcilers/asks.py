"""Sees to it that no agent waits for an answer that nobody will give.

What a host server's sessions stand still for is written down first, answered in the rows (by policy, by the operator,
by the end of its time), and told to the host then. Told twice it does no harm, so a crash on any line costs a look.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from muster.checkpoints import checkpoint
from muster.commands import asks as ask_commands
from muster.engine import Engine
from muster.errors import Conflict, HostAway, HostFailed
from muster.hosts.contract import Connection, ReplyWish
from muster.model.actor import SYSTEM
from muster.model.ask import Answer, Ask, AskState, HostAsk, OnAsk
from muster.model.event import Entry
from muster.model.ids import ServerId
from muster.model.server import ServerState
from muster.reconcilers.connections import Connections
from muster.reconcilers.queue import Reconciler
from muster.views import asks as ask_views
from muster.views.asks import Desk

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0  # how often a host server is asked when no hint comes


class AsksReconciler(Reconciler):
    """Its keys are host servers: one look at each directory finds what all of its sessions ask."""

    follows = ("ask.answered",)

    def __init__(
        self,
        engine: Engine,
        connections: Connections,
        *,
        policy: OnAsk,
        timeout: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(engine)
        self._connections = connections
        self._policy = policy
        self._timeout = timeout
        self._clock = clock

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(ask_views.servers, SYSTEM)

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [await self.engine.query(ask_views.server_of, SYSTEM, ask=entry.body["ask"])]

    async def reconcile(self, key: str) -> float | None:
        desk = await self.engine.query(ask_views.desk, SYSTEM, server=ServerId(key))
        if not desk.askers or desk.server.state is not ServerState.READY:
            return None
        connection = await self._connections.to(desk.server)
        told = await _told(desk, connection)
        await self._note(desk, told)
        desk = await self.engine.query(ask_views.desk, SYSTEM, server=ServerId(key))
        await self._deliver(desk, connection)
        return self._next_look(desk.asks)

    async def _note(self, desk: Desk, told: Mapping[str, Sequence[HostAsk]]) -> None:
        """Write down what is new, what has run out of time, and what nobody waits for any more."""
        runs = {asker.session: asker.run for asker in desk.askers}
        asks = [ask for of_directory in told.values() for ask in of_directory]
        for ask in asks:
            if ask.session in runs:
                await self.engine.execute(
                    ask_commands.ask,
                    SYSTEM,
                    run=runs[ask.session],
                    told=ask,
                    policy=self._policy,
                    timeout=self._timeout,
                )
        standing = {ask.id for ask in asks}
        read = {asker.agent for asker in desk.askers if asker.directory in told}
        for waiting in desk.asks:
            if waiting.state is AskState.WAITING and waiting.agent in read:
                await self._check(waiting, standing)

    async def _check(self, waiting: Ask, standing: set[str]) -> None:
        with suppress(Conflict):  # it was answered, or its run has ended, meanwhile
            if waiting.host_id not in standing:
                await self.engine.execute(ask_commands.withdraw, SYSTEM, ask=waiting.id)
            elif waiting.deadline_at is not None and waiting.deadline_at <= self._clock():
                await self.engine.execute(ask_commands.expire, SYSTEM, ask=waiting.id)

    async def _deliver(self, desk: Desk, connection: Connection) -> None:
        """What is granted comes first, because a refusal may take with it what else its session asks."""
        directories = {asker.agent: asker.directory for asker in desk.askers}
        decided = [ask for ask in desk.asks if ask.state is AskState.DECIDED and ask.agent in directories]
        for ask in sorted(decided, key=lambda ask: ask.answer is Answer.REFUSED):
            wish = ReplyWish(
                id=ask.host_id,
                kind=ask.kind,
                directory=directories[ask.agent],
                allowed=ask.answer is Answer.ALLOWED,
                words=ask.words,
            )
            taken = await connection.reply(wish)
            checkpoint("ask.deliver:replied")
            with suppress(Conflict):
                report = ask_commands.deliver if taken else ask_commands.withdraw
                await self.engine.execute(report, SYSTEM, ask=ask.id)

    def _next_look(self, asks: Iterable[Ask]) -> float:
        deadlines = [ask.deadline_at for ask in asks if ask.state is AskState.WAITING and ask.deadline_at]
        left = [(deadline - self._clock()).total_seconds() for deadline in deadlines]
        return max(0.0, min([LOOK_SECONDS, *left]))


async def _told(desk: Desk, connection: Connection) -> dict[str, Sequence[HostAsk]]:
    """By directory. One that the host cannot read, for a broken configuration of its own, hides no other's."""
    told: dict[str, Sequence[HostAsk]] = {}
    for directory in sorted({asker.directory for asker in desk.askers}):
        try:
            told[directory] = await connection.asks(directory)
        except HostAway:
            raise
        except HostFailed as error:
            log.warning("asks.unread server=%s directory=%s error=%s", desk.server.id, directory, error)
    return told
