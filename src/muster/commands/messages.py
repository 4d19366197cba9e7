"""Messages are sent and acknowledged."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar  # Any: arguments that a verb is called with

from pydantic import AfterValidator, ConfigDict, Field

from muster.commands.calling import asked_first
from muster.commands.endings import noting_rest
from muster.commands.posting import Letter, fleet_spoken_in, post, speaker
from muster.commands.proofs import write_receipt
from muster.commands.texts import at_most
from muster.errors import BadValue, Conflict, Denied, MissingField, NotFound
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted, why_closed
from muster.model.delivery import Delivery, DeliveryState, delivery_id
from muster.model.facts import Contenders
from muster.model.ids import AgentId, FleetId, MessageId
from muster.model.message import EVERYBODY, OPERATOR_NAME, ROUTED, Message, MessageType
from muster.model.receipt import ACK
from muster.store.inboxes import message_for
from muster.store.records import PREFIXES, Reading, Transaction
from muster.verbs import Member, command

PAYLOAD_BYTES = 65_536
BATCH = 1000
NAMED = 20
LEAD = "lead"


Recipient = Annotated[str, Field(min_length=1, max_length=64, description='id, name, or "*": all others')]
Payload = Annotated[str, Field(min_length=1), AfterValidator(at_most(PAYLOAD_BYTES, f"{PAYLOAD_BYTES} bytes"))]
Correlation = Annotated[str, Field(max_length=200)]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageWish:
    """A message that is to be sent."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    to_agent_id: Recipient
    type: MessageType
    payload: Payload
    fleet_id: FleetId | None = None
    correlation_id: Correlation | None = None
    from_agent_id: AgentId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """`recipients` in the order of spawning."""

    message_id: MessageId
    recipients: list[AgentId]


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAll:
    """In the order of the request."""

    results: list[Sent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    ok: bool


def is_routed(actor: Actor, arguments: Mapping[str, Any]) -> bool:
    """Whether an agent asks all others for help: then it is looked up who can give it."""
    speaks = actor.agent is not None or arguments.get("from_agent_id") is not None
    return speaks and arguments["to_agent_id"] == EVERYBODY and arguments["type"] in ROUTED


@command(by=Member, facts=Contenders, when=is_routed)
def send(
    tx: Transaction,
    actor: Actor,
    to_agent_id: Recipient,
    type: MessageType,
    payload: Payload,
    fleet_id: FleetId | None = None,
    correlation_id: Correlation | None = None,
    from_agent_id: AgentId | None = None,
) -> Sent:
    """Send a message to an agent of your fleet, or to all others. Alerts, questions and request_help reach it at work,
    the rest when it is idle. An alert or request_help to all goes first to those whose skills fit.

    Whoever is idle is woken by it.
    """
    wish = MessageWish(
        to_agent_id=to_agent_id,
        type=type,
        payload=payload,
        fleet_id=fleet_id,
        correlation_id=correlation_id,
        from_agent_id=from_agent_id,
    )
    asks = is_routed(actor, {"to_agent_id": to_agent_id, "type": type, "from_agent_id": from_agent_id})
    (message,) = post(tx, [_Office(tx, actor).letter(wish, asks=asks)])
    return _sent(message)


@command(by=Member)
def send_all(tx: Transaction, actor: Actor, messages: Annotated[list[MessageWish], Field(max_length=BATCH)]) -> SentAll:
    """Send several messages in one go: all of them, or none. Nobody is asked first."""
    office = _Office(tx, actor)
    letters = [office.letter(wish) for wish in messages]
    return SentAll(results=[_sent(message) for message in post(tx, letters)])


@command(by=Member)
def acknowledge(tx: Transaction, actor: Actor, message_id: MessageId, agent_id: AgentId | None = None) -> Acknowledged:
    """Say that you are done with a message that you got.

    Said again it changes nothing.
    """
    message = message_for(tx, actor, message_id)
    delivery = own_delivery(tx, message, actor.acting_as(agent_id, "message.acknowledge"))
    if delivery.state is DeliveryState.UNDELIVERABLE:
        raise Conflict(why=f"Message {message.id} never reached {delivery.agent}: {delivery.why}.")
    if delivery.state is not DeliveryState.ACKNOWLEDGED:
        with noting_rest(tx, message.fleet) if delivery.waits else nullcontext():
            tx.save(delivery.acknowledge(tx.now))
            write_receipt(tx, message, delivery.agent, ACK, by=actor)
    return Acknowledged(ok=True)


def own_delivery(tx: Reading, message: Message, agent: AgentId) -> Delivery:
    delivery = tx.find(Delivery, id=delivery_id(message.id, agent))
    if delivery is None:
        raise Denied(why=f"Message {message.id} was not sent to {agent}.", hint="Only its recipients acknowledge it.")
    return delivery


def _sent(message: Message) -> Sent:
    return Sent(message_id=message.id, recipients=list(message.recipients))


class _Office:
    """Addresses what one actor sends, and remembers whom it looked up."""

    def __init__(self, tx: Transaction, actor: Actor) -> None:
        self._tx = tx
        self._actor = actor
        self._speakers: dict[AgentId | None, Agent | None] = {}
        self._known: dict[tuple[FleetId | None, str], Agent] = {}

    def letter(self, wish: MessageWish, *, asks: bool = False) -> Letter:
        """`asks`: some of its recipients may be asked first."""
        sender = self._sender(wish.from_agent_id)
        fleet = fleet_spoken_in(sender, wish.fleet_id)
        recipients = self._recipients(wish.to_agent_id, fleet, sender)
        first = asked_first(self._tx, sender, recipients) if asks and sender is not None else None
        if first is not None:
            recipients = first.before(recipients)
        if not recipients:
            raise Conflict(why=f"A message to * has no recipients: nobody else is in fleet {fleet}.")
        return Letter(
            fleet=recipients[0].fleet,
            sender=sender.id if sender else None,
            from_name=sender.name if sender else OPERATOR_NAME,
            to=EVERYBODY if wish.to_agent_id == EVERYBODY else recipients[0].id,
            type=wish.type,
            payload=wish.payload,
            recipients=[agent.id for agent in recipients],
            by=self._actor.label,
            session=self._actor.session,
            correlation_id=wish.correlation_id,
            first=first,
        )

    def _sender(self, named: AgentId | None) -> Agent | None:
        if named not in self._speakers:
            self._speakers[named] = speaker(self._tx, self._actor, named, "sends")
        return self._speakers[named]

    def _recipients(self, to: str, fleet: FleetId | None, sender: Agent | None) -> list[Agent]:
        """Without a fleet the recipient's id alone says which."""
        if to == EVERYBODY:
            return self._all_others(fleet, sender)
        if to == LEAD:
            raise Conflict(why="There is no lead who reads messages; your last message is handed on when you are done.")
        recipient = self._look_up(fleet, to)
        if recipient is None or fleet not in (None, recipient.fleet):
            raise NotFound(kind="agent", id=to, hint=self._hint(fleet))
        if sender is not None and recipient.id == sender.id:
            raise BadValue(field="to_agent_id", expected="somebody else than the sender", got=to)
        if (why := why_closed(recipient)) is not None:
            raise Conflict(why=f"{why} ({recipient.id}); nothing reaches it any more.")
        return [recipient]

    def _all_others(self, fleet: FleetId | None, sender: Agent | None) -> list[Agent]:
        if fleet is None:
            raise MissingField(verb="a message to *", field="fleet_id")
        agents = self._tx.select(Agent, fleet=fleet, wanted=Wanted.RUNNING, leaving_at=None)
        return [agent for agent in agents if sender is None or agent.id != sender.id]

    def _look_up(self, fleet: FleetId | None, who: str) -> Agent | None:
        if (fleet, who) not in self._known:
            found = self._found(fleet, who)
            if found is None:
                return None
            self._known[fleet, who] = found
        return self._known[fleet, who]

    def _found(self, fleet: FleetId | None, who: str) -> Agent | None:
        """By id; or by name, which only the living of one fleet have to themselves."""
        found = [self._tx.find(Agent, id=who)] if who.startswith(PREFIXES[Agent]) else []
        if not any(found) and fleet is not None:
            found = [*self._tx.select(Agent, fleet=fleet, name=who, newest_first=True, limit=1)]
        return found[0] if found else None

    def _hint(self, fleet: FleetId | None) -> str:
        if fleet is None:
            return "Name an agent by its id, or give fleet_id beside its name."
        agents = self._tx.select(Agent, fleet=fleet, wanted=Wanted.RUNNING)
        return f"Agents of this fleet: {names_of(agents)}."


def names_of(agents: Sequence[Agent]) -> str:
    """Some of them, for a hint."""
    named = ", ".join(f"{agent.name} ({agent.id})" for agent in agents[:NAMED])
    return f"{named} and {len(agents) - NAMED} more" if len(agents) > NAMED else named
