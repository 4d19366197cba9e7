"""What the parties of a message note on it, beside what the hub proves."""

from typing import Annotated

from pydantic import AfterValidator, Field

from muster.commands.proofs import write_receipt
from muster.commands.texts import not_blank
from muster.errors import BadValue, Denied
from muster.model.actor import Actor
from muster.model.ids import AgentId, MessageId
from muster.model.receipt import ReceiptRow, is_reserved
from muster.store.inboxes import message_for
from muster.store.records import Transaction
from muster.verbs import Member, command

Action = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(not_blank)]
Note = Annotated[str, Field(max_length=2000)]


@command(by=Member)
def write(
    tx: Transaction,
    actor: Actor,
    message_id: MessageId,
    action: Action,
    note: Note | None = None,
    agent_id: AgentId | None = None,
) -> ReceiptRow:
    """Note something on a message of yours (seen, r-ack, retracted, any word).

    It consumes nothing; repeated, the first stands.
    """
    agent = actor.standing_for(agent_id)
    if is_reserved(action):
        raise BadValue(
            field="action", expected="a word of your own (ack_message acknowledges, cast_vote votes)", got=action
        )
    message = message_for(tx, actor, message_id)
    if agent is not None and agent != message.sender and agent not in message.recipients:
        raise Denied(why=f"{agent} neither sent nor got message {message.id}.", hint="Note only on your own messages.")
    return write_receipt(tx, message, agent, action, note, by=actor).row()
