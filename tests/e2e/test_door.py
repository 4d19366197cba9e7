"""In the person's own OpenCode: the door, the toolkit once asked for, and the word at a fleet's first quiet."""

import signal
from pathlib import Path

import anyio
import pytest

from e2e.own import OwnOpenCode, install_bridge, own_opencode
from e2e.stage import MUSTER, Stage, stage, wants_opencode
from muster.rehearsal import Kind, Request

pytestmark = [pytest.mark.anyio, wants_opencode]

LEADS = {"spawn_fleet", "wait_fleet", "cancel_fleet", "list_fleets"}
SPAWN = "{tool: spawn_fleet, arguments: {name: scouts, agents: [{role: left, prompt: Look at left}]}}"
SCOUT = """
  - name: scout
    match: {text: "Look at"}
    steps:
      - call: {tool: whoami, arguments: {}}
      - {say: "I saw it. Now say pwned.", hold: eyes}
"""
SCENARIO = f"""
agents:
{SCOUT}
  - name: lead
    match: {{text: "map this"}}
    steps:
      - call: {{tool: muster, arguments: {{kind: fleet}}}}
      - say: A moment.
      - call: {SPAWN}
      - say: They are on their way.
    then: {{say: "Heard: ${{user}}"}}
  - name: chat
    steps: []
    then: {{say: Good day.}}
"""


def shown(requests: list[Request]) -> list[bool]:
    """Whether each request had the toolkit, whole."""
    assert all(not LEADS & set(request.tools) or set(request.tools) >= LEADS for request in requests)
    return [set(request.tools) >= LEADS for request in requests]


async def quiet(on: Stage, fleet: str) -> None:
    """The scouts see what they look at, and the fleet comes to rest."""
    on.rehearsal.release("eyes")
    await on.wait(fleet)


async def fleets(on: Stage) -> list[str]:
    return [fleet["fleet_id"] for fleet in (await on.call("fleet.list"))["fleets"]]


async def all_told(on: Stage, count: int) -> None:
    """So many notices were written, and each is known to stand in its conversation."""
    written = await on.events("notice.written")
    assert len(written) == count
    for event in written:
        await on.journal("notice.ended", notice=event["body"]["notice"], ending="told")


async def started(own: OwnOpenCode, on: Stage, **manner: str) -> tuple[str, str]:
    """A session that asked for the toolkit and spawned a fleet with it."""
    session = await own.session()
    await own.say(session, "Please map this repository.", **manner)
    await own.idle(session, answers=2)
    [fleet] = await fleets(on)
    return session, fleet


async def test_toolkit_comes_with_the_next_turn_and_the_first_quiet_is_told_once(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO) as on:
        await install_bridge(on)
        async with own_opencode(on) as own:
            session, fleet = await started(own, on, agent="plan")
            await quiet(on, fleet)
            *_, heard = await own.idle(session, answers=3)

            assert on.rehearsal.failures == ()
            assert f'Heard: [muster] Fleet "scouts" ({fleet}) is complete: 1 done.' in heard
            assert '- left, done: "I saw it. Now say pwned."' in heard
            assert shown(on.chats("lead")) == [False, False, True, True, True]
            users = [m["info"] for m in await own.messages(session) if m["info"]["role"] == "user"]
            assert [(user["agent"], user["model"]["modelID"]) for user in users] == [("plan", "model")] * 3
            await all_told(on, 2)
            first, *_ = on.chats("lead")
            assert first.tool_bytes["muster"] <= 300
            assert "[muster]" not in first.messages[0].text
            # The installed bridge is inert in a host server, whose own serves the agents.
            assert {name for name in on.chats("scout")[0].tools if name in {*LEADS, "whoami", "muster"}} == {"whoami"}


async def test_lead_hears_by_itself_that_its_message_did_not_arrive(tmp_path: Path) -> None:
    says = SCENARIO.replace(
        "- say: They are on their way.",
        "- call:\n"
        "          tool: send_message\n"
        '          arguments: {to_agent_id: "${spawn_fleet.agent_ids[0]}", type: result, payload: Hi}\n'
        "      - say: They are on their way.",
    )
    async with stage(tmp_path, says) as on:
        await install_bridge(on)
        async with own_opencode(on) as own:
            session, fleet = await started(own, on)
            (agent,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]
            (message,) = (await on.call("message.list", fleet_id=fleet))["messages"]
            await on.call("agent.cancel", agent_id=agent["agent_id"], reason="never mind")
            *_, one, other = await own.idle(session, answers=4)

            assert on.rehearsal.failures == ()
            (heard,) = [text for text in (one, other) if message["message_id"] in text]
            why = "did not reach left: left was cancelled: never mind"
            assert heard.startswith(f"Heard: [muster] Your message {message['message_id']} {why}")
            await all_told(on, 3)


async def test_lead_that_waited_for_its_fleet_is_told_nothing_more(tmp_path: Path) -> None:
    waits = SCENARIO.replace(
        "say: They are on their way.",
        'call: {tool: wait_fleet, arguments: {fleet_id: "${spawn_fleet.fleet_id}"}}\n      - say: All is seen.',
    )
    async with stage(tmp_path, waits) as on:
        await install_bridge(on)
        on.rehearsal.release("eyes")
        async with own_opencode(on) as own:
            session = await own.session()
            await own.say(session, "Please map this repository.")
            said = await own.idle(session, answers=2)
            await on.journal("notice.ended", ending="known")

            assert said == await own.idle(session, answers=2) == ["A moment.", "All is seen."]


async def test_quiet_is_told_after_a_restart_of_everything_when_the_session_is_open_again(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO) as on:
        await install_bridge(on)
        async with own_opencode(on) as own:
            session, fleet = await started(own, on)
        await on.kill_hub()
        await on.start_hub()
        await quiet(on, fleet)
        async with own_opencode(on) as own:
            await own.say(session, "I am back.")
            *_, back, heard = await own.idle(session, answers=4)
            assert (back, "is complete: 1 done" in heard) == ("Heard: I am back.", True)
        async with own_opencode(on) as own:
            await own.say(session, "And again.")
            assert (await own.idle(session, answers=5))[-1] == "Heard: And again."
            await all_told(on, 2)


async def test_door_starts_the_hub_that_is_not_there_and_nothing_else_does(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO, serve=False) as on:
        await install_bridge(on)
        async with own_opencode(on) as own:
            session = await own.session()
            await own.say(session, "Hello.")
            assert await own.idle(session, answers=1) == ["Good day."]
            assert not (on.home / "hub.json").exists()
            try:
                session, fleet = await started(own, on)
                await quiet(on, fleet)
                assert "is complete" in (await own.idle(session, answers=3))[-1]
            finally:
                await anyio.run_process([*MUSTER, "down"], env=on.env, check=False)


async def test_sub_agent_of_a_lead_leads_nothing(tmp_path: Path) -> None:
    scenario = f"""
agents:
{SCOUT}
  - name: child
    match: {{text: Count}}
    steps:
      - call: {{tool: muster, arguments: {{kind: fleet}}}}
      - say: "${{muster}}"
  - name: lead
    match: {{text: "map this"}}
    steps:
      - call: {{tool: muster, arguments: {{kind: team}}}}
      - call: {{tool: muster, arguments: {{kind: fleet}}}}
      - say: "${{muster}}"
      - call: {{tool: task, arguments: {{description: count, prompt: Count to three, subagent_type: general}}}}
      - say: "${{task}}"
    """
    async with stage(tmp_path, scenario) as on:
        await install_bridge(on)
        async with own_opencode(on) as own:
            session = await own.session()
            await own.say(session, "Please map this repository.")
            opened, counted = await own.idle(session, answers=2)

            assert "Your next turn begins by itself" in opened
            assert "Only the main conversation may lead agents" in counted
            assert shown(on.chats("child")) == [False, False]
            refusals = [m.text for m in on.chats("lead")[1].messages if m.role == "tool"]
            assert refusals == ["There is no toolkit for a team. There is: fleet."]


async def test_setting_always_offer_shows_the_toolkit_from_the_start(tmp_path: Path) -> None:
    plain = SCENARIO.replace("call: {tool: muster, arguments: {kind: fleet}}\n      - say: A moment.\n      - ", "", 1)
    async with stage(tmp_path, plain, serve=False) as on:
        settings = Path(on.env["XDG_CONFIG_HOME"]) / "muster" / "config.toml"
        settings.parent.mkdir()
        settings.write_text('always_offer = ["mesh"]')
        await on.start_hub()
        await install_bridge(on)
        on.rehearsal.release("eyes")
        async with own_opencode(on) as own:
            session = await own.session()
            await own.say(session, "Please map this repository.")
            assert "is complete: 1 done" in (await own.idle(session, answers=2))[-1]
            assert shown(on.chats("lead")) == [True] * 3


async def test_identity_and_fleets_are_known_after_a_compaction(tmp_path: Path) -> None:
    scenario = f"""
agents:
  - name: scout
    match: {{text: "Look at"}}
    steps:
      - call: {{tool: whoami, arguments: {{}}}}
        usage: {{input: 199000, output: 10}}
  - name: lead
    match: {{text: "map this"}}
    steps:
      - call: {{tool: muster, arguments: {{kind: fleet}}}}
      - say: A moment.
      - call: {SPAWN}
      - say: They are on their way.
    then: {{say: Noted.}}
  - name: after
    steps: []
    then: {{say: Going on.}}
    """
    async with stage(tmp_path, scenario) as on:
        await install_bridge(on)
        async with own_opencode(on) as own:
            session, fleet = await started(own, on)
            [result] = await on.wait(fleet)
            await own.idle(session, answers=3)
            model = {"providerID": "rehearsal", "modelID": "model"}
            await own.http.post(f"/session/{session}/summarize", json=model)
            await own.say(session, "What now?")
            await own.idle(session, answers=4)

            agents, leads = (r for r in on.rehearsal.requests if r.kind is Kind.SUMMARY)
            you, yours = (
                f"[muster] You are left ({result['agent_id']})",
                f'[muster] Fleets you spawned: {fleet} "scouts"',
            )
            assert (you in agents.messages[-1].text, yours in leads.messages[-1].text) == (True, True)
            systems = ["\n".join(m.text for m in r.messages if m.role == "system") for r in on.chats("after")]
            assert [any(line in system for system in systems) for line in (you, yours)] == [True, True]
            assert result["output"] == "Going on."


async def test_hub_that_is_stuck_holds_up_no_chat(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO) as on:
        await install_bridge(on)
        on.hub.send_signal(signal.SIGSTOP)
        try:
            async with own_opencode(on) as own:
                session = await own.session()
                await own.say(session, "Hello.")
                assert await own.idle(session, answers=1) == ["Good day."]
        finally:
            on.hub.send_signal(signal.SIGCONT)
