"""What was tried on the systems that Muster grew from, as far as it is about messages, through MCP's own client.

The numbers are those of the two lists of conformance cases: M is Meshfleet's (and its weaknesses, MW), E is OpenCode
Ensemble's. Each test names the cases that it answers, and `elsewhere` and `without meaning` below name the others, so
that a reader can check that none is missing: M14 to M30, MW10, MW11, E17 to E27.

Elsewhere, because they take real programs or agents at work:
    M14, M15 (a killed hub loses no message, a second one takes none)   e2e/test_message_cases.py
    M29, M30 (many processes; kills in a storm of sends)                e2e/test_message_storms.py
    E19, E21, E22, E23, E25                                             e2e/test_message_cases.py
    E18 (a long message comes whole)                                    unit/reconcilers/test_mail.py

Without meaning in a fleet that has no lead, no members and no chatter limit (toolkit `team`):
    E17 (10,240 bytes are the limit of `team_message`; that of a message here is M18)
    E18's cut at 500 letters, which only a lead's turn has
    E26 (`peer_message_limit`; agents that wake each other for ever are held back: E22)
    E27 (an agent reminded that it did not report: a fleet's agents report by their output)
    M16 (a client that is started by an agent is a door to the one hub, and holds nothing to recover)
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from mcp import Client

from unit.stage import WITHIN_SECONDS, Stage, agent_actor, rows
from unit.surfaces.test_mcp import session

pytestmark = pytest.mark.anyio

LIMIT = 65_536
HELLO = {"type": "result", "payload": "hello"}
MAIL = ("messages", "deliveries", "receipts")


@dataclass(frozen=True, kw_only=True)
class Post:
    """A fleet whose agents rest, and their tools. Who calls is an agent's id; None is the operator."""

    stage: Stage
    url: str
    fleet: str
    agents: list[str]
    sessions: AsyncExitStack
    clients: dict[str | None, Client] = field(default_factory=dict)

    async def use(self, who: str | None, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer, or the error that it carries."""
        if who not in self.clients:
            token = self.stage.keyring.agent(who) if who else self.stage.keyring.operator()
            self.clients[who] = await self.sessions.enter_async_context(session(self.url, token))
        result = await self.clients[who].call_tool(tool, arguments)
        assert result.is_error == ("error" in result.structured_content)
        return result.structured_content

    async def say(self, who: str | None, to: str, payload: str = "hello", **rest: Any) -> dict[str, Any]:
        return await self.use(who, "send_message", **HELLO | {"to_agent_id": to, "payload": payload} | rest)

    async def inbox(self, who: str, **rest: Any) -> list[str]:
        return [message["payload"] for message in (await self.use(who, "get_inbox", **rest))["messages"]]

    async def receipts(self, message: str) -> list[tuple[str | None, str]]:
        told = await self.use(None, "get_receipts", message_id=message)
        return [(receipt["agent_id"], receipt["action"]) for receipt in told["receipts"]]

    async def refused(self, code: str, who: str | None, tool: str, **arguments: Any) -> dict[str, Any]:
        """The error, once it is sure that it changed nothing."""
        before = self.written()
        error = (await self.use(who, tool, **arguments))["error"]
        assert (error["code"], self.written()) == (code, before), error
        return error

    def written(self) -> list[int]:
        return [len(rows(self.stage.path, table)) for table in MAIL]


@pytest.fixture
async def post(url: str, stage: Stage) -> AsyncIterator[Post]:
    spawned = await stage.spawn("one", "two", "three", "four")
    async with AsyncExitStack() as sessions:
        yield Post(stage=stage, url=url, fleet=spawned["fleet_id"], agents=spawned["agent_ids"], sessions=sessions)


# M17
async def test_direct_message_reaches_its_recipient_alone_in_order_and_intact(post):
    one, two, three, _ = post.agents
    payload = "first\u2028«line»\t\U0001f44d"
    sent = await post.say(one, two, payload, type="handoff", correlation_id="job-7")
    await post.say(three, two, "second")

    first, second = (await post.use(two, "get_inbox"))["messages"]
    assert sent == {"message_id": first["message_id"], "recipients": [two]}
    assert first == {
        "message_id": sent["message_id"],
        "fleet_id": post.fleet,
        "from_agent_id": one,
        "from_name": "worker",
        "to": two,
        "type": "handoff",
        "payload": payload,
        "correlation_id": "job-7",
        "sent_at": first["sent_at"],
        "state": "injected",
        "routed": None,
    }
    assert second["payload"] == "second"
    assert [await post.inbox(other) for other in (one, three)] == [[], []]


# M18
@pytest.mark.parametrize("letter", ["x", "é", "👍"])
async def test_payload_is_measured_in_bytes_and_one_more_than_65536_is_refused(post, letter):
    one, two, *_ = post.agents
    whole = letter * (LIMIT // len(letter.encode()))
    await post.say(one, two, whole)
    error = await post.refused("bad_value", one, "send_message", to_agent_id=two, type="result", payload=whole + "x")

    assert "65536" in str(error)
    assert await post.inbox(two) == [whole]


# M19
async def test_unknown_type_is_refused_by_name(post):
    one, two, *_ = post.agents
    error = await post.refused("bad_value", one, "send_message", to_agent_id=two, type="gossip", payload="psst")
    assert error["facts"]["field"] == "type"
    assert "gossip" in error["message"]


# M20
async def test_broadcast_goes_to_all_others_of_that_moment(post):
    one, *others = post.agents
    sent = await post.say(one, "*", "to all of you")
    late = await post.use(None, "attach_agent", fleet_id=post.fleet, role="late", prompt="p")

    assert sent["recipients"] == others
    assert [await post.inbox(agent) for agent in post.agents] == [[], *[["to all of you"]] * 3]
    assert await post.inbox(late["agent_id"]) == []


# M21
async def test_broadcast_that_nobody_would_get_is_refused(post):
    one, *others = post.agents
    for agent in others:
        await post.stage.call("agent.cancel", agent_id=agent)
    error = await post.refused("conflict", one, "send_message", to_agent_id="*", type="alert", payload="anybody?")
    assert "no recipients" in error["message"]


# M22
async def test_broadcast_is_acknowledged_when_the_last_of_its_recipients_has_done_so(post):
    one, *others = post.agents
    message = (await post.say(one, "*"))["message_id"]
    told = []
    for agent in others:
        told.append((await post.use(one, "get_receipts", message_id=message))["acknowledged"])
        await post.use(agent, "ack_message", message_id=message)
    told.append((await post.use(one, "get_receipts", message_id=message))["acknowledged"])

    assert told == [False, False, False, True]


# M22
async def test_broadcast_that_never_reached_one_of_its_recipients_is_not_acknowledged_by_the_others(post):
    one, two, *others = post.agents
    message = (await post.say(one, "*"))["message_id"]
    await post.stage.call("agent.cancel", agent_id=two)
    for agent in others:
        await post.use(agent, "ack_message", message_id=message)

    assert (await post.use(one, "get_receipts", message_id=message))["acknowledged"] is False


# M23
async def test_acknowledged_message_leaves_the_inbox_and_again_changes_nothing(post, clock):
    one, two, *_ = post.agents
    message = (await post.say(one, two))["message_id"]
    answers, receipts = [], []
    for _ in range(2):
        answers.append(await post.use(two, "ack_message", message_id=message))
        receipts.append(await post.use(one, "get_receipts", message_id=message))
        clock.advance(seconds=1)

    assert answers == [{"ok": True}] * 2
    assert receipts[0] == receipts[1]
    (receipt,) = receipts[0]["receipts"]
    assert (receipt["agent_id"], receipt["action"], receipt["by"]) == (two, "ack", f"agent:{two}")
    assert await post.inbox(two) == []


# M24
async def test_only_a_recipient_acknowledges(post):
    one, two, three, _ = post.agents
    message = (await post.say(one, two))["message_id"]
    for stranger in (one, three):
        await post.refused("denied", stranger, "ack_message", message_id=message)
    await post.refused("denied", None, "ack_message", message_id=message, agent_id=three)
    await post.refused("not_found", two, "ack_message", message_id="msg_none")

    assert await post.inbox(two) == ["hello"]


# M25
async def test_receipts_are_noted_once_each_and_consume_nothing(post, clock):
    one, two, *_ = post.agents
    message = (await post.say(one, two))["message_id"]
    first = await post.use(two, "receipt", message_id=message, action="seen", note="on it")
    clock.advance(seconds=1)
    again = await post.use(two, "receipt", message_id=message, action="seen", note="still on it")
    for action in ("r-ack", "x:y"):
        await post.use(two, "receipt", message_id=message, action=action)

    assert first == again
    assert await post.receipts(message) == [(two, "seen"), (two, "r-ack"), (two, "x:y")]
    assert await post.inbox(two) == ["hello"]


# M25
@pytest.mark.parametrize("action", ["ack", "", " ", "\t", "vote-approve", "vote-", "r-decline", "r-decline:1"])
async def test_receipt_with_a_blank_or_a_reserved_word_is_refused(post, action):
    one, two, *_ = post.agents
    message = (await post.say(one, two))["message_id"]
    await post.refused("bad_value", two, "receipt", message_id=message, action=action)
    await post.refused("missing_field", two, "receipt", message_id=message)


# M26
async def test_receipts_come_oldest_first_to_the_fleet_and_to_nobody_else(post, clock):
    one, *others = post.agents
    message = (await post.say(one, "*"))["message_id"]
    for agent in reversed(others):
        clock.advance(seconds=1)
        await post.use(agent, "receipt", message_id=message, action="read")
    stranger = (await post.stage.spawn("elsewhere"))["agent_ids"][0]

    assert await post.receipts(message) == [(agent, "read") for agent in reversed(others)]
    await post.refused("not_found", one, "get_receipts", message_id="msg_none")
    await post.refused("not_found", stranger, "get_receipts", message_id=message)


# M27
async def test_batch_of_a_thousand_is_written_in_order_at_one_moment(post):
    one, two, *_ = post.agents
    wishes = [{"to_agent_id": two, "type": "result", "payload": f"number {n}"} for n in range(1000)]
    told = await post.use(None, "send_messages", messages=[wish | {"from_agent_id": one} for wish in wishes])

    assert [result["recipients"] for result in told["results"]] == [[two]] * 1000
    (head, *_) = rows(post.stage.path, "messages")
    inbox = await post.use(None, "get_inbox", agent_id=two, limit=1000)
    assert [message["payload"] for message in inbox["messages"]] == [wish["payload"] for wish in wishes]
    assert [message["message_id"] for message in inbox["messages"]] == [one["message_id"] for one in told["results"]]
    assert {message["sent_at"] for message in rows(post.stage.path, "messages")} == {head["sent_at"]}


# M27
async def test_batch_is_refused_whole_for_its_size_or_for_one_of_its_messages(post):
    two = post.agents[1]
    good = {"to_agent_id": two, "type": "result", "payload": "good"}
    large = await post.refused("bad_value", None, "send_messages", messages=[good] * 1001)
    assert "1000" in str(large)
    bad = [
        (good | {"payload": "x" * (LIMIT + 1)}, "bad_value"),
        (good | {"to_agent_id": "carol"}, "not_found"),
        (good | {"type": "gossip"}, "bad_value"),
        (good | {"colour": "red"}, "unknown_field"),
    ]
    for wish, code in bad:
        await post.refused(code, None, "send_messages", messages=[*[good] * 998, wish, good])

    assert await post.use(None, "send_messages", messages=[]) == {"results": []}
    assert post.written()[0] == 0


# M28, MW11
async def test_since_is_a_cursor_that_skips_nothing_of_what_came_in_the_same_moment(post):
    one, two, *_ = post.agents
    for number in range(3):
        await post.say(one, two, f"{number}")
    first = await post.use(two, "get_inbox", limit=2)
    await post.say(one, two, "3")
    rest = await post.use(two, "get_inbox", since=first["cursor"])
    none = await post.use(two, "get_inbox", since=rest["cursor"])

    assert len({message["sent_at"] for message in rest["messages"]}) == 1
    assert [message["payload"] for message in first["messages"] + rest["messages"]] == ["0", "1", "2", "3"]
    assert [first["remaining"], rest["remaining"], none["remaining"]] == [1, 0, 0]
    assert (none["messages"], none["cursor"]) == ([], rest["cursor"])


# M28
async def test_since_that_is_no_number_and_an_unknown_agent_are_refused(post):
    two = post.agents[1]
    await post.refused("wrong_type", two, "get_inbox", since="2026-01-01T00:00:00Z")
    await post.refused("wrong_type", two, "get_inbox", since=None)
    await post.refused("bad_value", two, "get_inbox", since=-1)
    await post.refused("not_found", None, "get_inbox", agent_id="agt_none")


# MW10
async def test_waiting_agent_hears_of_a_message_that_another_agent_sends_elsewhere(post):
    one, two, *_ = post.agents
    heard: list[str] = []

    async def listen() -> None:
        async with session(post.url, post.stage.keyring.agent(two)) as client:
            told = (await client.call_tool("get_inbox", {"wait_seconds": WITHIN_SECONDS})).structured_content
        heard.extend(message["payload"] for message in told["messages"])

    with anyio.fail_after(WITHIN_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await post.stage.call("message.send", agent_actor(one, post.fleet), **HELLO, to_agent_id=two)

    assert heard == ["hello"]


# E20
async def test_unknown_name_is_refused_with_those_that_there_are_until_somebody_has_it(post):
    one, *_ = post.agents
    error = await post.refused("not_found", one, "send_message", to_agent_id="carol", **HELLO)
    assert all(agent in error["next"] for agent in post.agents)
    carol = await post.use(None, "attach_agent", fleet_id=post.fleet, role="r", prompt="p", name="carol")
    await post.say(one, "carol")

    assert await post.inbox(carol["agent_id"]) == ["hello"]
    await post.refused("not_found", one, "send_message", to_agent_id="carl", **HELLO)


# E20
async def test_message_to_a_lead_is_refused_where_there_is_none(post):
    await post.refused("conflict", post.agents[0], "send_message", to_agent_id="lead", **HELLO)


async def test_empty_id_of_a_sender_is_nobodys_rather_than_none(post):
    await post.refused("not_found", None, "send_message", to_agent_id=post.agents[0], from_agent_id="", **HELLO)
    await post.refused("not_found", None, "get_inbox", agent_id="")
    assert await post.inbox(post.agents[0]) == []


# E24
async def test_reading_ones_own_inbox_leaves_those_of_others_unread(post):
    one, two, three, _ = post.agents
    await post.say(one, two, "secret for two")
    await post.say(one, three, "for three")

    assert await post.inbox(three) == ["for three"]
    await post.refused("denied", three, "get_inbox", agent_id=two)
    (kept,) = (await post.use(None, "get_inbox", agent_id=two))["messages"]
    assert (kept["payload"], kept["state"]) == ("secret for two", "queued")
