"""What is in an inbox, and where it can be followed. A look changes nothing."""

from dataclasses import dataclass

from muster.errors import BadValue
from muster.model.actor import Actor
from muster.model.agent import Agent
from muster.model.delivery import Delivery
from muster.model.facts import Address
from muster.model.ids import AgentId
from muster.model.message import Message
from muster.store import inboxes
from muster.store.inboxes import InboxRow, inbox_row
from muster.store.records import Reading
from muster.verbs import Cursor, Member, view

PAGE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    any: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """`stream_url`: server-sent events, to be asked for with the caller's token."""

    agent_id: AgentId
    stream_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    cursor: int
    message: InboxRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Oldest first. Given `cursor` and `begun` as they stand here, the next look goes on; `more`: at once."""

    messages: list[Arrived]
    cursor: int
    begun: int
    more: bool


@view(by=Member)
def waits(tx: Reading, actor: Actor, agent_id: AgentId | None = None, since: Cursor = 0) -> Mail:
    """Whether there is a message after a cursor that is not acknowledged yet."""
    own = tx.get(Agent, actor.acting_as(agent_id, "inbox.waits")).id
    return Mail(any=inboxes.any_after(tx, own, after=since))


@view(by=Member, facts=Address)
def subscribe(tx: Reading, actor: Actor, agent_id: AgentId | None = None) -> Subscription:
    """Where an inbox streams its messages (SSE, your token)."""
    own = tx.get(Agent, actor.acting_as(agent_id, "inbox.subscribe")).id
    return Subscription(agent_id=own, stream_url=f"{tx.facts(Address).url}/api/v1/inbox/{own}/stream")


@view(by=Member)
def follow(
    tx: Reading,
    actor: Actor,
    agent_id: AgentId | None = None,
    since: Cursor | None = None,
    begun: Cursor | None = None,
) -> Following:
    """Messages after a cursor, however far they have got; without one, what is not acknowledged yet, and then
    whatever comes. It marks nothing.
    """
    own = tx.get(Agent, actor.acting_as(agent_id, "inbox.follow")).id
    head = tx.newest(Delivery)
    after = since or 0
    if after > head:  # it is of another database, and would be waited for in vain
        raise BadValue(field="since", expected=f"a cursor of this inbox, at most {head}", got=str(after))
    if begun is None:
        begun = head if since is None else 0
    found, upto = _page(tx, own, after, begun, head)
    messages = {message.id: message for message in tx.select(Message, id=[each.message for _, each in found])}
    routed = inboxes.routed(tx, list(messages.values()), own)
    rows = [
        Arrived(cursor=cursor, message=inbox_row(messages[each.message], each, routed.get(each.message)))
        for cursor, each in found
    ]
    return Following(messages=rows, cursor=upto, begun=begun, more=upto < head)


def _page(tx: Reading, agent: AgentId, after: int, begun: int, head: int) -> tuple[list[tuple[int, Delivery]], int]:
    """One page, and the cursor up to which nothing is missing. What came up to `begun` counts while unacknowledged."""
    if after >= begun:
        found = inboxes.arrivals(tx, agent, after=after, limit=PAGE)
        return found, found[-1][0] if len(found) == PAGE else head
    read = inboxes.page(tx, agent, after=after, limit=PAGE)
    found = [(cursor, delivery) for cursor, delivery in read if cursor <= begun]
    return found, found[-1][0] if len(found) == PAGE else begun
