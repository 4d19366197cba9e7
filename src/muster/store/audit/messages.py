"""Messages, their deliveries and receipts: who was to get what, how far it got, and what proves it."""

from collections.abc import Iterator

from sqlalchemy import (
    Integer,
    LargeBinary,
    TableValuedAlias,
    Text,
    and_,
    cast,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from muster.model.delivery import DeliveryState
from muster.model.message import EVERYBODY, MUSTER_NAME, OPERATOR_NAME, URGENT, MessageType
from muster.model.receipt import ACK, SEEN, UNDELIVERABLE
from muster.store.audit.check import Drawn, Wrong, error
from muster.store.audit.words import Expression, absent, entries, kind_of, last_entries, receipt_id
from muster.store.schema import agents, deliveries, fleets, messages, receipts, routings, turns, wakeups


def _recipients() -> TableValuedAlias:
    """Each of a message's recipients as a row."""
    return func.json_each(messages.c.recipients).table_valued("value", name="recipient")


def _listed() -> Expression:
    """The recipients, as they are stored."""
    return cast(messages.c.recipients, Text).label("recipients")


def _payload_bytes() -> Expression:
    return func.length(cast(messages.c.payload, LargeBinary))


def _own_delivery() -> Expression:
    """The id of the delivery that a receipt is about."""
    return receipts.c.message.concat(":").concat(func.coalesce(receipts.c.agent, ""))


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


@error
def message_without_fleet() -> Iterator[Drawn]:
    """{kind} {id} is of fleet {fleet}, of which there is no row."""
    for table in (messages, deliveries, receipts, wakeups):
        yield select(table.c.id, table.c.fleet, kind_of(table)).where(absent(table.c.fleet, fleets))


@error
def message_without_sender() -> Wrong:
    """Message {id} is from {sender}, and there is no such agent in its fleet {fleet}."""
    there = select(agents.c.id).where(agents.c.id == messages.c.sender, agents.c.fleet == messages.c.fleet)
    columns = (messages.c.id, messages.c.sender, messages.c.fleet)
    return select(*columns).where(messages.c.sender.is_not(None), ~there.exists())


@error
def message_from_another() -> Wrong:
    """Message {id} says that it is from {from_name}, and its sender is {sender} ({name})."""
    outsiders = messages.c.from_name.in_([OPERATOR_NAME, MUSTER_NAME])
    apart = or_(and_(messages.c.sender.is_(None), not_(outsiders)), agents.c.name != messages.c.from_name)
    columns = (messages.c.id, messages.c.from_name, messages.c.sender, agents.c.name)
    return select(*columns).select_from(messages.outerjoin(agents, agents.c.id == messages.c.sender)).where(apart)


@error
def message_forged() -> Wrong:
    """Message {id} is from {sender}, and it was {by} that sent it."""
    own = literal("agent:").concat(func.coalesce(messages.c.sender, ""))
    wrong = and_(messages.c.by.like("agent:%"), messages.c.by != own)
    return select(messages.c.id, messages.c.sender, messages.c.by).where(wrong)


@error
def message_to_another() -> Wrong:
    """Message {id} is to {to}, and its recipients are {recipients}."""
    alone = func.json_array(messages.c.to) == func.json(messages.c.recipients)
    nobody = func.json_array_length(messages.c.recipients) == 0
    apart = or_(and_(messages.c.to != EVERYBODY, not_(alone)), nobody)
    columns = (messages.c.id, messages.c.to, _listed())
    return select(*columns).where(func.json_valid(messages.c.recipients) == 1, apart)


@error
def message_to_nobody_known() -> Wrong:
    """Message {id} has {recipient} among its recipients, and there is no such agent in its fleet {fleet}."""
    recipient = _recipients()
    there = select(agents.c.id).where(agents.c.id == recipient.c.value, agents.c.fleet == messages.c.fleet)
    columns = (messages.c.id, recipient.c.value.label("recipient"), messages.c.fleet)
    return select(*columns).join(recipient, true()).where(~there.exists())


@error
def message_to_itself() -> Wrong:
    """Message {id} has its sender {sender} among its recipients."""
    recipient = _recipients()
    columns = (messages.c.id, messages.c.sender)
    return select(*columns).join(recipient, true()).where(recipient.c.value == messages.c.sender)


@error
def message_undelivered() -> Wrong:
    """Message {id} has {recipient} among its recipients, and there is no delivery to it."""
    recipient = _recipients()
    key = messages.c.id.concat(":").concat(recipient.c.value)
    there = select(deliveries.c.id).where(deliveries.c.id == key)
    columns = (messages.c.id, recipient.c.value.label("recipient"))
    return select(*columns).join(recipient, true()).where(~there.exists())


@error
def message_told_otherwise() -> Wrong:
    """Message {id} is from {sender} to {recipients}, {size} bytes; entry {cursor} says other than that."""
    said = entries("message.sent", by="message", fields=("recipients", "bytes"))
    size = _payload_bytes()
    joined = messages.join(said, said.c.id == messages.c.id)
    apart = or_(
        messages.c.sender.is_distinct_from(said.c.agent),
        func.json(messages.c.recipients).is_distinct_from(said.c.recipients),
        size != said.c.bytes,
    )
    columns = (messages.c.id, messages.c.sender, _listed(), size.label("size"), said.c.cursor)
    return select(*columns).select_from(joined).where(apart)


# ── deliveries ───────────────────────────────────────────────────────────────────────────────────


@error
def delivery_without_message() -> Wrong:
    """Delivery {id} is of message {message}, of which there is no row."""
    return select(deliveries.c.id, deliveries.c.message).where(absent(deliveries.c.message, messages))


@error
def delivery_to_no_recipient() -> Wrong:
    """Delivery {id} is for {agent}, and message {message} was sent to {recipients}."""
    quoted = literal('"').concat(deliveries.c.agent).concat('"')
    joined = deliveries.join(messages, messages.c.id == deliveries.c.message)
    columns = (deliveries.c.id, deliveries.c.agent, deliveries.c.message, _listed())
    return select(*columns).select_from(joined).where(func.instr(_listed(), quoted) == 0)


@error
def delivery_misnamed() -> Wrong:
    """Delivery {id} is that of message {message} to {agent}, which has another id."""
    key = deliveries.c.message.concat(":").concat(deliveries.c.agent)
    return select(deliveries.c.id, deliveries.c.message, deliveries.c.agent).where(deliveries.c.id != key)


@error
def delivery_unlike_its_message() -> Wrong:
    """Delivery {id} and its message {message} differ in fleet, sender, moment, urgency or size."""
    asked = func.instr(cast(routings.c.agents, Text), literal('"').concat(deliveries.c.agent).concat('"')) > 0
    others_first = and_(messages.c.type == MessageType.REQUEST_HELP.value, not_(func.coalesce(asked, true())))
    urgent = and_(messages.c.type.in_([type.value for type in URGENT]), not_(others_first)).self_group()
    apart = or_(
        deliveries.c.fleet != messages.c.fleet,
        deliveries.c.sender.is_distinct_from(messages.c.sender),
        deliveries.c.sent_at != messages.c.sent_at,
        cast(deliveries.c.urgent, Integer) != cast(urgent, Integer),
        deliveries.c.bytes != _payload_bytes(),
    )
    joined = deliveries.join(messages, messages.c.id == deliveries.c.message)
    joined = joined.outerjoin(routings, routings.c.id == messages.c.id)
    return select(deliveries.c.id, deliveries.c.message).select_from(joined).where(apart)


@error
def delivery_half_done() -> Wrong:
    """Delivery {id} is {state}; injected: {injected_at}, seen: {seen_at}, settled: {settled_at}, reason: {why}."""
    state, columns = deliveries.c.state, deliveries.c
    moments = (columns.injected_at, columns.seen_at, columns.settled_at)
    injected, seen, settled = (column.is_not(None) for column in moments)
    sound = or_(
        and_(state == DeliveryState.QUEUED.value, not_(injected), not_(seen), not_(settled)),
        and_(state == DeliveryState.INJECTED.value, injected, not_(seen), not_(settled)),
        and_(state == DeliveryState.SEEN.value, injected, seen, not_(settled)),
        and_(state == DeliveryState.ACKNOWLEDGED.value, settled, columns.why.is_(None)),
        and_(state == DeliveryState.UNDELIVERABLE.value, settled, not_(seen), columns.why.is_not(None)),
    )
    return select(columns.id, state, *moments, columns.why).where(not_(sound))


@error
def delivery_held_and_moved() -> Wrong:
    """Delivery {id} is held back ({held}), and is {state} all the same."""
    moved = or_(deliveries.c.state != DeliveryState.QUEUED.value, deliveries.c.turn.is_not(None))
    return select(deliveries.c.id, deliveries.c.held, deliveries.c.state).where(deliveries.c.held.is_not(None), moved)


@error
def delivery_by_no_turn() -> Wrong:
    """Delivery {id} is carried by turn {turn}, and there is no such turn of its recipient."""
    own = select(turns.c.id).where(turns.c.id == deliveries.c.turn, turns.c.agent == deliveries.c.agent)
    return select(deliveries.c.id, deliveries.c.turn).where(deliveries.c.turn.is_not(None), ~own.exists())


@error
def delivery_told_otherwise() -> Iterator[Drawn]:
    """Delivery {id} is {state} since {since}; the journal says that at {at}."""
    for word, moment in (
        (DeliveryState.INJECTED, deliveries.c.injected_at),
        (DeliveryState.SEEN, deliveries.c.seen_at),
        (DeliveryState.UNDELIVERABLE, deliveries.c.settled_at),
    ):
        last = last_entries(f"delivery.{word}", by="delivery")
        columns = (deliveries.c.id, deliveries.c.state, moment.label("since"), last.c.at)
        apart = and_(deliveries.c.state == word.value, or_(last.c.at.is_(None), moment.is_distinct_from(last.c.at)))
        yield select(*columns).select_from(deliveries.outerjoin(last, last.c.id == deliveries.c.id)).where(apart)


@error
def delivery_undeliverable_no_more() -> Wrong:
    """Delivery {id} is {state}, and entry {cursor} has given it up for good."""
    said = entries("delivery.undeliverable", by="delivery")
    apart = deliveries.c.state != DeliveryState.UNDELIVERABLE.value
    columns = (deliveries.c.id, deliveries.c.state, said.c.cursor)
    return select(*columns).select_from(deliveries.join(said, said.c.id == deliveries.c.id)).where(apart)


@error
def delivery_without_receipt() -> Iterator[Drawn]:
    """Delivery {id} is {state}, and no receipt "{action}" of {agent} proves it."""
    proofs = {
        ACK: deliveries.c.state == DeliveryState.ACKNOWLEDGED.value,
        SEEN: deliveries.c.seen_at.is_not(None),
        UNDELIVERABLE: deliveries.c.state == DeliveryState.UNDELIVERABLE.value,
    }
    for action, is_so in proofs.items():
        proof = select(receipts.c.id).where(receipts.c.id == deliveries.c.id.concat(f":{action}"))
        columns = (deliveries.c.id, deliveries.c.state, deliveries.c.agent, literal(action).label("action"))
        yield select(*columns).where(is_so, ~proof.exists())


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────


@error
def receipt_without_message() -> Wrong:
    """Receipt {id} is on message {message}, of which there is no row."""
    return select(receipts.c.id, receipts.c.message).where(absent(receipts.c.message, messages))


@error
def receipt_of_a_stranger() -> Wrong:
    """Receipt {id} is of {agent}, who neither sent nor got message {message}."""
    own = select(deliveries.c.id).where(deliveries.c.id == _own_delivery())
    joined = receipts.join(messages, messages.c.id == receipts.c.message)
    wrong = and_(receipts.c.agent.is_not(None), receipts.c.agent.is_distinct_from(messages.c.sender), ~own.exists())
    return select(receipts.c.id, receipts.c.agent, receipts.c.message).select_from(joined).where(wrong)


@error
def receipt_misnamed() -> Wrong:
    """Receipt {id} is that of {agent} for "{action}" on message {message}, which has another id."""
    columns = (receipts.c.id, receipts.c.agent, receipts.c.action, receipts.c.message)
    key = receipt_id(receipts.c.message, receipts.c.agent, receipts.c.action, receipts.c.by)
    return select(*columns).where(receipts.c.id != key)


@error
def receipt_forged() -> Wrong:
    """Receipt {id} is of {agent}, and it was {by} that wrote it."""
    own = literal("agent:").concat(func.coalesce(receipts.c.agent, ""))
    wrong = and_(receipts.c.by.like("agent:%"), receipts.c.by != own)
    return select(receipts.c.id, receipts.c.agent, receipts.c.by).where(wrong)


@error
def receipt_of_no_acknowledgement() -> Wrong:
    """Receipt {id} acknowledges for {agent}, whose delivery of message {message} is {state}."""
    wrong = func.coalesce(deliveries.c.state, "") != DeliveryState.ACKNOWLEDGED.value
    columns = (receipts.c.id, receipts.c.agent, receipts.c.message, deliveries.c.state)
    joined = receipts.outerjoin(deliveries, deliveries.c.id == _own_delivery())
    return select(*columns).select_from(joined).where(receipts.c.action == ACK, wrong)


@error
def receipt_of_another_moment() -> Wrong:
    """Receipt {id} acknowledges at {at}, and its delivery was acknowledged at {settled_at}."""
    columns = (receipts.c.id, receipts.c.at, deliveries.c.settled_at)
    wrong = and_(receipts.c.action == ACK, receipts.c.at != deliveries.c.settled_at)
    return select(*columns).select_from(receipts.join(deliveries, deliveries.c.id == _own_delivery())).where(wrong)


@error
def wakeup_without_turn() -> Wrong:
    """Wake-up {id} is by turn {turn}, of which there is no row."""
    return select(wakeups.c.id, wakeups.c.turn).where(absent(wakeups.c.turn, turns))
