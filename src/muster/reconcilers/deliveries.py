"""Brings messages to their recipients, and finds out whether they were read.

A prompt that brings messages is written as a turn, which the runs reconciler sends like any other. What came of it is
read in the conversation, never concluded from an answer of the host: so a crash on any line costs a look.
"""

import logging
from collections.abc import Collection, Iterable, Mapping

from muster.checkpoints import checkpoint
from muster.commands import deliveries as delivery_commands
from muster.engine import Engine
from muster.errors import HostFailed, SessionLost
from muster.hosts.contract import ArrivalsWish
from muster.model.actor import SYSTEM
from muster.model.agent import GOODBYES
from muster.model.delivery import Arrival
from muster.model.event import Entry
from muster.model.ids import AgentId
from muster.model.run import LIVE
from muster.model.server import ServerState
from muster.model.wakeup import Wakefulness
from muster.reconcilers.connections import Connections
from muster.reconcilers.queue import Reconciler
from muster.views import deliveries as delivery_views
from muster.views.deliveries import Round

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0  # how often a conversation is read when no hint comes
SENT = "message.sent"
MOVING = frozenset(
    [
        *("turn.sent", "turn.ended", "run.started", "run.ended"),
        *GOODBYES,
        *("agent.resumed", "delivery.returned", "delivery.released"),
    ]
)
"""What may have moved an agent's deliveries, beside a message to it and a step of its own.

What was read of them moves nothing further.
"""


class DeliveriesReconciler(Reconciler):
    """Its keys are agents."""

    follows = MOVING | {SENT}

    def __init__(self, engine: Engine, connections: Connections, *, wakefulness: Wakefulness) -> None:
        super().__init__(engine)
        self._connections = connections
        self._wakefulness = wakefulness

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(delivery_views.open_, SYSTEM)

    async def moved(self, entries: Collection[Entry]) -> Iterable[str]:
        """Most messages are sent to agents that cannot have them now: one look tells those that can."""
        sent = {to for entry in entries if entry.name == SENT for to in entry.body["recipients"]}
        able = await self.engine.query(delivery_views.able, SYSTEM, agents=list(sent)) if sent else []
        return {*able, *await super().moved(entries)}

    async def concerned(self, entry: Entry) -> Iterable[str]:
        return [entry.agent] if entry.name != SENT and entry.agent is not None else []

    async def reconcile(self, key: str) -> float | None:
        agent = AgentId(key)
        round_ = await self.engine.query(delivery_views.round_, SYSTEM, agent=agent)
        if round_.underway or round_.is_gone:
            await self._prove(round_)
        if round_.is_due:
            await self.engine.execute(delivery_commands.compose, SYSTEM, agent=agent, wakefulness=self._wakefulness)
            checkpoint("delivery.compose:composed")
        return LOOK_SECONDS if round_.underway and round_.run.state in LIVE else None

    async def _prove(self, round_: Round) -> None:
        arrivals = await self._arrivals(round_)
        checkpoint("delivery.prove:read")
        await self.engine.execute(delivery_commands.prove, SYSTEM, agent=round_.agent.id, arrivals=arrivals)

    async def _arrivals(self, round_: Round) -> Mapping[str, Arrival]:
        """Nothing, where the conversation cannot be read now, or has not been given anything yet."""
        server, session = round_.server, round_.agent.session
        underway = [one for one in round_.underway if one.turn not in round_.unsent]
        if server is None or session is None or server.state is not ServerState.READY or not underway:
            return {}
        wish = ArrivalsWish(
            session=session,
            directory=round_.agent.directory,
            turns=tuple({one.turn: None for one in underway if one.turn is not None}),
            calls=tuple({one.call: None for one in underway if one.call is not None}),
            moments={one.mark: one.injected_at for one in underway if one.mark == one.id and one.injected_at},
        )
        try:
            return await (await self._connections.to(server)).arrivals(wish)
        except SessionLost:
            return {}  # whoever next sends something there finds out, and begins a new one
        except HostFailed as error:
            log.info("deliveries.unread agent=%s error=%s", round_.agent.id, error)
            return {}
