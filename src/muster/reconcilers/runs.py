"""Makes runs true: opens the session, sees that the turn is answered, reports the end, cuts what is not wanted.

Starting, going on after a crash of anything, and looking whether it is done are one line of thought: see how far
the turn has got, and do the next thing.
"""

import math
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta

from muster.checkpoints import checkpoint
from muster.commands import agents as agent_commands
from muster.commands import runs as run_commands
from muster.commands import turns as turn_commands
from muster.engine import Engine
from muster.errors import HostAway, HostFailed, HostRefused, SessionLost, Stale
from muster.hosts.contract import Connection, SessionWish, Sight, Standing, TurnWish
from muster.model.actor import SYSTEM
from muster.model.deadline import Lapse, Watch, next_deadline
from muster.model.event import Entry
from muster.model.ids import AgentId, FleetId, RunId, SessionId
from muster.model.retry import Again
from muster.model.run import Run, RunState
from muster.model.server import Server, ServerState
from muster.model.turn import CUTS, Turn
from muster.model.worktree import Occasion
from muster.prompts.titles import title
from muster.reconcilers.connections import Connections
from muster.reconcilers.queue import Reconciler
from muster.reconcilers.snapshots import Snapshots
from muster.views import asks as ask_views
from muster.views import runs as run_views
from muster.views import worktrees as worktree_views
from muster.views.runs import Work

LOOK_SECONDS = 5.0  # how often a turn is looked at when no hint comes
GRACE = timedelta(seconds=5)  # between a prompt's arrival and the host's first sign of work on it
PATIENCE = timedelta(seconds=90)  # the host's own waits between tries come to less
SENDS = 5
KEEPING_SECONDS = 20.0  # for the snapshot before an agent is stopped, which goes on spending meanwhile
NO_ANSWER = "The model ended its turn without an answer."
NOT_TAKEN_UP = f"The host took the prompt {SENDS} times and did not work on it."


class RunsReconciler(Reconciler):
    workers = 32

    def __init__(
        self,
        engine: Engine,
        connections: Connections,
        snapshots: Snapshots,
        *,
        tools: tuple[str, ...],
        watch: Watch,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(engine)
        self._connections = connections
        self._snapshots = snapshots
        self._tools = tools
        self._watch = watch
        self._clock = clock

    async def keys(self) -> Iterable[str]:
        return await self.engine.query(run_views.live, SYSTEM)

    async def concerned(self, entry: Entry) -> Iterable[str]:
        match entry.name:
            case "run.admitted" | "run.ended":
                return [entry.body["run"]]
            case "agent.cancelled" | "agent.paused" | "agent.dismissed" if entry.agent is not None:
                return await self.engine.query(run_views.live, SYSTEM, agent=AgentId(entry.agent))
            case "turn.composed" if entry.agent is not None:
                return await self.engine.query(run_views.live, SYSTEM, agent=AgentId(entry.agent))
            case "fleet.limited" | "fleet.raised" if entry.fleet is not None:
                return await self.engine.query(run_views.live, SYSTEM, fleet=FleetId(entry.fleet))
            case "server.ready":
                return await self.engine.query(run_views.live, SYSTEM, server=entry.body["server"])
        return []

    async def reconcile(self, key: str) -> float | None:
        work = await self.engine.query(run_views.work, SYSTEM, run=RunId(key))
        match work.run.state:
            case RunState.QUEUED:
                return None
            case RunState.ENDED:
                checkpoint("run.end:reported")
                await self._clean_up(work)
                return None
            case RunState.STARTING | RunState.WORKING if work.turn.ending in CUTS:
                return await self._cut(work)
            case RunState.STARTING:
                return await self._advance(work, self._open)
            case RunState.WORKING:
                return await self._within_its_time(work)

    async def _within_its_time(self, work: Work) -> float | None:
        deadline = next_deadline(work.run, work.agent, work.fleet, self._watch)
        left = math.inf if deadline is None else (deadline.at - self._clock()).total_seconds()
        if deadline is not None and left <= 0:
            await self._lapse(work, deadline.lapse)
            return 0.0
        again = await self._advance(work, self._next_step)
        return None if again is None else min(again, left)

    async def _lapse(self, work: Work, lapse: Lapse) -> None:
        """Before a silent run is given up a second sign must agree: a long command says nothing, but it works."""
        if lapse is Lapse.INACTIVITY and work.server and await self._is_held_up(work.run, work.server):
            await self.engine.execute(run_commands.stir, SYSTEM, run=work.run.id)
        else:
            await self.engine.execute(run_commands.lapse, SYSTEM, run=work.run.id, watch=self._watch)

    async def _is_held_up(self, run: Run, server: Server) -> bool:
        """By a command at work, or by a person who has not answered yet."""
        waits = await self.engine.query(ask_views.is_waiting, SYSTEM, run=run.id)
        return waits or await self._connections.host(server).works(run.id)

    async def _advance(self, work: Work, step: Callable[[Work, Connection], Awaitable[float | None]]) -> float | None:
        """Take a step on the run's server; what fails there fails the run."""
        connection = await self._connection(work)
        if connection is None:
            return None
        try:
            return await step(work, connection)
        except HostAway:
            raise  # its server is starting, stuck or gone: the hosts reconciler sees to that
        except HostRefused as error:
            return await self._fail(work, error.message, Again.NEVER)
        except SessionLost as error:
            return await self._fail(work, error.message, Again.SAME_TURN, session_lost=True)
        except HostFailed as error:
            return await self._fail(work, error.message, Again.SAME_TURN)

    async def _open(self, work: Work, connection: Connection) -> float:
        agent = work.agent
        wish = SessionWish(
            agent=agent.id,
            run=work.run.id,
            directory=agent.directory,
            title=title(agent),
            persona=agent.persona,
            model=agent.model,
            tools=self._tools,
            read_only=agent.read_only,
            since=work.run.queued_at,
        )
        session = agent.session or await connection.open_session(wish)
        checkpoint("run.start:opened")
        await self.engine.execute(run_commands.start, SYSTEM, run=work.run.id, session=session)
        return 0.0

    async def _next_step(self, work: Work, connection: Connection) -> float | None:
        if work.unsent is not None and work.unsent.ending is None:
            return await self._send(work, work.unsent, connection)
        sight = await connection.look(turn_wish(work))
        match sight.standing:
            case Standing.OPEN if self._waits_too_long(sight):
                return await self._give_back(work, connection, sight)
            case Standing.OPEN:
                return await self._note(work, sight)
            case Standing.ABSENT | Standing.STALLED:
                return await self._send_again(work, connection, sight)
            case Standing.ANSWERED if sight.output:
                return await self._finish(work, sight)
            case Standing.ANSWERED:
                return await self._fail(work, NO_ANSWER, Again.NEW_TURN, sight)
            case Standing.FAILED:
                return await self._fail(work, sight.error or "The host reported an error.", _again(sight), sight)

    async def _send(self, work: Work, turn: Turn, connection: Connection) -> float:
        if turn.begun_at is None:
            await self.engine.execute(turn_commands.begin, SYSTEM, turn=turn.id)
            checkpoint("turn.begin:written")
        await connection.send(turn_wish(work, turn))
        checkpoint("turn.send:sent")
        await self.engine.execute(turn_commands.send, SYSTEM, turn=turn.id, run=work.run.id)
        # What was sent before may stand answered, and no hint would tell of that; or more waits to be sent.
        return 0.0 if turn.sends or turn is not work.turns[-1] else LOOK_SECONDS

    async def _send_again(self, work: Work, connection: Connection, sight: Sight) -> float | None:
        sent_at = work.turn.sent_at
        if sent_at is not None and self._clock() - sent_at < GRACE:
            return GRACE.total_seconds()
        if work.turn.sends >= SENDS * work.run.number:
            return await self._fail(work, NOT_TAKEN_UP, Again.NEVER, sight)
        return await self._send(work, work.turn, connection)

    def _waits_too_long(self, sight: Sight) -> bool:
        return sight.retry_at is not None and sight.retry_at - self._clock() > PATIENCE

    async def _give_back(self, work: Work, connection: Connection, sight: Sight) -> float | None:
        """The provider wants to be asked much later: until then the agent waits here, and holds nothing."""
        agent = work.agent
        await self._keep(work)
        await connection.abort(agent.session or SessionId(""), agent.directory)
        words = sight.error or "The provider is not to be asked for now."
        return await self._fail(work, words, Again.SAME_TURN, sight, not_before=sight.retry_at)

    async def _note(self, work: Work, sight: Sight) -> float:
        await self.engine.execute(
            agent_commands.move,
            SYSTEM,
            agent=work.agent.id,
            tool=sight.tool,
            spent=sight.spent,
            closing=sight.closing,
        )
        return LOOK_SECONDS

    async def _cut(self, work: Work) -> float | None:
        """The ending is written already; stop what still runs, keep what was said, and say that it is over."""
        await self._keep(work)
        sight = await self._stop(work)
        checkpoint("run.cut:aborted")
        await self._clean_up(work)
        checkpoint("run.cut:ended")
        await self.engine.execute(
            run_commands.cut,
            SYSTEM,
            run=work.run.id,
            output=sight.output,
            spent=sight.spent,
            answered=sight.standing is Standing.ANSWERED and bool(sight.output),
        )
        return None

    async def _keep(self, work: Work) -> None:
        """What is in its worktree, before its agent is stopped; a snapshot that fails stops nothing."""
        worktree = await self.engine.query(worktree_views.of_agent, SYSTEM, agent=work.agent.id)
        await self._snapshots.take_of(worktree, Occasion.CUT, KEEPING_SECONDS)

    async def _stop(self, work: Work) -> Sight:
        nothing = Sight(standing=Standing.ABSENT)
        session = work.agent.session
        connection = await self._connection(work)
        if session is None or connection is None:
            return nothing
        try:
            await connection.abort(session, work.agent.directory)
            return await connection.look(turn_wish(work))
        except HostFailed:
            return nothing  # its server is gone or going, and takes the work with it

    async def _clean_up(self, work: Work) -> None:
        if work.server is not None:
            await self._connections.host(work.server).end_run(work.run.id)

    async def _finish(self, work: Work, sight: Sight) -> float | None:
        checkpoint("run.finish:answered")
        try:
            await self.engine.execute(
                run_commands.finish,
                SYSTEM,
                run=work.run.id,
                turn=work.turn.id,
                output=sight.output,
                spent=sight.spent,
            )
        except Stale:
            return 0.0  # it was cut meanwhile: look again
        return None if work.turn is work.turns[-1] else 0.0

    async def _fail(
        self,
        work: Work,
        error: str,
        again: Again,
        sight: Sight | None = None,
        *,
        not_before: datetime | None = None,
        session_lost: bool = False,
    ) -> float | None:
        checkpoint("run.fail:seen")
        try:
            await self.engine.execute(
                run_commands.fail,
                SYSTEM,
                run=work.run.id,
                error=error,
                again=again,
                jitter=random.uniform(-1, 1),
                output=sight.output if sight else "",
                spent=sight.spent if sight else None,
                not_before=not_before,
                session_lost=session_lost,
            )
        except Stale:
            return 0.0
        return None

    async def _connection(self, work: Work) -> Connection | None:
        """None until the run's server is ready, which the journal tells."""
        server = work.server
        if server is None or server.state is not ServerState.READY or server.generation != work.run.generation:
            return None
        return await self._connections.to(server)


def _again(sight: Sight) -> Again:
    if sight.final:
        return Again.NEVER
    return Again.AFTER_REFUSAL if sight.refused else Again.SAME_TURN


def turn_wish(work: Work, turn: Turn | None = None) -> TurnWish:
    """`turn`: that by which the run is seen where none is named."""
    turn = turn or work.turn
    return TurnWish(
        id=turn.id,
        session=work.agent.session or SessionId(""),
        directory=work.agent.directory,
        parts=tuple(part for part in (turn.preamble, turn.text) if part),
        persona=work.agent.persona,
        model=work.agent.model,
    )
