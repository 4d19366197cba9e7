"""Who an agent is: its tools are there, its identity is bound to it, and it cannot be another."""

import json
import shutil
from pathlib import Path

import anyio
import pytest

from e2e import forgery
from e2e.stage import stage, wants_opencode
from e2e.standing import Standing

pytestmark = [pytest.mark.anyio, wants_opencode]


def agent(role: str) -> dict[str, str]:
    return {"role": role, "prompt": "Say who you are."}


async def test_an_agent_knows_itself_its_peers_and_its_fleet(tmp_path: Path, standing: Standing) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - call: {tool: whoami, arguments: {}}
          - call: {tool: fleet_status, arguments: {fleet_id: "${whoami.fleet_id}"}}
          - say: "${whoami.agent_id} ${whoami.name} ${whoami.peers[0].name} ${fleet_status.fleet.fleet_id}"
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("left"), agent("right"))

        results = await on.wait(fleet)

        assert on.rehearsal.failures == ()
        left, right = (result["agent_id"] for result in results)
        assert [result["output"] for result in results] == [f"{left} left right {fleet}", f"{right} right left {fleet}"]
        preamble = next(m.text for m in on.chats()[0].messages if m.role == "user")
        assert "[muster] You are " in preamble


async def test_a_member_is_offered_its_own_part_of_the_tools_only(tmp_path: Path, standing: Standing) -> None:
    scenario = """
    agents:
      - name: child
        match: {text: Count to three}
        steps:
          - say: one two three
      - name: all
        steps:
          - call: {tool: task, arguments: {description: count, prompt: Count to three, subagent_type: general}}
          - say: counted
    """
    ours = {"whoami", "fleet_status", "collect_results", "spawn_fleet", "wait_fleet", "cancel_fleet", "list_fleets"}
    async with standing.stage(tmp_path, scenario) as on:
        await on.wait(await on.spawn(agent("counter")))

        (member, *_), (child, *_) = on.chats("all"), on.chats("child")
        assert ours.intersection(member.tools) == {"whoami", "fleet_status", "collect_results"}
        assert ours.intersection(child.tools) == set()


async def test_an_agents_shell_names_the_agent_and_holds_no_secret_of_the_hub(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - call: {tool: bash, arguments: {command: "env | sort", description: "look"}}
          - call: {tool: bash, arguments: {command: "muster whoami --json", description: "ask"}}
          - say: "${bash}"
    """
    async with standing.stage(tmp_path, scenario) as on:
        fleet = await on.spawn(agent("sheller"))
        (result,) = await on.wait(fleet)

        second = on.chats()[1]
        seen = next(m.text for m in reversed(second.messages) if m.role == "tool")
        told = dict(line.partition("=")[::2] for line in seen.splitlines() if "=" in line)
        operator = json.loads((on.home / "hub.json").read_text())["token"]
        assert told["MUSTER_AGENT_ID"] == result["agent_id"]
        assert not told.get("OPENCODE_SERVER_PASSWORD")
        assert operator not in seen
        assert json.loads(result["output"])["agent_id"] == result["agent_id"]


async def test_agents_shell_cannot_speak_to_its_host_server(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: victim
        match: {text: Be quiet}
        steps:
          - {say: "untouched", hold: victim}
      - name: attacker
        match: {text: Attack}
        steps:
          - {call: {tool: whoami, arguments: {}}, hold: attack}
          - call: {tool: fleet_status, arguments: {fleet_id: "${whoami.fleet_id}", full: true}}
          - call:
              tool: bash
              arguments:
                command: "python3 forgery.py ${fleet_status.agents[0].session_id}"
                description: forge
          - say: "${bash}"
    """
    async with stage(tmp_path, scenario, mesh_worktree="never") as on:
        shutil.copy(Path(forgery.__file__), on.project)
        fleet = await on.spawn({"role": "victim", "prompt": "Be quiet."}, {"role": "attacker", "prompt": "Attack."})
        await on.rehearsal.held("victim")
        await on.rehearsal.held("attack")
        on.rehearsal.release("attack")
        await on.until(fleet, attacker="done")
        on.rehearsal.release("victim")
        victim, attacker = await on.wait(fleet)

        told = json.loads(attacker["output"])
        (server,) = (await on.call("hub.status"))["servers"]
        assert told["pid"] == server["pid"]
        assert {code for codes in told["codes"].values() for code in codes} == {401}, told
        assert (victim["status"], victim["output"]) == ("done", "untouched")
        lines = (await on.call("agent.log", agent_id=victim["agent_id"]))["lines"]
        assert [line["role"] for line in lines] == ["user", "user", "assistant"]  # preamble, prompt, answer


async def test_agent_can_neither_read_nor_answer_what_waits_for_the_operator(tmp_path: Path) -> None:
    scenario = """
    agents:
      - name: all
        steps:
          - call: {tool: bash, arguments: {command: "muster answer; echo $?", description: "list"}}
          - call: {tool: bash, arguments: {command: "muster answer ask_0 --allow; echo $?", description: "allow"}}
          - say: "done"
    """
    async with stage(tmp_path, scenario, on_ask="operator") as on:
        await on.wait(await on.spawn(agent("greedy")))

        told = [message.text for message in on.chats()[-1].messages if message.role == "tool"]
        assert [text.split()[-1] for text in told] == ["3", "3"]
        assert all("is not for agent callers" in text for text in told)


async def test_environment_of_a_host_server_holds_its_own_password_and_nothing_of_the_hubs(
    tmp_path: Path, standing: Standing
) -> None:
    """The known boundary: whoever runs as the user can read what the user's processes were started with."""
    scenario = """
    agents:
      - name: all
        steps:
          - call: {tool: bash, arguments: {command: "tr '\\\\0' '\\\\n' < /proc/$PPID/environ", description: "look"}}
          - say: "${bash}"
    """
    async with standing.stage(tmp_path, scenario) as on:
        (result,) = await on.wait(await on.spawn(agent("reader")))

        read = result["output"]
        names = {line.partition("=")[0] for line in read.splitlines() if "=" in line}
        operator = json.loads((on.home / "hub.json").read_text())["token"]
        assert "OPENCODE_SERVER_PASSWORD" in names
        assert {name for name in names if name.startswith("MUSTER_")} <= {"MUSTER_SERVER", "MUSTER_STATE"}
        assert operator not in read
        assert operator.rpartition(".")[2] not in read


async def test_shell_of_a_sub_agent_is_nobody_and_what_it_leaves_behind_ends_with_the_run(
    tmp_path: Path, standing: Standing
) -> None:
    scenario = """
    agents:
      - name: child
        match: {text: Look around}
        steps:
          - call:
              tool: bash
              arguments:
                command: "setsid sleep 300 >/dev/null 2>&1 & muster whoami; env | grep ^MUSTER"
                description: look
          - say: "${bash}"
      - name: all
        steps:
          - call: {tool: task, arguments: {description: look, prompt: Look around, subagent_type: general}}
          - say: "${task}"
    """
    async with standing.stage(tmp_path, scenario) as on:
        (result,) = await on.wait(await on.spawn(agent("parent")))

        told = dict(line.partition("=")[::2] for line in result["output"].splitlines() if line.startswith("MUSTER"))
        places = {"MUSTER_RUN", "MUSTER_SERVER", "MUSTER_STATE", "MUSTER_BRANCH"}
        assert {name for name, value in told.items() if value} == places
        assert "nothing says which agent it is" in result["output"]
        with anyio.fail_after(10):
            while any(process.name() == "sleep" for process in on.processes()):
                await anyio.sleep(0.05)
