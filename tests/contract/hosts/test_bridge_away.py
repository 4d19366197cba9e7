"""Without a hub nobody minds an agent's ceilings: after a while its tool calls wait, and at last its turn ends."""

import json
import time
from pathlib import Path
from typing import Any

import anyio
import pytest

from contract.hosts.bridges import FakeHub
from e2e.own import OwnOpenCode, own_opencode
from e2e.stage import Stage, stage, wants_opencode
from muster.hosts.opencode.environment import BRIDGE

pytestmark = [pytest.mark.anyio, wants_opencode]

SCENARIO = """
agents:
  - steps:
      - {call: {tool: bash, arguments: {command: "touch done", description: go}}, delay_seconds: 2}
      - say: All is done.
"""


def host_server(on: Stage, *, held_ms: int) -> dict[str, str]:
    """The environment of an `opencode serve` that takes itself for one of Muster's; a minute is a second here."""
    token = on.folder / "token"
    token.write_text("the server's")
    options = {"server": "srv_1", "hub_file": str(on.home / "hub.json"), "token_file": str(token)}
    limits = {"grace_ms": 1000, "held_ms": held_ms}
    config = json.loads(on.env["OPENCODE_CONFIG_CONTENT"]) | {"plugin": [[BRIDGE.as_uri(), options | limits]]}
    return {"MUSTER_SERVER": "srv_1", "OPENCODE_CONFIG_CONTENT": json.dumps(config)}


async def call_on_its_way(own: OwnOpenCode) -> str:
    """A session whose model has called a tool."""
    session = await own.session()
    await own.say(session, "Go.")
    with anyio.fail_after(30):
        while not await calls(own, session):
            await anyio.sleep(0.1)
    return session


async def calls(own: OwnOpenCode, session: str) -> list[dict[str, Any]]:
    return [
        part["state"] for message in await own.messages(session) for part in message["parts"] if part["type"] == "tool"
    ]


async def test_tool_call_is_held_until_a_hub_is_back(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO, serve=False) as on, own_opencode(on, **host_server(on, held_ms=60_000)) as own:
        session = await call_on_its_way(own)
        assert not (on.project / "done").exists()
        back_at = time.time() * 1000
        async with FakeHub().serve(on.home / "hub.json"):
            assert await own.idle(session, answers=1) == ["All is done."]
        [call] = await calls(own, session)
        assert (call["status"], call["time"]["end"] >= back_at) == ("completed", True)
        assert (on.project / "done").exists()


async def test_turn_ends_when_no_hub_comes_back_in_time(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO, serve=False) as on, own_opencode(on, **host_server(on, held_ms=1500)) as own:
        session = await call_on_its_way(own)
        with anyio.fail_after(30):
            while "error" not in (last := (await own.messages(session))[-1]["info"]):
                await anyio.sleep(0.1)
        assert last["error"]["name"] == "MessageAbortedError"
        assert await own.idle(session, answers=0) == []
        assert [call["status"] for call in await calls(own, session)] == ["error"]
        assert not (on.project / "done").exists()
        assert len(on.chats()) == 1
