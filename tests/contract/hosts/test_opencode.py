"""What is OpenCode's own: its program, its processes, its files."""

import stat
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2
import psutil
import pytest

from contract.hosts.stages import (
    OPENCODE,
    WITHIN_SECONDS,
    opencode_stage,
    server_wish,
    serving,
    settled,
    user_environment,
)
from contract.hosts.test_hosts import ENDED, session_wish, turn_wish
from muster.errors import HostAway, HostFailed, HostMissing, HostVersionUnknown
from muster.hosts.contract import Standing
from muster.hosts.opencode.host import OpenCodeHost

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(OPENCODE is None, reason="SKIPPED FOR WANT OF opencode: npm install runs this test"),
]

AGENT = "---\ndescription: {description}\nmode: {mode}\n---\nYou are it.\n"


def program(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return str(path)


def processes_of(server: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MUSTER_SERVER") == server and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


async def test_start_that_is_cancelled_leaves_nothing(tmp_path):
    wish = server_wish(tmp_path / "server")
    async with opencode_stage(tmp_path / "home") as stage:
        with anyio.move_on_after(10):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stage.host.start, wish)
                while not processes_of(wish.id):
                    await anyio.sleep(0.01)
                tasks.cancel_scope.cancel()
    assert wish.log.exists()
    assert processes_of(wish.id) == []


async def test_start_ends_what_an_earlier_try_left(tmp_path):
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        process = await stage.host.start(served.wish)
        assert not stage.host.alive(served.process)
        assert stage.host.alive(process)


async def test_server_of_another_state_folder_with_the_same_ids_is_left_alone(tmp_path):
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        copied = OpenCodeHost(state=tmp_path / "copy", env=user_environment(tmp_path))
        await copied.stop(served.wish.id)
        assert not copied.alive(served.process)
        assert (await copied.traces()).servers == set()
        assert stage.host.alive(served.process)


async def test_connection_that_was_closed_says_that_its_server_is_away(tmp_path, directory):
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        await served.connection.aclose()
        with pytest.raises(HostAway):
            await served.connection.open_session(session_wish(directory))


async def test_tidied_server_keeps_its_database_and_no_temporary_files(tmp_path):
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        await stage.host.stop(served.wish.id)
        await stage.host.tidy(served.wish)
        left = {path.name for path in served.wish.folder.iterdir()}
    assert ("opencode.db" in left, "tmp" in left) == (True, False)


async def test_server_that_ends_at_once_says_its_last_words(tmp_path):
    broken = program(tmp_path / "opencode", 'test "$1" = --version && echo 1.18.33 && exit', "echo no room; exit 3")
    host = OpenCodeHost(state=tmp_path, program=broken, env=user_environment(tmp_path))
    with pytest.raises(HostFailed, match="no room"):
        await host.start(server_wish(tmp_path / "server"))


@pytest.mark.parametrize("version", ["1.17.9", "2.0.0", "0.3"])
async def test_version_that_is_not_spoken_is_refused(tmp_path, version):
    host = OpenCodeHost(
        state=tmp_path, program=program(tmp_path / "opencode", f"echo {version}"), env=user_environment(tmp_path)
    )
    with pytest.raises(HostVersionUnknown, match=version):
        await host.start(server_wish(tmp_path / "server"))


async def test_program_that_is_not_there_is_missing(tmp_path):
    host = OpenCodeHost(state=tmp_path, program=str(tmp_path / "opencode"), env=user_environment(tmp_path))
    with pytest.raises(HostMissing):
        await host.start(server_wish(tmp_path / "server"))


async def test_server_has_its_own_files_and_no_open_door(tmp_path):
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        folder = served.wish.folder
        assert "listening on" in served.wish.log.read_text()
        assert stat.S_IMODE((folder / "bridge.token").stat().st_mode) == 0o600
        assert (folder / "opencode.db").exists()
        assert list((tmp_path / "home").rglob("*.db")) == []
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.process.port}") as http:
            assert (await http.get("/session")).status_code == httpx2.codes.UNAUTHORIZED


async def test_session_grants_its_own_tools_and_nothing_else(tmp_path, directory):
    """A session's `allow` would come over the user's own `deny`."""
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        wish = replace(session_wish(directory), tools=("whoami", "fleet_status"))
        session = await served.connection.open_session(wish)
        url, headers = f"http://127.0.0.1:{served.process.port}", {"x-opencode-directory": wish.directory}
        async with httpx2.AsyncClient(base_url=url, auth=("opencode", served.wish.password), headers=headers) as http:
            told = (await http.get(f"/session/{session}")).json()
    assert [(rule["permission"], rule["pattern"]) for rule in told["permission"] if rule["action"] == "allow"] == [
        ("whoami", "*"),
        ("fleet_status", "*"),
    ]
    assert {rule["action"] for rule in told["permission"]} <= {"allow", "deny"}


async def test_another_password_is_not_the_server_that_was_started(tmp_path):
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        stranger = stage.host.connect(replace(served.wish, password="another"), served.process)
        assert not await stranger.healthy()
        await stranger.aclose()


async def test_abort_while_the_provider_is_waited_for_ends_the_turn(tmp_path, directory):
    limited = "agents: [{steps: [{say: late, status: 429}]}]"
    async with opencode_stage(tmp_path / "home", limited) as stage, serving(stage, tmp_path / "server") as served:
        turn = turn_wish(await served.connection.open_session(session_wish(directory)), directory, "go")
        await served.connection.send(turn)
        with anyio.fail_after(WITHIN_SECONDS):
            while (seen := await served.connection.look(turn)).error is None:
                await anyio.sleep(0.05)
        assert seen.standing is Standing.OPEN
        await served.connection.abort(turn.session, turn.directory)
        with anyio.fail_after(2):
            seen = await settled(served.connection, turn, *ENDED)
    assert (seen.standing, seen.error) == (Standing.FAILED, "Aborted")


async def test_configuration_that_the_program_refuses_is_said_with_its_place(tmp_path, directory):
    (directory / "opencode.json").write_text('{"agent": {"a": {"mode": "nonsense"}}}')
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        with pytest.raises(HostFailed, match=r"opencode\.json agent\.a\.mode"):
            await served.connection.open_session(session_wish(directory))


async def test_directory_with_foreign_letters_is_worked_in(tmp_path):
    directory = tmp_path / "ünï 100% 日本"
    directory.mkdir()
    command = "agents: [{steps: [{call: {tool: bash, arguments: {command: pwd}}}, {say: '${bash}'}]}]"
    async with opencode_stage(tmp_path / "home", command) as stage, serving(stage, tmp_path / "server") as served:
        turn = turn_wish(await served.connection.open_session(session_wish(directory)), directory, "go")
        await served.connection.send(turn)
        seen = await settled(served.connection, turn, *ENDED)
    assert seen.output.strip() == str(directory)


async def test_directory_that_the_program_would_mistake_for_another_is_refused(tmp_path):
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        with pytest.raises(HostFailed):
            await served.connection.open_session(session_wish(tmp_path / "a%20b"))


async def test_personas_are_those_that_the_real_program_offers(tmp_path, directory):
    config = tmp_path / "home" / "config" / "opencode"
    write_personas(config, directory)
    async with opencode_stage(tmp_path / "home") as stage, serving(stage, tmp_path / "server") as served:
        offered = {persona.name: persona for persona in stage.host.personas(str(directory / "deep"))}
        auth, header = ("opencode", served.wish.password), {"x-opencode-directory": str(directory / "deep")}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.process.port}", auth=auth) as http:
            told = (await http.get("/agent", headers=header, timeout=30)).json()
    visible = {agent["name"]: agent for agent in told if not agent.get("hidden")}
    assert offered.keys() == visible.keys()
    assert {name: persona.mode for name, persona in offered.items()} == {
        name: agent["mode"] for name, agent in visible.items()
    }
    own = offered.keys() - {"build", "plan", "general", "explore"}
    assert {name: offered[name].description for name in own} == {
        name: visible[name].get("description") or "" for name in own
    }


def write_personas(config: Path, directory: Path) -> None:
    """Every way of defining one, in the user's folder and in a git project with a folder inside."""
    for folder in (config / "agent" / "deep", config / "agents", directory / ".git", directory / "deep" / ".opencode"):
        folder.mkdir(parents=True)
    (directory / ".opencode" / "agents" / "team").mkdir(parents=True)
    (directory / ".opencode" / "mode").mkdir()
    (config / "agent" / "scout.md").write_text(AGENT.format(description="Scouts", mode="primary"))
    (config / "agent" / "deep" / "diver.md").write_text(AGENT.format(description=">\n  Dives\n  deep", mode="all"))
    (config / "agents" / "crlf.md").write_bytes(
        AGENT.format(description="Windows", mode="subagent").replace("\n", "\r\n").encode()
    )
    (config / "agents" / "colon.md").write_text(AGENT.format(description="Use when: always", mode="all"))
    (config / "agents" / "broken.md").write_text("---\ndescription: [\n---\nBroken\n")
    (config / "agents" / "plain.md").write_text("No front matter at all.\n")
    (config / "agents" / "hidden.md").write_text("---\nhidden: true\n---\nHidden\n")
    (config / "agents" / "off.md").write_text("---\ndisable: true\n---\nOff\n")
    (config / "agents" / "renamed.md").write_text("---\nname: other-name\n---\nRenamed\n")
    (config / "opencode.jsonc").write_text(
        '{// words\n"agent": {"plan": {"disable": true}, "from-json": {"description": "J", "mode": "subagent",},}}'
    )
    (directory / ".opencode" / "agents" / "team" / "lead.md").write_text(AGENT.format(description="Leads", mode="all"))
    (directory / ".opencode" / "mode" / "quick.md").write_text("---\ndescription: Quick\n---\nQuick\n")
    (directory / "opencode.json").write_text('{"agent": {"scout": {"description": "Scouts here"}}}')
    (directory / "deep" / ".opencode" / "opencode.json").write_text('{"mode": {"nested": {"description": "N"}}}')
