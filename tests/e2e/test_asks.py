"""No headless agent waits for an answer that nobody will give."""

import json
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from e2e.stage import Stage, stage, wants_opencode
from muster.surfaces.client import Hub

pytestmark = [pytest.mark.anyio, wants_opencode]

TWO_THINGS = """
agents:
  - name: all
    steps:
      - call: {tool: bash, arguments: {command: "echo done > by-bash", description: "write"}}
      - call: {tool: write, arguments: {filePath: by-hand, content: "done"}}
      - say: "I went on."
"""
OUTSIDE = """
agents:
  - name: child
    match: {text: Look outside}
    steps:
      - call: {tool: read, arguments: {filePath: /etc/hostname}}
      - say: "nothing there for me"
  - name: all
    steps:
      - call: {tool: task, arguments: {description: look, prompt: Look outside, subagent_type: general}}
      - say: "My helper went on."
"""
QUESTION = """
agents:
  - name: all
    steps:
      - call:
          tool: question
          arguments:
            questions:
              - {question: "Which colour?", header: colour, options: [{label: red, description: warm}]}
      - say: "${question}"
"""


WISH = {"role": "worker", "prompt": "Work."}


def user_says(on: Stage, permission: Any) -> None:
    """The user's own OpenCode configuration."""
    file = Path(on.env["XDG_CONFIG_HOME"]) / "opencode" / "opencode.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"permission": permission}))


async def waiting(on: Stage, fleet: str, number: int = 1) -> list[dict[str, Any]]:
    """What waits for the operator, once there is so much of it; the longest first."""

    def follow() -> list[dict[str, Any]]:
        with Hub.find(on.home, environment={}) as hub:
            for _ in hub.events(after=0, fleet=fleet):
                asks = hub.call("ask.list", fleet_id=fleet)["asks"]
                if len(asks) == number:
                    return asks[::-1]
        raise AssertionError("the journal ended")

    with anyio.fail_after(40):
        return await anyio.to_thread.run_sync(follow, abandon_on_cancel=True)


async def permissions(on: Stage, fleet: str) -> list[tuple[str, str]]:
    (agent,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]
    return [(row["permission"], row["answer"]) for row in agent["permissions"]]


def told(on: Stage) -> list[str]:
    """What came of each tool call, as the model read it."""
    return [message.text for message in on.chats()[-1].messages if message.role == "tool"]


@pytest.mark.parametrize("permission", [{"bash": "ask", "edit": "ask"}, "ask"], ids=["some", "everything"])
async def test_what_the_user_wants_to_be_asked_is_refused_and_the_agent_goes_on(
    tmp_path: Path, permission: Any
) -> None:
    async with stage(tmp_path, TWO_THINGS, mesh_worktree="never") as on:
        user_says(on, permission)
        fleet = await on.spawn(WISH)

        (result,) = await on.wait(fleet, seconds=40)

        assert (result["status"], result["output"]) == ("done", "I went on.")
        assert await permissions(on, fleet) == [("bash", "refused"), ("edit", "refused")]
        assert all("nobody is at the keyboard" in text for text in told(on))
        assert not any((on.project / name).exists() for name in ("by-bash", "by-hand"))


async def test_what_the_user_wants_to_be_asked_is_allowed_this_once_where_the_policy_says_so(tmp_path: Path) -> None:
    async with stage(tmp_path, TWO_THINGS, on_ask="allow", mesh_worktree="never") as on:
        user_says(on, "ask")
        fleet = await on.spawn(WISH)

        (result,) = await on.wait(fleet, seconds=40)

        assert (result["status"], result["output"]) == ("done", "I went on.")
        assert await permissions(on, fleet) == [("bash", "allowed"), ("edit", "allowed")]
        assert [(on.project / name).read_text().strip() for name in ("by-bash", "by-hand")] == ["done", "done"]


async def test_what_the_user_denies_stays_denied_whatever_the_policy_allows(tmp_path: Path) -> None:
    async with stage(tmp_path, TWO_THINGS, on_ask="allow", mesh_worktree="never") as on:
        user_says(on, {"*": "ask", "bash": {"*": "ask", "echo *": "deny"}})
        fleet = await on.spawn(WISH)

        (result,) = await on.wait(fleet, seconds=40)

        assert (result["status"], result["output"]) == ("done", "I went on.")
        assert await permissions(on, fleet) == [("edit", "allowed")]
        assert not (on.project / "by-bash").exists()


async def test_operator_answers_what_waits_and_the_agent_goes_on_with_it(tmp_path: Path) -> None:
    async with stage(tmp_path, TWO_THINGS, on_ask="operator", mesh_worktree="never") as on:
        user_says(on, "ask")
        fleet = await on.spawn(WISH)

        (first,) = await waiting(on, fleet)
        granted = await on.call("ask.answer", ask_id=first["ask_id"], allow=True)
        (second,) = await waiting(on, fleet)
        refused = await on.call("ask.answer", ask_id=second["ask_id"], allow=False, sentence="Not by hand.")
        (result,) = await on.wait(fleet, seconds=40)

        assert (first["what"], first["pattern"], second["what"]) == ("bash", "echo done > by-bash", "edit")
        assert [(one["state"], one["answer"], one["settled"]) for one in (granted, refused)] == [
            ("delivered", "allowed", True),
            ("delivered", "refused", True),
        ]
        assert (result["status"], result["output"]) == ("done", "I went on.")
        assert (on.project / "by-bash").exists()
        assert "Not by hand." in told(on)[-1]


async def test_operator_who_does_not_answer_in_time_has_refused(tmp_path: Path) -> None:
    async with stage(tmp_path, QUESTION, on_ask="operator", ask_timeout_seconds=1) as on:
        fleet = await on.spawn(WISH)

        (result,) = await on.wait(fleet, seconds=40)

        assert (result["status"], await permissions(on, fleet)) == ("done", [("question", "refused")])
        assert "nobody is at the keyboard" in result["output"]


@pytest.mark.parametrize("policy", ["refuse", "allow"])
async def test_question_is_answered_with_the_advice_to_go_on(tmp_path: Path, policy: str) -> None:
    async with stage(tmp_path, QUESTION, on_ask=policy) as on:
        fleet = await on.spawn(WISH)

        (result,) = await on.wait(fleet, seconds=40)

        assert (result["status"], await permissions(on, fleet)) == ("done", [("question", "refused")])
        assert "nobody is at the keyboard" in result["output"]


async def test_question_gets_the_operators_words(tmp_path: Path) -> None:
    async with stage(tmp_path, QUESTION, on_ask="operator") as on:
        fleet = await on.spawn(WISH)

        (ask,) = await waiting(on, fleet)
        await on.call("ask.answer", ask_id=ask["ask_id"], answers=["rather blue"])
        (result,) = await on.wait(fleet, seconds=40)

        red = {"label": "red", "description": "warm"}
        assert ask["questions"] == [{"question": "Which colour?", "options": [red], "multiple": False}]
        assert (result["status"], '"Which colour?"="rather blue"' in result["output"]) == ("done", True)


@pytest.mark.parametrize(("policy", "answer"), [("refuse", "refused"), ("allow", "allowed")])
async def test_what_a_sub_agent_wants_is_answered_too(tmp_path: Path, policy: str, answer: str) -> None:
    async with stage(tmp_path, OUTSIDE, on_ask=policy) as on:
        fleet = await on.spawn(WISH)

        (result,) = await on.wait(fleet, seconds=40)

        assert (result["status"], result["output"]) == ("done", "My helper went on.")
        assert await permissions(on, fleet) == [("external_directory", answer)]


async def test_refusal_takes_with_it_what_else_is_asked_at_that_moment_but_not_what_was_allowed(tmp_path: Path) -> None:
    calls = "\n".join(
        f'          - {{tool: bash, arguments: {{command: "echo {n} > file-{n}", description: "write"}}}}'
        for n in range(3)
    )
    scenario = f"agents:\n  - name: all\n    steps:\n      - calls:\n{calls}\n      - say: I went on.\n"
    async with stage(tmp_path, scenario, on_ask="operator", mesh_worktree="never") as on:
        user_says(on, {"bash": "ask"})
        fleet = await on.spawn(WISH)

        first, second, third = await waiting(on, fleet, 3)
        await on.call("ask.answer", ask_id=second["ask_id"], allow=True)
        await on.call("ask.answer", ask_id=first["ask_id"], allow=False)
        (result,) = await on.wait(fleet, seconds=40)

        (agent,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]
        assert (result["status"], result["output"], agent["runs"]) == ("done", "I went on.", 1)
        assert [(on.project / f"file-{n}").exists() for n in range(3)] == [False, True, False]
        assert await permissions(on, fleet) == [("bash", "refused"), ("bash", "allowed"), ("bash", "gone")]
        assert (await on.call("ask.brief", ask_id=third["ask_id"]))["state"] == "gone"


LOOP = """
agents:
  - name: afterwards
    match: {text: Your last turn was ended}
    steps:
      - say: "I went on."
  - name: all
    steps:
      - calls:
          - {tool: bash, arguments: {command: "echo x", description: "again"}}
          - {tool: bash, arguments: {command: "echo x", description: "again"}}
          - {tool: bash, arguments: {command: "echo x", description: "again"}}
      - say: "I went on."
"""


@pytest.mark.parametrize(("policy", "answer", "runs"), [("refuse", "refused", 2), ("allow", "allowed", 1)])
async def test_loop_that_opencode_stops_at_is_answered_and_the_agent_goes_on(
    tmp_path: Path, policy: str, answer: str, runs: int
) -> None:
    """Refused, it ends the turn in OpenCode: the next one says so, and repeats nothing."""
    async with stage(tmp_path, LOOP, on_ask=policy) as on:
        fleet = await on.spawn(WISH)

        (result,) = await on.wait(fleet, seconds=40)

        (agent,) = (await on.call("fleet.status", fleet_id=fleet))["agents"]
        assert (result["status"], result["output"], agent["runs"]) == ("done", "I went on.", runs)
        assert await permissions(on, fleet) == [("doom_loop", answer)]
