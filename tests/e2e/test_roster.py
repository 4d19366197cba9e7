"""Agents of the shipped roster on the real OpenCode."""

from pathlib import Path

import pytest

from e2e.own import install_bridge, own_opencode
from e2e.stage import stage, wants_opencode
from e2e.standing import Standing
from muster.rehearsal import Request
from muster.roster import roster

pytestmark = [pytest.mark.anyio, wants_opencode]

ORACLE = next(persona for persona in roster() if persona.name == "oracle")
SAY_DONE = "agents: [{name: seer, match: {text: Look ahead}, steps: [{say: seen}]}, {name: all, steps: [{say: done}]}]"


def system_of(chat: Request) -> str:
    return "\n".join(message.text for message in chat.messages if message.role == "system")


async def test_agent_of_the_roster_answers_with_its_prompt_and_its_rights_and_the_tools_weigh_what_they_did(
    tmp_path: Path, standing: Standing
) -> None:
    async with standing.stage(tmp_path, SAY_DONE) as on:
        fleet = await on.spawn(
            {"role": "seer", "prompt": "Look ahead.", "agent": "oracle", "worktree": False},
            {"role": "worker", "prompt": "Work.", "worktree": False},
        )

        assert [result["output"] for result in await on.wait(fleet)] == ["seen", "done"]
        (oracle,), (build,) = on.chats("seer"), on.chats("all")
        assert ORACLE.prompt in system_of(oracle)
        assert ORACLE.prompt not in system_of(build)
        assert set(build.tools) - set(oracle.tools) == {"bash", "edit", "write", "task", "question"}
        assert set(oracle.tools) <= set(build.tools)
        assert {"whoami", "send_message", "read"} <= set(oracle.tools)
        assert oracle.tool_bytes == {name: build.tool_bytes[name] for name in oracle.tools}


async def test_own_oracle_of_a_project_wins_and_one_that_was_switched_off_is_unknown(
    tmp_path: Path, standing: Standing
) -> None:
    async with standing.stage(tmp_path, SAY_DONE) as on:
        folder = on.project / ".opencode" / "agent"
        folder.mkdir(parents=True)
        (folder / "oracle.md").write_text("---\ndescription: Ours\nmode: primary\n---\nWe have one of our own.\n")
        (folder / "translator.md").write_text("---\ndisable: true\n---\n")
        listed = (await on.call("persona.list", project=str(on.project), limit=500))["agents"]

        fleet = await on.spawn({"role": "seer", "prompt": "Look ahead.", "agent": "oracle", "worktree": False})
        await on.wait(fleet)

        sources = {row["name"]: row["source"] for row in listed}
        assert (sources["oracle"], sources["go-engineer"]) == (str(folder / "oracle.md"), "roster")
        assert "translator" not in sources
        (chat,) = on.chats("seer")
        assert "We have one of our own." in system_of(chat)
        assert ORACLE.prompt not in system_of(chat)
        assert {"bash", "edit"} <= set(chat.tools)


async def test_the_persons_own_opencode_has_none_of_it(tmp_path: Path) -> None:
    async with stage(tmp_path, SAY_DONE) as on:
        await install_bridge(on)
        async with own_opencode(on) as own:
            told = {agent["name"] for agent in (await own.http.get("/agent")).json()}

        assert (on.home / "roster.json").exists()
        assert told == {"build", "plan", "general", "explore", "compaction", "summary", "title"}
