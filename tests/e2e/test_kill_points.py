"""The hub dies between an effect and its report, at each such place: the next one mends it, and pays nothing twice."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from e2e.stage import Stage, stage, wants_opencode
from muster.errors import MusterError
from repositories import repository, say

SCENARIO = """
agents:
  - name: sleeper
    match: {text: You are sleeper}
    steps:
      - {say: "I sleep.", call: {tool: bash, arguments: {command: "sleep 300", description: s, timeout: 600000}}}
      - {say: "woken"}
  - name: unlucky
    match: {text: You are unlucky}
    steps:
      - {say: "at last", status: 400, body: "not now", times: 1}
  - name: curious
    match: {text: You are curious}
    steps:
      - {call: {tool: read, arguments: {filePath: /etc/hosts}}}
      - {say: "told no"}
  - name: scribe
    match: {text: You are scribe}
    steps:
      - {call: {tool: send_message, arguments: {to_agent_id: worker, type: result, payload: "written once"}}}
      - {say: "at last"}
  - name: author
    match: {text: You are author}
    steps:
      - {call: {tool: bash, arguments: {command: "echo mine > by-$MUSTER_RUN.txt", description: w}}}
      - {say: "at last"}
  - name: all
    steps:
      - {say: "looked", call: {tool: bash, arguments: {command: "echo seen", description: "look"}}}
      - {say: "answered"}
    then: {say: "answered"}
"""
WORKER = {"role": "worker", "prompt": "Look, then answer."}
AUTHOR = {**WORKER, "role": "author", "worktree": True}
Ends = list[tuple[str, str | None]]
Case = Callable[[Stage, str], Awaitable[Ends]]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def on(tmp_path_factory: pytest.TempPathFactory, anyio_backend: str) -> AsyncIterator[Stage]:
    """One home for all of them: each hub finds what the one before it left.

    Worktrees only where the case is about them: more directories than one host server may have open would be two.
    """
    async with stage(tmp_path_factory.mktemp("points"), SCENARIO, serve=False) as on:
        on.env["MUSTER_CFG_MESH_WORKTREE"] = "never"
        yield on


async def ended(on: Stage, fleet: str) -> Ends:
    return [(result["status"], result["output"]) for result in await on.wait(fleet)]


async def working(on: Stage, point: str) -> Ends:
    """It dies by itself, at work."""
    return await _dying(on, point, WORKER, {**WORKER, "role": "unlucky"})


async def cutting(on: Stage, point: str) -> Ends:
    """It dies while it ends an agent whose time is up."""
    return await _dying(on, point, WORKER, {"role": "sleeper", "prompt": "Sleep.", "timeout_ms": 8000})


async def refusing(on: Stage, point: str) -> Ends:
    """It dies when it has answered what an agent asked for."""
    return await _dying(on, point, WORKER, {**WORKER, "role": "curious"})


async def starting(on: Stage, point: str) -> Ends:
    """It dies with a host server that nobody has heard of yet."""
    await on.end_hub()
    return await working(on, point)


async def writing(on: Stage, point: str) -> Ends:
    """It dies while it brings one agent what another said, and mends what became of that."""
    before = len(on.chats())
    ends = await _dying(on, point, WORKER, {**WORKER, "role": "scribe"})
    chats = [chat for chat in on.chats()[before:] if chat.script == "all"]
    told = [[message.text for message in chat.messages if "> written once" in message.text] for chat in chats]
    assert max(map(len, told)) == 1
    assert len({text for texts in told for text in texts}) == 1
    return ends


async def apart(on: Stage, point: str) -> Ends:
    """It dies while it makes worktrees, or keeps what is in them."""
    await on.start_hub(dies_at=point)
    fleet = await _spawn_apart(on)
    ends = await _again(on, fleet)
    rows = (await on.call("worktree.list", fleet_id=fleet))["worktrees"]
    assert [(row["state"], row["error"], bool(row["snapshot"])) for row in rows] == [("ready", None, True)] * 2
    return ends


async def removing(on: Stage, point: str) -> Ends:
    """It dies while it removes a worktree, or brings back what was in it."""
    await on.start_hub(dies_at=point)
    fleet = await _spawn_apart(on)
    ends = await ended(on, fleet)
    row = (await on.call("worktree.list", fleet_id=fleet))["worktrees"][0]
    wish = {"agent_id": row["agent_id"]}
    asked = ("worktree.restore", wish | {"branch": "rescue"}) if "errand" in point else ("worktree.remove", wish)
    with suppress(MusterError, OSError):  # it dies before it answers
        await on.call(asked[0], **asked[1])
    await on.hub_died()
    await on.start_hub()
    await on.journal("errand.ended" if "errand" in point else "worktree.removed")
    kept = "refs/heads/rescue" if "errand" in point else row["ref"]
    assert "f" in say(_repository(on), "ls-tree", "--name-only", kept).splitlines()
    assert Path(row["folder"]).exists() == ("errand" in point)
    return ends


async def _spawn_apart(on: Stage) -> str:
    agents = [{**WORKER, "worktree": True}, {**WORKER, "role": "unlucky", "worktree": True}]
    return (await on.call("fleet.spawn", agents=agents, project=str(_repository(on))))["fleet_id"]


def _repository(on: Stage) -> Path:
    folder = on.folder / "repository"
    if not folder.exists():
        repository(folder, f="f\n")
    return folder


async def landing(on: Stage, point: str) -> Ends:
    """It dies while it lands what an agent did: that lands once, and can be taken back."""
    ends = await _dying(on, point, WORKER, AUTHOR)
    merge = await _landed(on)
    assert [(on.project / file).read_text() for file in merge["files"]] == ["mine\n"]
    return ends


async def undoing(on: Stage, point: str) -> Ends:
    """It dies while it takes a merge back."""
    await on.start_hub(dies_at=point)
    fleet = await on.spawn(WORKER, AUTHOR)
    await on.wait(fleet)
    merge = await _landed(on)
    with suppress(MusterError, OSError):
        await on.call("merge.undo", merge_id=merge["merge_id"])
    ends = await _again(on, fleet)
    await on.journal("merge.undone", merge=merge["merge_id"])
    assert not [file for file in merge["files"] if (on.project / file).exists()]
    return ends


async def branching(on: Stage, point: str) -> Ends:
    """It dies when a merge that lands as a branch has made it."""
    await on.start_hub(dies_at=point)
    fleet = await on.spawn(WORKER, AUTHOR)
    await on.wait(fleet)
    merge = await _landed(on)
    await on.call("merge.undo", merge_id=merge["merge_id"])
    with suppress(MusterError, OSError):
        await on.call("merge.land", agent_id=merge["agent_id"], land_as="branch", include_uncommitted=True)
    ends = await _again(on, fleet)
    again = await on.call("merge.land", agent_id=merge["agent_id"], land_as="branch", include_uncommitted=True)
    assert again["state"] in ("landed", "empty")
    branches = say(on.project, "branch", "--list", "muster/landed/*").split()
    assert branches == [f"muster/landed/{merge['name']}"]
    assert say(on.project, "show", "--format=", "--name-only", *branches).split() == merge["files"]
    return ends


async def _landed(on: Stage) -> Any:
    (merge, *_) = (await on.call("merge.list"))["merges"]
    assert merge["state"] == "landed"
    return merge


async def losing(on: Stage, point: str) -> Ends:
    """It dies when it has noticed that a host server is gone."""
    fleet = await _asleep(on, point)
    for process in on.processes():
        if "serve" in process.cmdline():
            process.kill()
    return await _again(on, fleet)


async def leaving(on: Stage, point: str) -> Ends:
    """It dies while it takes its leave."""
    fleet = await _asleep(on, point)
    on.hub.terminate()
    return await _again(on, fleet)


async def _dying(on: Stage, point: str, *agents: Mapping[str, Any]) -> Ends:
    await on.start_hub(dies_at=point)
    return await _again(on, await on.spawn(*map(dict, agents)))


async def _asleep(on: Stage, point: str) -> str:
    await on.start_hub(dies_at=point)
    fleet = await on.spawn({"role": "sleeper", "prompt": "Sleep."})
    with anyio.fail_after(40):
        while not any(process.name() == "sleep" for process in on.processes()):
            await anyio.sleep(0.05)
    return fleet


async def _again(on: Stage, fleet: str) -> Ends:
    await on.hub_died()
    await on.start_hub()
    return await ended(on, fleet)


GOOD = [("done", "answered"), ("done", "at last")]
REFUSED = [("done", "answered"), ("done", "told no")]
CUT = [("done", "answered"), ("timed_out", "I sleep.")]
WOKEN = [("done", "woken")]

CASES: dict[str, tuple[Case, Ends]] = {
    "server.ready:started": (starting, GOOD),
    "run.start:opened": (working, GOOD),
    "turn.begin:written": (working, GOOD),
    "turn.send:sent": (working, GOOD),
    "run.fail:seen": (working, GOOD),
    "run.finish:answered": (working, GOOD),
    "run.end:reported": (working, GOOD),
    "ask.deliver:replied": (refusing, REFUSED),
    "delivery.compose:composed": (writing, GOOD),
    "delivery.prove:read": (writing, GOOD),
    "merge.compute:kept": (landing, GOOD),
    "merge.write:written": (landing, GOOD),
    "merge.advance:moved": (branching, GOOD),
    "merge.take_back:undone": (undoing, GOOD),
    "run.cut:aborted": (cutting, CUT),
    "run.cut:ended": (cutting, CUT),
    "worktree.create:checked_out": (apart, GOOD),
    "worktree.create:made": (apart, GOOD),
    "worktree.snapshot:taken": (apart, GOOD),
    "worktree.remove:kept": (removing, GOOD),
    "worktree.remove:removed": (removing, GOOD),
    "worktree.errand:done": (removing, GOOD),
    "server.stop:reported": (losing, WOKEN),
    "server.stop:ended": (losing, WOKEN),
    "hub.stop:ended": (leaving, WOKEN),
}


@wants_opencode
@pytest.mark.anyio
@pytest.mark.xdist_group("kill points")
@pytest.mark.parametrize("point", CASES)
async def test_hub_that_dies_between_an_effect_and_its_report_is_mended_by_the_next(on: Stage, point: str) -> None:
    case, wanted = CASES[point]

    ends = await case(on, point)
    await on.kill_hub()

    assert ends == wanted
    answered = Counter((chat.session, chat.step) for chat in on.chats() if chat.outcome == "answered")
    assert set(answered.values()) == {1}
    assert not [process for process in on.processes() if process.name() == "sleep"]
