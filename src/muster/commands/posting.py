"""Who speaks; and messages are written: the message, a delivery for each recipient, the fact, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.errors import Conflict, Denied
from muster.model.actor import SYSTEM, Actor
from muster.model.agent import Agent, Wanted, why_closed
from muster.model.delivery import Delivery
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, MessageId, SessionId
from muster.model.message import MUSTER_NAME, Message, MessageType, Routing
from muster.store.records import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who of a message's recipients is asked first, the best first, and why. `attached`: one of them is new."""

    agents: tuple[Agent, ...]
    reasons: tuple[str, ...]
    attached: AgentId | None = None

    def before(self, recipients: Sequence[Agent]) -> list[Agent]:
        """All of them, these first."""
        first = {agent.id for agent in self.agents}
        return [*self.agents, *(agent for agent in recipients if agent.id not in first)]

    def routing(self, message: Message) -> Routing:
        return Routing(
            id=message.id,
            fleet=message.fleet,
            agents=tuple(agent.id for agent in self.agents),
            names=tuple(agent.name for agent in self.agents),
            reasons=self.reasons,
            attached=self.attached,
            routed_at=message.sent_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be said, by whom and to whom: `sender` None is not one of the agents, `recipients` are agents of its
    fleet that live. `by` is who sends it in fact.

    `session`: the operator's own conversation that it comes from, and that hears what becomes of it.
    `lapses`: it is not worth waking a recipient who is done. `first`: those of the recipients who are asked first.
    """

    fleet: FleetId
    sender: AgentId | None
    from_name: str
    to: str
    type: MessageType
    payload: str
    recipients: Sequence[AgentId]
    by: str
    session: SessionId | None = None
    correlation_id: str | None = None
    lapses: bool = False
    first: Asked | None = None


def speaker(tx: Transaction, actor: Actor, named: AgentId | None, does: str) -> Agent | None:
    """The agent in whose name something is said; None: the operator speaks for itself. Whoever was cancelled `does`
    so no more.
    """
    id = actor.standing_for(named)
    if id is None:
        return None
    agent = tx.get(Agent, id)
    if agent.wanted is Wanted.STOPPED:
        raise Conflict(why=f"{why_closed(agent)} ({agent.id}); it {does} nothing any more.")
    return agent


def fleet_spoken_in(who: Agent | None, named: FleetId | None) -> FleetId | None:
    """The speaker's own; any for the operator, who may have named none."""
    if who is None:
        return named
    if named not in (None, who.fleet):
        raise Denied(why=f"{who.id} is in fleet {who.fleet}, not in {named}.")
    return who.fleet


def post(tx: Transaction, letters: Sequence[Letter]) -> list[Message]:
    messages = [_message(tx, letter) for letter in letters]
    posted = list(zip(messages, letters, strict=True))
    tx.add(*messages)
    tx.add(*(_delivery(message, letter, agent) for message, letter in posted for agent in letter.recipients))
    for message, letter in posted:
        tx.record(message.send())
        if letter.first is not None:
            routing = letter.first.routing(message)
            tx.add(routing)
            tx.record(routing.route())
    return messages


def _message(tx: Transaction, letter: Letter) -> Message:
    return Message(
        id=MessageId(tx.new_id(Message)),
        fleet=letter.fleet,
        sender=letter.sender,
        from_name=letter.from_name,
        to=letter.to,
        type=letter.type,
        payload=letter.payload,
        correlation_id=letter.correlation_id,
        recipients=tuple(letter.recipients),
        by=letter.by,
        sent_at=tx.now,
    )


def _delivery(message: Message, letter: Letter, agent: AgentId) -> Delivery:
    """A call for help interrupts only those who are asked first."""
    first = letter.first if message.type is MessageType.REQUEST_HELP else None
    later = first is not None and agent not in {one.id for one in first.agents}
    return Delivery.of(message, agent, letter.session, urgent=message.urgent and not later, lapses=letter.lapses)


def tell(
    tx: Transaction, agent: AgentId | None, type: MessageType, payload: str, about: str, *, lapses: bool = False
) -> None:
    """Muster itself has something to say to an agent. One that has ended, or is none, hears nothing.

    `about` is what it is about, by id. `lapses`: it is not worth waking one who is done.
    """
    recipient = None if agent is None else tx.get(Agent, agent)
    if recipient is not None and _lives(tx, recipient):
        letter = Letter(
            fleet=recipient.fleet,
            sender=None,
            from_name=MUSTER_NAME,
            to=recipient.id,
            type=type,
            payload=payload,
            recipients=[recipient.id],
            by=SYSTEM.label,
            correlation_id=about,
            lapses=lapses,
        )
        post(tx, [letter])


def _lives(tx: Transaction, agent: Agent) -> bool:
    """One whose fleet is being cancelled does not, though its turn has not come yet."""
    return agent.wanted is Wanted.RUNNING and tx.get(Fleet, agent.fleet).cancelled_at is None
