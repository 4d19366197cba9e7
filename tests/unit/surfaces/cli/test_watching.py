"""`muster inspect`, `logs`, `events`, `call`, `whoami`: looking, once and live."""

import json
import threading
from typing import Any

import anyio
import anyio.to_thread

from muster.commands import servers
from muster.model.actor import SYSTEM
from muster.surfaces.client import Hub
from unit.stage import server_rows
from unit.surfaces.cli.conftest import Ended, Shell


async def followed(shell: Shell, *words: str) -> Ended:
    """What was said from before the agent was let through until the program ended by itself."""
    said: list[Ended] = []
    watching = threading.Event()
    events = Hub.events

    def noted(*arguments: Any, **named: Any) -> Any:
        watching.set()
        return events(*arguments, **named)

    shell.monkeypatch.setattr(Hub, "events", noted)

    async def follow() -> None:
        said.append(await shell.muster(*words))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await anyio.to_thread.run_sync(watching.wait, abandon_on_cancel=True)
            shell.gate.set()
    return said[0]


async def test_inspect_without_a_fleet_lists_the_fleets(shell: Shell) -> None:
    assert (await shell.muster("inspect")).out == "No fleets.\n"
    fleet = await shell.spawn("one=x", "two=y")
    await shell.stage.settled(fleet)

    head, row = (await shell.muster("inspect")).out.splitlines()
    assert head.split() == ["FLEET", "STATUS", "AGENTS", "TOKENS", "COST", "AGE", "NAME", "PROJECT"]
    assert row.split()[:4] == [fleet, "complete", "2", "done"]


async def test_inspect_shows_agents_with_ids_status_runs_and_the_end_of_their_output(shell: Shell) -> None:
    fleet = await shell.spawn("one=first\nsecond\nthird\nfourth", "two=fail")
    await shell.stage.settled(fleet)
    said = await shell.muster("inspect", fleet, "--events", "2")

    agents = (await shell.stage.call("fleet.status", fleet_id=fleet))["agents"]
    rows = [line.split() for line in said.out.splitlines() if line.startswith("agt_")]
    assert [row[:4] for row in rows] == [
        [agents[0]["agent_id"], "one", "done", "1"],
        [agents[1]["agent_id"], "two", "failed", "1"],
    ]
    assert "one:\n  second\n  third\n  fourth\n" in said.out
    assert "two (error):\n  the model has a cold" in said.out
    assert "fleet.quieted" in said.out.splitlines()[-1]


async def test_inspect_follows_a_fleet_until_it_is_quiet(shell: Shell) -> None:
    fleet = await shell.spawn("one=hold")
    said = await followed(shell, "inspect", "--follow")

    assert said.code == 0
    assert f"{fleet}, the newest" in said.err
    assert "the fleet is complete" in said.out
    assert "one:\n  hold" in said.out


async def test_inspect_follows_for_a_program_with_one_answer_at_the_end(shell: Shell) -> None:
    fleet = await shell.spawn("one=hold")
    answers: list[Ended] = []
    async with anyio.create_task_group() as tasks:

        async def follow() -> None:
            answers.append(await shell.muster("inspect", fleet, "--follow", "--json"))

        tasks.start_soon(follow)
        await shell.stage.until("turn.sent")
        shell.gate.set()
    assert answers[0].json["fleet"]["status"] == "complete"


async def test_inspect_of_a_quiet_fleet_does_not_wait(shell: Shell) -> None:
    fleet = await shell.spawn("one=x")
    await shell.stage.settled(fleet)
    said = await shell.muster("inspect", fleet, "--follow")
    assert (said.code, said.out.count(fleet)) == (0, 1)


async def test_logs_show_the_conversation_once_and_live(shell: Shell) -> None:
    await shell.spawn("one=hold this")
    (event,) = await shell.stage.events("agent.attached")
    live = await followed(shell, "logs", event["agent"], "--follow")
    await shell.stage.until("run.ended")
    later = await shell.muster("logs", event["agent"])

    for said in (live, later):
        assert said.code == 0
        assert said.out.splitlines()[-2:] == [said.out.splitlines()[-2], "    hold this"]
        assert "assistant" in said.out.splitlines()[-2]
        assert said.out.count("Your task follows.") == 1


async def test_logs_as_json_are_the_hubs_answer_and_live_one_line_each(shell: Shell) -> None:
    await shell.spawn("one=hold this")
    (event,) = await shell.stage.events("agent.attached")
    live = await followed(shell, "logs", event["agent"], "--follow", "--json")
    await shell.stage.until("run.ended")
    whole = (await shell.muster("logs", event["agent"], "--json")).json

    assert whole == await shell.stage.call("agent.log", agent_id=event["agent"])
    assert [json.loads(line) for line in live.out.splitlines()] == whole["lines"]


async def test_logs_of_no_agent_exit_2(shell: Shell) -> None:
    said = await shell.muster("logs", "agt_none", "--json")
    assert (said.code, said.error["code"]) == (2, "not_found")


async def test_events_are_told_oldest_first_after_a_cursor_and_of_one_agent(shell: Shell) -> None:
    fleet = await shell.spawn("one=x")
    await shell.stage.settled(fleet)
    told = await shell.stage.events()

    page = (await shell.muster("events", "--json")).json
    after = (await shell.muster("events", "--after", str(told[2]["cursor"]), "--json")).json
    everything = (await shell.muster("events", "--after", "0", "--limit", "500", "--json")).json
    of_agent = (await shell.muster("events", "--agent", told[1]["agent"], "--json")).json
    text = (await shell.muster("events", "--fleet", fleet)).out.splitlines()

    assert page["events"] == told
    assert after["events"] == told[3:]
    assert everything["events"] == told
    assert {event["agent"] for event in of_agent["events"]} == {told[1]["agent"]}
    assert [line.split()[3] for line in text] == [event["name"] for event in told if event["fleet"]]


async def test_call_reaches_every_verb_with_arguments_from_the_line_or_stdin(shell: Shell) -> None:
    assert (await shell.muster("call", "hub.ping")).json == await shell.stage.call("hub.ping")
    fleet = await shell.spawn("one=x")
    await shell.stage.settled(fleet)
    arguments = json.dumps({"fleet_id": fleet})
    line = await shell.muster("call", "fleet.status", "--json", arguments)
    stdin = await shell.muster("call", "fleet.status", "--json", "-", stdin=arguments)
    assert line.json == stdin.json == await shell.stage.call("fleet.status", fleet_id=fleet)


async def test_call_tells_errors_as_json_whatever_was_wrong(shell: Shell) -> None:
    for words, code in (
        (["hub.pong"], "not_found"),
        (["hub.ping", "--json", "{"], "malformed_json"),
        (["hub.ping", "--json", "[]"], "malformed_json"),
        (["hub.ping", "--json", '{"self": 1, "verb": 2}'], "unknown_field"),
        (["fleet.status", "--json", '{"fleet_id": 5}'], "wrong_type"),
        (["run.finish", "--json", "{}"], "denied"),
    ):
        said = await shell.muster("call", *words)
        told = said.error["code"] if "--json" in words else said.err
        assert (words, code in told or "There is no verb" in told, said.out) == (words, True, "")
        assert said.code == (3 if code == "denied" else 2)


async def test_whoami_says_operator_and_for_an_agents_token_the_agent(shell: Shell) -> None:
    assert (await shell.muster("whoami")).out == "operator\n"
    await shell.spawn("one=hold", "two=hold")
    agent = (await shell.stage.events("agent.attached"))[0]["agent"]
    shell.monkeypatch.setenv("MUSTER_AGENT_TOKEN", shell.stage.keyring.agent(agent))
    shell.monkeypatch.setenv("MUSTER_SERVER", "srv_1")

    assert (await shell.muster("whoami", "--json")).json["agent_id"] == agent
    first, second = (await shell.muster("whoami")).out.splitlines()
    assert (first.split()[:2], second.startswith("peers: two (")) == (["one", agent], True)
    assert (await shell.muster("fleet", "spawn", "a=b")).code == 3


async def test_nobody_below_a_host_server_is_the_operator(shell: Shell) -> None:
    shell.monkeypatch.setenv("MUSTER_SERVER", "srv_1")
    said = await shell.muster("whoami", "--json")
    assert (said.code, said.error["code"]) == (3, "denied")


async def test_status_shows_the_hub_and_its_host_servers(shell: Shell) -> None:
    idle = await shell.muster("status")
    await shell.spawn("one=hold")
    await shell.stage.until("run.started")
    busy = await shell.muster("status")
    (server,) = await server_rows(shell.stage)
    await shell.stage.engine.execute(servers.drain, SYSTEM, server=server.id, generation=1, memory_mib=5000)

    assert "drained at 5000 MiB" in (await shell.muster("status")).out
    assert "none on the way" in idle.out
    assert "No host server is awake." in idle.out
    assert "1 working" in busy.out
    told = (await shell.muster("status", "--json")).json
    assert told.items() >= (await shell.stage.call("hub.status")).items()
    assert {"url", "pid"} < set(told)
