"""The roster inside the real OpenCode: what a session of one of its personas is, and what all others pay for it."""

import json
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from contract.hosts.bridges import FakeHub
from contract.hosts.stages import OPENCODE, Served, opencode_stage, server_wish, serving, settled
from contract.hosts.test_hosts import ENDED, session_wish, turn_wish
from muster.hosts.contract import Standing
from muster.rehearsal import Kind, Request
from muster.roster import definition, offered, roster

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(OPENCODE is None, reason="SKIPPED FOR WANT OF opencode: npm install runs this test"),
]

SILENT = "agents: [{steps: [], then: {say: hello}}]"
ORACLE = next(persona for persona in roster() if persona.name == "oracle")
PERSONAS = [offered(persona) for persona in roster()]


def leave_roster(server: Path) -> None:
    """As the hub does, beside hub.json."""
    server.mkdir(parents=True, exist_ok=True)
    told = {persona.name: definition(persona) for persona in roster()}
    (server / "roster.json").write_text(json.dumps(told))


async def asked_as(served: Served, directory: Path, persona: str, tools: tuple[str, ...] = ()) -> Standing:
    """Play one turn as this persona to its end."""
    wish = replace(session_wish(directory, run=f"run_{persona}"), persona=persona, tools=tools)
    turn = turn_wish(await served.connection.open_session(wish), directory, "go", turn=f"trn_{persona}")
    turn = replace(turn, persona=persona)
    await served.connection.send(turn)
    return (await settled(served.connection, turn, *ENDED)).standing


async def agents_of(served: Served, directory: Path) -> dict[str, dict[str, object]]:
    auth, header = ("opencode", served.wish.password), {"x-opencode-directory": str(directory)}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{served.process.port}", auth=auth) as http:
        return {agent["name"]: agent for agent in (await http.get("/agent", headers=header, timeout=30)).json()}


def system_of(chat: Request) -> str:
    return "\n".join(message.text for message in chat.messages if message.role == "system")


async def test_session_of_a_shipped_persona_has_its_prompt_and_its_rights_and_nobody_pays_for_the_others(
    tmp_path, directory
):
    leave_roster(tmp_path / "server")
    (directory / "opencode.json").write_text('{"permission": {"webfetch": "deny"}}')
    async with (
        opencode_stage(tmp_path / "home", SILENT) as stage,
        FakeHub().serve(server_wish(tmp_path / "server").hub_file),
        serving(stage, tmp_path / "server") as served,
    ):
        assert await asked_as(served, directory, "build") is Standing.ANSWERED
        assert await asked_as(served, directory, "oracle", ("spawn_fleet",)) is Standing.ANSWERED
    build, oracle = (request for request in stage.rehearsal.requests if request.kind is Kind.CHAT)
    assert ORACLE.prompt in system_of(oracle)
    assert ORACLE.prompt not in system_of(build)
    assert set(build.tools) - set(oracle.tools) == {"bash", "edit", "write", "task", "question"}
    assert set(oracle.tools) - set(build.tools) == {"spawn_fleet"}
    assert "webfetch" not in {*build.tools, *oracle.tools}  # the person's own rule
    kept = set(build.tools) & set(oracle.tools)
    assert {name: build.tool_bytes[name] for name in kept} == {name: oracle.tool_bytes[name] for name in kept}


async def test_tools_weigh_the_same_with_the_roster_and_without_it(tmp_path, directory):
    weights = []
    for is_there in (0, 1):
        server = tmp_path / f"server-{is_there}"  # as long as the other: its path stands in a tool
        if is_there:
            leave_roster(server)
        async with opencode_stage(tmp_path / "home", SILENT) as stage, serving(stage, server) as served:
            await asked_as(served, directory, "build")
        weights += [dict(chat.tool_bytes) for chat in stage.rehearsal.requests if chat.kind is Kind.CHAT]
    without, with_roster = weights
    assert "task" in without
    assert with_roster == without


async def test_own_definitions_win_whole_and_what_is_switched_off_stays_so(tmp_path, directory):
    leave_roster(tmp_path / "server")
    own = {
        "agent": {
            "oracle": {"description": "Mine", "mode": "subagent", "prompt": "I am mine."},
            "go-engineer": {"disable": True},
            "api-designer": {"hidden": True, "prompt": "Behind the curtain."},
        },
        "mode": {"copy-editor": {"prompt": "A mode of mine."}},
    }
    (directory / "opencode.json").write_text(json.dumps(own))
    (directory / ".opencode" / "agent").mkdir(parents=True)
    (directory / ".opencode" / "agent" / "translator.md").write_text("---\ndescription: Ours\n---\nOur translator.\n")
    async with (
        opencode_stage(tmp_path / "home", SILENT, roster=PERSONAS) as stage,
        serving(stage, tmp_path / "server") as served,
    ):
        told = await agents_of(served, directory)
        offers = {persona.name: persona for persona in stage.host.personas(str(directory))}
    assert (told["oracle"]["prompt"], told["oracle"]["mode"]) == ("I am mine.", "subagent")
    assert (told["api-designer"]["prompt"], told["copy-editor"]["prompt"], told["translator"]["prompt"]) == (
        "Behind the curtain.",
        "A mode of mine.",
        "Our translator.",
    )
    assert (offers["oracle"].text, offers["translator"].text) == ("I am mine.", "Our translator.")
    assert "go-engineer" not in told
    assert offers.keys() == told.keys() - {"api-designer", "compaction", "summary", "title"}


@pytest.mark.parametrize("broken", [None, "{", '{"oracle": "nonsense"}'])
async def test_opencode_starts_without_a_roster_that_cannot_be_read(tmp_path, directory, broken):
    (tmp_path / "server").mkdir()
    if broken is not None:
        (tmp_path / "server" / "roster.json").write_text(broken)
    async with opencode_stage(tmp_path / "home", SILENT) as stage, serving(stage, tmp_path / "server") as served:
        told = await agents_of(served, directory)
        assert await asked_as(served, directory, "build") is Standing.ANSWERED
    assert told.keys() == {"build", "plan", "general", "explore", "compaction", "summary", "title"}
