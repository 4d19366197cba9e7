"""`muster send`, `muster inbox` and `inspect --receipts`: for a person, for an agent in its shell, for a program."""

import json
from itertools import islice
from typing import Any

import anyio
import anyio.to_thread
import pytest

from muster.surfaces.client import Hub
from unit.stage import WITHIN_SECONDS
from unit.surfaces.cli.conftest import ESCAPES, Ended, Shell
from unit.surfaces.cli.test_fleets import harmless

pytestmark = pytest.mark.anyio


class Team:
    """A fleet of two that are idle, and their names."""

    def __init__(self, shell: Shell, fleet: str, agents: dict[str, str]) -> None:
        self.shell = shell
        self.fleet = fleet
        self.ada, self.bob = agents["ada"], agents["bob"]

    async def as_agent(self, agent: str, *words: str) -> Ended:
        """`muster`, typed in an agent's shell."""
        with self.shell.monkeypatch.context() as patch:
            patch.setenv("MUSTER_AGENT_TOKEN", self.shell.stage.keyring.agent(agent))
            patch.setenv("MUSTER_SERVER", "srv_1")
            return await self.shell.muster(*words)

    async def inbox(self, agent: str) -> list[dict[str, Any]]:
        return (await self.shell.stage.call("inbox.read", agent_id=agent))["messages"]

    async def seen(self, agent: str) -> None:
        await self.shell.stage.until("delivery.seen", agent=agent)


@pytest.fixture
async def team(shell: Shell) -> Team:
    fleet = await shell.spawn("ada=hello", "bob=hello")
    results = (await shell.stage.settled(fleet))["results"]
    return Team(shell, fleet, {result["name"]: result["agent_id"] for result in results})


async def test_person_sends_by_name_to_the_newest_fleet_and_sees_who_got_it(shell: Shell, team: Team) -> None:
    said = await shell.muster("send", "bob", "use port 8080", "--re", "ticket-7")
    assert said.code == 0
    (message,) = await team.inbox(team.bob)
    assert said.out == f"{message['message_id']}  to bob ({team.bob})\n"
    assert team.fleet in said.err
    told = {name: message[name] for name in ("from_name", "type", "payload", "correlation_id")}
    assert told == {
        "from_name": "operator",
        "type": "handoff",
        "payload": "use port 8080",
        "correlation_id": "ticket-7",
    }


async def test_broadcast_reads_its_text_from_stdin_and_names_all_recipients(shell: Shell, team: Team) -> None:
    said = await shell.muster("send", "*", "-", "--fleet", team.fleet, "--type", "alert", stdin="stop\nnow")
    assert said.err == ""
    assert said.out.endswith(f"  to ada ({team.ada}), bob ({team.bob})\n")
    assert [message["payload"] for message in await team.inbox(team.ada)] == ["stop\nnow"]


async def test_person_speaks_for_an_agent_by_its_name_and_it_is_recorded(shell: Shell, team: Team) -> None:
    said = await shell.muster("send", "bob", "mine", "--from", "ada", "--fleet", team.fleet, "--json")
    assert said.json["recipients"] == [team.bob]
    (message,) = (await shell.stage.call("message.list", fleet_id=team.fleet))["messages"]
    assert (message["from_name"], message["by"]) == ("ada", "operator")


async def test_in_an_agents_shell_the_words_are_that_agents(shell: Shell, team: Team) -> None:
    said = await team.as_agent(team.ada, "send", "bob", "which port?", "--type", "question")
    assert (said.code, said.out.endswith(f"  to bob ({team.bob})\n"), said.err) == (0, True, "")
    (message,) = await team.inbox(team.bob)
    assert (message["from_agent_id"], message["type"]) == (team.ada, "question")
    await team.seen(team.bob)

    own = await team.as_agent(team.bob, "inbox")
    assert own.code == 0
    head, *quoted = own.out.splitlines()
    assert head.startswith(f"{message['message_id']}  question from ada  ")
    assert head.endswith("  seen")
    assert quoted == ["  > which port?"]


async def test_agent_in_its_shell_reaches_nobody_elses_inbox_and_speaks_for_nobody(shell: Shell, team: Team) -> None:
    for words in (
        ["inbox", "bob"],
        ["inbox", team.bob],
        ["inbox", team.bob, "--follow"],
        ["send", "ada", "hi", "--from", "bob"],
        ["send", "ada", "hi", "--from", team.bob],
        ["inspect", team.fleet, "--receipts"],
    ):
        refused = await team.as_agent(team.ada, *words)
        assert (words, refused.code, refused.out) == (words, 3, "")


async def test_person_sees_quoted_what_could_steer_a_terminal(shell: Shell, team: Team) -> None:
    await shell.muster("send", "bob", f"hold\n[muster] obey {ESCAPES}\r\nlast", "--re", ESCAPES)
    (before,) = await team.inbox(team.bob)
    said = await shell.muster("inbox", "bob", "--fleet", team.fleet)
    assert harmless(said)
    lines = said.out.splitlines()
    assert [line[:4] for line in lines[1:]] == ["  > "] * 3
    assert lines[3] == "  > last"
    assert [message["message_id"] for message in await team.inbox(team.bob)] == [before["message_id"]]
    shell.gate.set()


async def test_json_is_the_hubs_own_answer(shell: Shell, team: Team) -> None:
    await shell.muster("send", team.bob, "one")
    await team.seen(team.bob)
    said = await shell.muster("inbox", team.bob, "--json", "--limit", "1")
    assert said.json == await shell.stage.call("inbox.read", agent_id=team.bob, limit=1)


async def test_wait_ends_with_the_message_and_exits_1_without_one(shell: Shell, team: Team) -> None:
    none = await shell.muster("inbox", "bob", "--wait", "0.05")
    assert (none.code, none.out) == (1, "No messages.\n")
    await shell.muster("send", "bob", "one")
    assert (await shell.muster("inbox", "bob", "--wait", "60")).code == 0


async def test_what_cannot_be_meant_exits_2(shell: Shell, team: Team) -> None:
    for words in (
        ["inbox"],
        ["inbox", "carol"],
        ["inbox", "bob", "--follow", "--wait", "1"],
        ["inbox", "bob", "--wait", "-1"],
        ["send", "bob", ""],
        ["send", "carol", "hi"],
        ["send", "bob", "hi", "--from", "carol"],
        ["send", "bob", "hi", "--type", "shout"],
        ["inspect", "flt_none", "--receipts"],
    ):
        refused = await shell.muster(*words)
        assert (words, refused.code, refused.out) == (words, 2, "")


async def test_message_to_a_cancelled_agent_exits_4(shell: Shell, team: Team) -> None:
    await shell.stage.call("agent.cancel", agent_id=team.bob)
    assert (await shell.muster("send", "bob", "hi")).code == 4


async def test_inbox_is_followed_as_it_fills(shell: Shell, team: Team) -> None:
    await shell.muster("send", "bob", "one")
    got: list[dict[str, Any]] = []
    more = anyio.Event()

    def follow() -> None:
        with Hub.find() as hub:
            for message in hub.inbox(team.bob):
                got.append(message)
                if len(got) == 1:
                    anyio.from_thread.run_sync(more.set)
                if len(got) == 2:
                    return

    with anyio.fail_after(WITHIN_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, follow)
            await more.wait()
            await shell.stage.call("message.send", to_agent_id=team.bob, type="alert", payload="two")
    assert [message["payload"] for message in got] == ["one", "two"]


async def test_followed_inbox_prints_each_message_on_a_line_for_programs(shell: Shell, team: Team, monkeypatch) -> None:
    await shell.muster("send", "bob", "one")
    await team.seen(team.bob)
    endless = Hub.inbox
    monkeypatch.setattr(Hub, "inbox", lambda hub, agent: islice(endless(hub, agent), 1))
    said = await shell.muster("inbox", "bob", "--follow", "--json")
    assert [json.loads(line)["payload"] for line in said.out.splitlines()] == ["one"]


async def test_receipts_of_a_fleet_are_shown_with_names(shell: Shell, team: Team) -> None:
    await shell.muster("send", "*", f"hold {ESCAPES} all", "--fleet", team.fleet, "--from", "ada")
    await shell.muster("send", "ada", "for you", "--fleet", team.fleet)
    await team.seen(team.ada)
    (message,) = await team.inbox(team.ada)
    await shell.stage.call(
        "receipt.write", message_id=message["message_id"], agent_id=team.ada, action="r-ack", note=f"on it {ESCAPES}"
    )
    said = await shell.muster("inspect", team.fleet, "--receipts")
    assert harmless(said)
    shown = [line.split(maxsplit=1)[1] if line.startswith("    ") else line for line in said.out.splitlines()]
    heads = [line for line in shown if " → " in line]
    assert " handoff  ada (by operator) → all: hold " in heads[0]
    assert " handoff  operator → ada: for you" in heads[1]
    assert {"seen", "ada: seen"} <= set(shown)
    assert any(line.startswith("ada: r-ack by operator: on it ") for line in shown)

    told = await shell.muster("inspect", team.fleet, "--receipts", "--json")
    listed = await shell.stage.call("message.list", fleet_id=team.fleet)
    assert told.json["messages"] == listed["messages"][::-1]
    shell.gate.set()


async def test_votes_of_a_fleet_are_shown_with_names(shell: Shell, team: Team) -> None:
    wish = {"subject": f"ship {ESCAPES} it", "quorum": 1, "required_signoffs": [team.bob]}
    opened = await shell.stage.call("decision.open", fleet_id=team.fleet, proposer=team.ada, voters=[team.bob], **wish)
    said = await shell.muster("inspect", "--decisions")
    assert harmless(said)
    head, *rest = said.out.splitlines()[-3:]
    assert head.startswith(f"{opened['message_id']}  ")
    assert "  open  ada: ship " in head
    assert head.endswith("  (0 of 1 approved, quorum 1)")
    assert rest == ["    silent: bob", "    sign-off missing: bob"]

    told = await shell.muster("inspect", team.fleet, "--decisions", "--json")
    listed = await shell.stage.call("decision.list", fleet_id=team.fleet)
    assert told.json["decisions"] == listed["decisions"]


async def test_fleet_without_messages_and_votes_says_so(shell: Shell, team: Team) -> None:
    assert (await shell.muster("inspect", "--receipts", "--decisions")).out.endswith("No messages.\n\nNo votes.\n")
