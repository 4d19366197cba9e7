"""Who asks. One place decides what an actor may see."""

from dataclasses import dataclass, replace
from enum import StrEnum

from muster.errors import Denied, MissingField
from muster.model.ids import AgentId, FleetId, ServerId, SessionId


class ActorKind(StrEnum):
    OPERATOR = "operator"  # the person at this machine, or a program with the operator's token
    AGENT = "agent"
    SERVER = "server"  # a host server speaking for itself, not for one of its agents
    SYSTEM = "system"  # the hub's own reconcilers


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """An authenticated caller. An agent carries its fleet, so that no check has to look it up.

    `directory` is where the caller stands, when its surface knows it: the default for `project`. `session` is the
    operator's own conversation that the call comes from, where it comes from one: the lead. `call` is the tool call of
    an agent's conversation in which the answer will stand.
    """

    kind: ActorKind
    agent: AgentId | None = None
    fleet: FleetId | None = None
    server: ServerId | None = None
    directory: str | None = None
    session: SessionId | None = None
    call: str | None = None

    @property
    def label(self) -> str:
        """`operator`, `system`, `agent:agt_…` or `server:srv_…`: the words of receipts and the journal."""
        name = self.agent or self.server
        return f"{self.kind}:{name}" if name else str(self.kind)

    def calling(self, call: str) -> "Actor":
        return replace(self, call=call)

    def standing_in(self, directory: str) -> "Actor":
        return replace(self, directory=directory)

    def leading(self, session: SessionId, directory: str) -> "Actor":
        return replace(self, session=session, directory=directory)

    def require_fleet(self, fleet: FleetId) -> None:
        """Refuse an agent that reaches beyond its own fleet."""
        if self.kind is ActorKind.AGENT and fleet != self.fleet:
            raise Denied(why=f"Fleet {fleet} is not yours; you are in {self.fleet}.")

    def require_agent(self, agent: AgentId | None) -> None:
        """Refuse an agent that names another than itself; the operator may name any."""
        if agent is not None and self.kind is ActorKind.AGENT and agent != self.agent:
            raise Denied(why=f"You are {self.agent}, not {agent}.", hint="Leave agent_id out; you act as yourself.")

    def standing_for(self, agent: AgentId | None) -> AgentId | None:
        """The agent that it is or, for the operator, names; None where it named none. Raises Denied."""
        self.require_agent(agent)
        return self.agent if agent is None else agent

    def acting_as(self, agent: AgentId | None, verb: str) -> AgentId:
        """Which agent acts: itself, or the one that the operator names. Raises Denied, MissingField."""
        own = self.standing_for(agent)
        if own is None:
            raise MissingField(verb=verb, field="agent_id")
        return own


OPERATOR = Actor(kind=ActorKind.OPERATOR)
SYSTEM = Actor(kind=ActorKind.SYSTEM)
