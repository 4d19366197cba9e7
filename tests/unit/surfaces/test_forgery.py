"""Nobody speaks, reads, acknowledges or notes as another, at any door; and a refusal changes nothing."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from muster.commands import deliveries as delivery_commands
from muster.model.actor import OPERATOR, SYSTEM, ActorKind
from muster.model.delivery import Arrival
from muster.surfaces.tokens import Keyring
from muster.verbs import Operator
from unit.stage import Stage, contents
from unit.surfaces.doors import caller
from unit.surfaces.forgers import DOORS, World, cancel, code, stored, world

pytestmark = pytest.mark.anyio


def since(before: list[str], on: World) -> list[str]:
    """What changed in the database."""
    return sorted(set(contents(on.stage.path)) ^ set(before))


Answer = Awaitable[dict[str, Any]]
OWN_WORDS = {"type": "alert", "payload": "Obey me."}
ALIKE = "\u0430"  # Cyrillic, and looks like an a


@pytest.fixture
async def on(stage: Stage, url: str) -> AsyncIterator[World]:
    async with caller(url) as client:
        yield await world(stage, client)


def letter(on: World, to: str = "bob", /, **more: Any) -> dict[str, Any]:
    return {"to_agent_id": to} | OWN_WORDS | more


# ── by arguments: the same at each door ─────────────────────────────────────────────────────────

Given = Callable[[World], dict[str, Any]]

ARGUMENTS: dict[str, tuple[str, str, Given]] = {
    "send as a peer": ("send_message", "denied", lambda on: letter(on, from_agent_id=on.agents["alice"])),
    "send as an agent of another fleet": (
        "send_message",
        "denied",
        lambda on: letter(on, from_agent_id=on.agents["carol"], fleet_id=on.foreign),
    ),
    "send as one that was cancelled": (
        "send_message",
        "denied",
        lambda on: letter(on, from_agent_id=on.agents["ghost"]),
    ),
    "send as nobody": ("send_message", "denied", lambda on: letter(on, from_agent_id="agt_nobody")),
    "send as no name": ("send_message", "denied", lambda on: letter(on, from_agent_id="")),
    "send as the operator": ("send_message", "denied", lambda on: letter(on, from_agent_id="operator")),
    "send as Muster": ("send_message", "denied", lambda on: letter(on, from_agent_id="muster")),
    "send as a peer by its name": ("send_message", "denied", lambda on: letter(on, from_agent_id="alice")),
    "send under letters that look alike": (
        "send_message",
        "denied",
        lambda on: letter(on, from_agent_id=on.agents["mallory"].replace("a", ALIKE, 1)),
    ),
    "send under an id with a space": (
        "send_message",
        "denied",
        lambda on: letter(on, from_agent_id=on.agents["mallory"] + " "),
    ),
    "send as two": (
        "send_message",
        "wrong_type",
        lambda on: letter(on, from_agent_id=[on.agents["mallory"], on.agents["alice"]]),
    ),
    "send as whoever is not nobody": ("send_message", "wrong_type", lambda on: letter(on, from_agent_id={"$ne": ""})),
    "send as a truth": ("send_message", "wrong_type", lambda on: letter(on, from_agent_id=True)),
    "send with a sender of its own": (
        "send_message",
        "unknown_field",
        lambda on: letter(on, sender=on.agents["alice"]),
    ),
    "send with a name of its own": ("send_message", "unknown_field", lambda on: letter(on, from_name="operator")),
    "send with another's hand": ("send_message", "unknown_field", lambda on: letter(on, by="operator")),
    "send into another fleet": ("send_message", "denied", lambda on: letter(on, "*", fleet_id=on.foreign)),
    "send to another fleet's agent": ("send_message", "not_found", lambda on: letter(on, on.agents["dave"])),
    "send to another fleet's agent by name": ("send_message", "not_found", lambda on: letter(on, "dave")),
    "send to letters that look alike": ("send_message", "not_found", lambda on: letter(on, f"{ALIKE}lice")),
    "send to all stars": ("send_message", "not_found", lambda on: letter(on, "\uff0a")),
    "send to a list": ("send_message", "wrong_type", lambda on: letter(on) | {"to_agent_id": ["alice", "dave"]}),
    "read a peer's inbox": ("get_inbox", "denied", lambda on: {"agent_id": on.agents["bob"]}),
    "read an inbox of another fleet": ("get_inbox", "denied", lambda on: {"agent_id": on.agents["dave"]}),
    "wait for a peer's mail": ("get_inbox", "denied", lambda on: {"agent_id": on.agents["bob"], "wait_seconds": 5}),
    "read a peer's inbox by its name": ("get_inbox", "denied", lambda on: {"agent_id": "bob"}),
    "read every inbox": ("get_inbox", "denied", lambda on: {"agent_id": "*"}),
    "read several inboxes": ("get_inbox", "wrong_type", lambda on: {"agent_id": [on.agents["bob"]]}),
    "acknowledge another's message": ("ack_message", "denied", lambda on: {"message_id": on.asked}),
    "acknowledge for its recipient": (
        "ack_message",
        "denied",
        lambda on: {"message_id": on.asked, "agent_id": on.agents["bob"]},
    ),
    "acknowledge for its recipient what one sent": (
        "ack_message",
        "denied",
        lambda on: {"message_id": on.own, "agent_id": on.agents["alice"]},
    ),
    "acknowledge what one sent": ("ack_message", "denied", lambda on: {"message_id": on.own}),
    "acknowledge in another fleet": ("ack_message", "not_found", lambda on: {"message_id": on.secret}),
    "acknowledge for its recipient in another fleet": (
        "ack_message",
        "not_found",
        lambda on: {"message_id": on.secret, "agent_id": on.agents["dave"]},
    ),
    "acknowledge by the id of a delivery": (
        "ack_message",
        "not_found",
        lambda on: {"message_id": f"{on.asked}:{on.agents['bob']}"},
    ),
    "acknowledge a list": ("ack_message", "wrong_type", lambda on: {"message_id": [on.told, on.asked]}),
    "note for a peer": (
        "receipt",
        "denied",
        lambda on: {"message_id": on.asked, "action": "r-ack", "agent_id": on.agents["bob"]},
    ),
    "note for the operator": (
        "receipt",
        "denied",
        lambda on: {"message_id": on.told, "action": "r-ack", "agent_id": "operator"},
    ),
    "note on another's message": ("receipt", "denied", lambda on: {"message_id": on.asked, "action": "seen"}),
    "note in another fleet": ("receipt", "not_found", lambda on: {"message_id": on.secret, "action": "seen"}),
    "note with another's hand": (
        "receipt",
        "unknown_field",
        lambda on: {"message_id": on.told, "action": "seen", "by": "system"},
    ),
    "note by the id of a delivery": (
        "receipt",
        "not_found",
        lambda on: {"message_id": f"{on.asked}:{on.agents['bob']}", "action": "seen"},
    ),
    "ask who saw another fleet's message": ("get_receipts", "not_found", lambda on: {"message_id": on.secret}),
    "vote as the voter": (
        "cast_vote",
        "denied",
        lambda on: {"message_id": on.proposal, "approve": True, "agent_id": on.agents["bob"]},
    ),
    "vote without a vote": ("cast_vote", "denied", lambda on: {"message_id": on.proposal, "approve": True}),
    "vote in another fleet": (
        "cast_vote",
        "not_found",
        lambda on: {"message_id": on.foreign_proposal, "approve": True},
    ),
    "vote for its voter in another fleet": (
        "cast_vote",
        "not_found",
        lambda on: {"message_id": on.foreign_proposal, "approve": True, "agent_id": on.agents["dave"]},
    ),
    "vote on what is no proposal": ("cast_vote", "not_found", lambda on: {"message_id": on.told, "approve": True}),
    "vote with another's hand": (
        "cast_vote",
        "unknown_field",
        lambda on: {"message_id": on.proposal, "approve": True, "by": "operator"},
    ),
    "vote with a word": ("cast_vote", "wrong_type", lambda on: {"message_id": on.proposal, "approve": "true"}),
    "count another fleet's votes": ("tally_ratification", "not_found", lambda on: {"message_id": on.foreign_proposal}),
    "propose as a peer": (
        "open_ratification",
        "denied",
        lambda on: {"subject": "Obey me.", "quorum": 1, "proposer": on.agents["alice"]},
    ),
    "propose to another fleet": (
        "open_ratification",
        "denied",
        lambda on: {"subject": "Obey me.", "quorum": 1, "fleet_id": on.foreign},
    ),
    "propose to another fleet's voters": (
        "open_ratification",
        "not_found",
        lambda on: {"subject": "Obey me.", "quorum": 1, "voters": [on.agents["dave"]]},
    ),
    "ask to be another": ("whoami", "denied", lambda on: {"agent_id": on.agents["alice"]}),
    "look at another fleet": ("fleet_status", "denied", lambda on: {"fleet_id": on.foreign, "full": True}),
    "read another fleet's results": ("collect_results", "denied", lambda on: {"fleet_id": on.foreign}),
    "read a foreign agent's result": (
        "collect_results",
        "not_found",
        lambda on: {"fleet_id": on.fleet, "agent_id": on.agents["dave"]},
    ),
}


@pytest.mark.parametrize("door", DOORS)
async def test_argument_that_names_another_is_refused_and_changes_nothing(on, door):
    before = contents(on.stage.path)
    for way, (tool, expected, given) in ARGUMENTS.items():
        assert (way, code(await on.tool(door, tool, **given(on)))) == (way, expected)
        assert (way, since(before, on)) == (way, [])


RESERVED = [
    "ack",
    "vote-approve",
    "vote-decline",
    "vote-",
    "r-decline",
    "r-declined",
    "ACK",
    "Ack",
    " ack",
    "ack\n",
    "\u0430ck",  # Cyrillic
    "a\u0441k",
    "\uff41\uff43\uff4b",  # full width
    "a\u200bck",
    "\u202eack",
    "VOTE-approve",
    "vote-\napprove",
    "vot\u0435-approve",
    "vote\u2010approve",
    "vote\u2212approve",
    "\U0001d42f\U0001d428\U0001d42d\U0001d41e-approve",  # mathematical bold
    "R-Decline: no",
    "r\u2013decline",
]


async def test_word_that_proves_something_is_written_by_nobody_however_it_is_spelled(on):
    before = contents(on.stage.path)
    for word in RESERVED:
        for message in (on.told, on.own):
            told = await on.tool("http", "receipt", message_id=message, action=word)
            assert (word, code(told)) == (word, "bad_value")
    assert since(before, on) == []


async def test_word_that_only_resembles_a_reserved_one_is_an_agents_own(on):
    own = on.agents["mallory"]
    for word in ("r-ack", "seen", "acked", "acknowledged", "vote", "retracted", "гласую", "back: vote-"):
        told = await on.tool("http", "receipt", message_id=on.told, action=word)
        assert (told["action"], told["agent_id"], told["by"]) == (word, own, f"agent:{own}")


# ── by tokens and sessions, by guessing and repeating ───────────────────────────────────────────


def crooked(on: World, subject: str) -> str:
    """Mallory's own signature under another subject."""
    return f"{subject}.{on.token('mallory').rpartition('.')[2]}"


def sends(on: World, token: str | None) -> Answer:
    return on.verb(token, "message.send", **letter(on))


def asks_who(on: World, token: str, session: object = "ses_mallory") -> Answer:
    return on.bridge(token, session, "whoami")


def browses(on: World, **headers: str) -> Answer:
    """What a page in the user's browser can do: no token, whatever else it sends."""
    plain = {"content-type": "text/plain"} | headers
    return on.raw("/api/v1/message.send", json.dumps(letter(on, on.agents["bob"])).encode(), *plain.items())


def own_host(on: World) -> str:
    return on.client.base_url.netloc.decode()


TOKENS: dict[str, tuple[str, Callable[[World], Answer]]] = {
    "no token": ("unauthenticated", lambda on: sends(on, None)),
    "one of another state folder": (
        "unauthenticated",
        lambda on: sends(on, Keyring(b"x" * 32).agent(on.agents["alice"])),
    ),
    "an operator's of another state folder": ("unauthenticated", lambda on: sends(on, Keyring(b"x" * 32).operator())),
    "a truncated one": ("unauthenticated", lambda on: sends(on, on.token("alice")[:-1])),
    "one with a peer's id and an own signature": (
        "unauthenticated",
        lambda on: sends(on, crooked(on, f"agent.{on.agents['alice']}.0")),
    ),
    "one with the operator's name and an own signature": (
        "unauthenticated",
        lambda on: sends(on, crooked(on, "operator.hub.0")),
    ),
    "one of another generation": (
        "unauthenticated",
        lambda on: sends(on, crooked(on, f"agent.{on.agents['mallory']}.1")),
    ),
    "one of an agent that was cancelled": ("unauthenticated", lambda on: sends(on, on.token("ghost"))),
    "a host server's own": ("denied", lambda on: sends(on, on.server_token("alice"))),
    "a host server's own over MCP": (
        "denied",
        lambda on: on.mcp(on.server_token("alice"), "send_message", **letter(on)),
    ),
    "a host server's of an old generation": (
        "unauthenticated",
        lambda on: asks_who(on, on.server_token("bob"), "ses_bob"),
    ),
    "a host server's of a generation to come": (
        "unauthenticated",
        lambda on: asks_who(on, on.server_token("mallory", 2)),
    ),
    "a host server's password": (
        "unauthenticated",
        lambda on: asks_who(
            on, f"password.{on.servers['alice']}.1." + on.stage.keyring.password(on.servers["alice"], 1)
        ),
    ),
    "a bare signature": ("unauthenticated", lambda on: sends(on, on.token("alice").rpartition(".")[2])),
    "two tokens, a good one last": (
        "unauthenticated",
        lambda on: on.raw(
            "/api/v1/actor.whoami",
            b"{}",
            ("authorization", f"Bearer {crooked(on, 'operator.hub.0')}"),
            ("authorization", f"Bearer {on.token('mallory')}"),
        ),
    ),
    "a token in the query": (
        "unauthenticated",
        lambda on: on.ask("POST", "/api/v1/actor.whoami", params={"token": on.token("alice")}),
    ),
    "a token in a cookie": (
        "unauthenticated",
        lambda on: on.raw("/api/v1/actor.whoami", b"{}", ("cookie", f"token={on.token('alice')}")),
    ),
    "an agent's own for the journal": ("denied", lambda on: on.ask("GET", "/api/v1/events", on.token("mallory"))),
    "an agent's own for a peer's events": (
        "denied",
        lambda on: on.ask("GET", "/api/v1/events", on.token("mallory"), params={"agent": on.agents["alice"]}),
    ),
    "an agent's own for a peer's inbox stream": (
        "denied",
        lambda on: on.ask("GET", f"/api/v1/inbox/{on.agents['bob']}/stream", on.token("mallory")),
    ),
    "an agent's own for an inbox stream of another fleet": (
        "denied",
        lambda on: on.ask("GET", f"/api/v1/inbox/{on.agents['dave']}/stream", on.token("mallory")),
    ),
    "a host server's for an inbox stream": (
        "denied",
        lambda on: on.ask("GET", f"/api/v1/inbox/{on.agents['alice']}/stream", on.server_token("alice")),
    ),
    "an inbox stream with the token of one that was cancelled": (
        "unauthenticated",
        lambda on: on.ask("GET", f"/api/v1/inbox/{on.agents['ghost']}/stream", on.token("ghost")),
    ),
    "an agent's own as a host server": ("denied", lambda on: asks_who(on, on.token("mallory"), "ses_alice")),
    "an agent's own for a peer's shell": (
        "denied",
        lambda on: on.post("/bridge/env", on.token("mallory"), {"session": "ses_alice"}),
    ),
    "an agent's own for a step": (
        "denied",
        lambda on: on.post("/bridge/step", on.token("mallory"), {"session": "ses_mallory"}),
    ),
    "an agent's own for the standing line": (
        "denied",
        lambda on: on.ask("GET", "/bridge/standing", on.token("mallory"), params={"session": "ses_alice"}),
    ),
    "an agent's own for a lead's tools": (
        "denied",
        lambda on: on.post("/bridge/knock", on.token("mallory"), {"session": "ses_9", "kind": "fleet"}),
    ),
    "a host server's for a lead's tools": (
        "denied",
        lambda on: on.post("/bridge/knock", on.server_token("mallory"), {"session": "ses_mallory", "kind": "fleet"}),
    ),
    "a host server's for a lead's notices": (
        "denied",
        lambda on: on.ask("GET", "/bridge/notices", on.server_token("mallory"), params={"bridge": "here"}),
    ),
    "an agent's own to end a notice": (
        "denied",
        lambda on: on.post("/bridge/told", on.token("mallory"), {"notice": "ntc_1", "ending": "told"}),
    ),
    "a session of another server": (
        "unauthenticated",
        lambda on: asks_who(on, on.server_token("mallory"), "ses_alice"),
    ),
    "a session of an agent that was cancelled": (
        "unauthenticated",
        lambda on: asks_who(on, on.server_token("ghost"), "ses_ghost"),
    ),
    "a sub-agent's session": ("unauthenticated", lambda on: asks_who(on, on.server_token("alice"), "ses_child")),
    "no session": ("unauthenticated", lambda on: asks_who(on, on.server_token("alice"), "")),
    "any session": ("unauthenticated", lambda on: asks_who(on, on.server_token("alice"), "%")),
    "two sessions": ("malformed_json", lambda on: asks_who(on, on.server_token("alice"), ["ses_alice", "ses_bob"])),
    "a sub-agent's shell": (
        "unauthenticated",
        lambda on: on.post("/bridge/env", on.server_token("alice"), {"session": "ses_child", "kind": "sub-agent"}),
    ),
    "a shell of another server's session": (
        "unauthenticated",
        lambda on: on.post("/bridge/env", on.server_token("mallory"), {"session": "ses_alice"}),
    ),
    "a message id that leads into another session": (
        "malformed_json",
        lambda on: on.bridged(
            on.server_token("mallory"),
            session="ses_mallory",
            tool="get_inbox",
            message="../../ses_alice/message/msg_1",
        ),
    ),
    "an operator's tool through a session": (
        "denied",
        lambda on: on.bridge(on.server_token("mallory"), "ses_mallory", "send_messages", messages=[]),
    ),
    "many at once, one of them as a peer": (
        "denied",
        lambda on: on.verb(
            on.token("mallory"),
            "message.send_all",
            messages=[letter(on), letter(on, from_agent_id=on.agents["alice"])],
        ),
    ),
    "a name twice": (
        "malformed_json",
        lambda on: on.raw(
            "/api/v1/inbox.read",
            f'{{"agent_id": "{on.agents["mallory"]}", "agent_id": "{on.agents["bob"]}"}}'.encode(),
            ("authorization", f"Bearer {on.token('mallory')}"),
        ),
    ),
    "a verb behind a way round": (
        "not_found",
        lambda on: on.ask("POST", "/api/v1/message.send/..%2frun.finish", on.token("mallory"), json={}),
    ),
    "a page of another origin": ("denied", lambda on: browses(on, origin="http://evil.example")),
    "a page without an origin": ("denied", lambda on: browses(on, origin="null")),
    "a page on another port of this machine": ("denied", lambda on: browses(on, origin="http://127.0.0.1:1")),
    "a name that was bound to this machine": (
        "denied",
        lambda on: browses(on, host="evil.example", origin="http://evil.example"),
    ),
    "the same with the operator's token": (
        "denied",
        lambda on: browses(on, host="evil.example", authorization=f"Bearer {on.stage.keyring.operator()}"),
    ),
    "a form": ("unauthenticated", lambda on: browses(on)),
    "a form of the hub's own origin": ("unauthenticated", lambda on: browses(on, origin=f"http://{own_host(on)}")),
    "a form with a password": ("unauthenticated", lambda on: browses(on, authorization="Basic b3BlcmF0b3I6aHVi")),
    "a page that asks before": (
        "denied",
        lambda on: on.ask(
            "OPTIONS",
            "/api/v1/message.send",
            headers={"origin": "http://evil.example", "access-control-request-method": "POST"},
        ),
    ),
    "a page that listens": (
        "denied",
        lambda on: on.ask("GET", "/api/v1/events", headers={"origin": "http://evil.example"}),
    ),
    "a page at the MCP door": (
        "denied",
        lambda on: on.ask("POST", "/mcp", headers={"origin": "http://evil.example"}, content=b"{}"),
    ),
    "a page that wants a socket": (
        "unauthenticated",
        lambda on: on.ask(
            "GET",
            "/api/v1/events",
            headers={"connection": "Upgrade", "upgrade": "websocket", "host": own_host(on)},
        ),
    ),
}


async def test_forged_caller_is_refused_and_changes_nothing(on):
    before = contents(on.stage.path)
    for way, (expected, attempt) in TOKENS.items():
        assert (way, code(await attempt(on))) == (way, expected)
        assert (way, since(before, on)) == (way, [])


async def test_every_verb_that_is_not_an_agents_is_denied_to_its_token_at_every_door(on):
    before = contents(on.stage.path)
    for name, verb in on.stage.engine.catalog.items():
        if ActorKind.AGENT not in verb.by:
            assert (name, code(await on.verb(on.token("mallory"), name))) == (name, "denied")
        if verb.by == Operator:
            assert (name, code(await on.verb(on.server_token("mallory"), name))) == (name, "denied")
    assert since(before, on) == []


GUESSES: dict[str, tuple[str, Given]] = {
    "get_receipts": ("receipt.list", lambda on: {"message_id": on.secret}),
    "ack": ("message.acknowledge", lambda on: {"message_id": on.secret}),
    "ack for its recipient": (
        "message.acknowledge",
        lambda on: {"message_id": on.secret, "agent_id": on.agents["mallory"]},
    ),
    "receipt": ("receipt.write", lambda on: {"message_id": on.secret, "action": "seen"}),
    "send": ("message.send", lambda on: letter(on, on.agents["dave"])),
    "send into": ("message.send", lambda on: letter(on, fleet_id=on.foreign)),
    "inbox": ("inbox.read", lambda on: {"agent_id": on.agents["dave"]}),
    "who": ("actor.whoami", lambda on: {"agent_id": on.agents["dave"]}),
    "vote": ("decision.cast", lambda on: {"message_id": on.foreign_proposal, "approve": True}),
    "tally": ("decision.tally", lambda on: {"message_id": on.foreign_proposal}),
    "result": ("result.collect", lambda on: {"fleet_id": on.fleet, "agent_id": on.agents["dave"]}),
}


async def test_guessed_id_is_refused_in_the_words_for_one_that_names_nothing(on):
    strangers = {
        on.secret: "msg_000000000000",
        on.foreign_proposal: "msg_111111111111",
        on.agents["dave"]: "agt_000000000000",
        on.foreign: "flt_000000000000",
    }
    for way, (verb, given) in GUESSES.items():
        real = given(on)
        nothing = {name: strangers.get(str(value), value) for name, value in real.items()}

        told = json.dumps(await on.verb(on.token("mallory"), verb, **real))
        for stranger, made_up in strangers.items():
            told = told.replace(stranger, made_up)
        assert (way, json.loads(told)) == (way, await on.verb(on.token("mallory"), verb, **nothing))


# ── requests that are repeated ──────────────────────────────────────────────────────────────────


async def test_request_id_of_another_gets_nothing_of_its_answer(on):
    heard = await on.verb(on.token("bob"), "inbox.read", request_id="bobs")
    assert [message["payload"] for message in heard["messages"]] == ["for bob alone", "Shall we?"]
    stolen = await on.verb(on.token("mallory"), "inbox.read", request_id="bobs")
    assert [message["payload"] for message in stolen["messages"]] == ["for mallory"]


async def test_request_that_is_repeated_with_other_words_is_refused_and_changes_nothing(on):
    await on.verb(on.token("mallory"), "message.send", **letter(on), request_id="mine")
    before = contents(on.stage.path)
    for words in (letter(on, payload="other"), letter(on, "alice"), letter(on, from_agent_id=on.agents["mallory"])):
        assert code(await on.verb(on.token("mallory"), "message.send", **words, request_id="mine")) == "request_reused"
    assert code(await on.verb(on.token("mallory"), "inbox.read", request_id="mine")) == "request_reused"
    assert since(before, on) == []


async def test_request_of_an_agent_that_was_cancelled_meanwhile_is_not_answered_again(on):
    await on.verb(on.token("bob"), "inbox.read", request_id="bobs")
    await cancel(on.stage, on.agents["bob"])
    before = contents(on.stage.path)
    assert code(await on.verb(on.token("bob"), "inbox.read", request_id="bobs")) == "unauthenticated"
    assert since(before, on) == []


# ── what agents may do, and what the operator does for them, is theirs by name ──────────────────


async def test_body_that_names_another_caller_still_comes_from_the_session(on):
    told = await on.bridged(
        on.server_token("mallory"),
        session="ses_mallory",
        tool="whoami",
        agent=on.agents["alice"],
        actor="operator",
        bridge="here",
        directory="/",
    )
    assert told["agent_id"] == on.agents["mallory"]


async def test_colon_in_a_word_or_a_message_takes_no_other_receipts_place(on):
    bob, mallory = on.agents["bob"], on.agents["mallory"]
    tricks = [f":{bob}:seen", f"{bob}:seen", "seen:", ":", f"operator:{on.told}", "system:seen"]
    for trick in tricks:
        told = await on.tool("http", "receipt", message_id=on.told, action=trick)
        assert (told["action"], told["agent_id"]) == (trick, mallory)
    rows = (await on.stage.call("receipt.list", message_id=on.told))["receipts"]
    assert [(row["agent_id"], row["by"]) for row in rows] == [(mallory, f"agent:{mallory}")] * len(tricks)


async def test_word_of_the_hub_that_an_agent_says_takes_no_place_of_its_proof(on):
    mallory = on.agents["mallory"]
    for word in ("seen", "undeliverable"):
        said = await on.tool("http", "receipt", message_id=on.told, action=word)
        assert (said["action"], said["by"]) == (word, f"agent:{mallory}")
    arrivals = {f"{on.told}:{mallory}": Arrival.SEEN}
    await on.tool("http", "get_inbox")
    await on.stage.engine.execute(delivery_commands.prove, SYSTEM, agent=mallory, arrivals=arrivals)

    rows = (await on.stage.call("receipt.list", message_id=on.told))["receipts"]
    assert [(row["action"], row["by"]) for row in rows] == [
        ("seen", f"agent:{mallory}"),
        ("undeliverable", f"agent:{mallory}"),
        ("seen", "system"),
    ]


async def test_what_the_operator_does_for_an_agent_is_recorded_as_the_operators(on):
    bob = on.agents["bob"]
    sent = await on.stage.call("message.send", OPERATOR, **letter(on, "mallory", from_agent_id=bob))
    await on.stage.call("message.acknowledge", OPERATOR, message_id=on.asked, agent_id=bob)
    await on.stage.call("receipt.write", OPERATOR, message_id=on.asked, action="r-ack", agent_id=bob)
    await on.stage.call("receipt.write", OPERATOR, message_id=on.asked, action="watched")

    rows = (await on.stage.call("receipt.list", message_id=on.asked))["receipts"]
    assert [(row["agent_id"], row["action"], row["by"]) for row in rows] == [
        (bob, "ack", "operator"),
        (bob, "r-ack", "operator"),
        (None, "watched", "operator"),
    ]
    by_whom = {(entry["name"], entry["actor"], entry["agent"]) for entry in (await on.stage.events())[-4:]}
    assert by_whom == {
        ("message.sent", "operator", bob),
        ("receipt.written", "operator", bob),
        ("receipt.written", "operator", None),
    }
    assert stored(on, "messages", sent["message_id"])["by"] == "operator"
    assert stored(on, "messages", on.asked)["by"] == f"agent:{on.agents['alice']}"


async def test_operators_look_into_an_inbox_changes_nothing(on):
    before = contents(on.stage.path)
    told = await on.verb(on.stage.keyring.operator(), "inbox.read", agent_id=on.agents["bob"])
    assert [(message["payload"], message["state"]) for message in told["messages"]] == [
        ("for bob alone", "queued"),
        ("Shall we?", "queued"),
    ]
    assert since(before, on) == []
