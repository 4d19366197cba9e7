"""A red check lands nothing of the agent whose work it is, on the real OpenCode; what is green beside it lands."""

from pathlib import Path

import pytest

from e2e.stage import Stage, stage, wants_opencode

pytestmark = [pytest.mark.anyio, wants_opencode]

CHECK = "if grep -q red *.txt; then echo it is red; exit 3; fi"
HANDS = {"ann": "echo green > ann.txt", "bob": "echo red > bob.txt", "cid": "echo green > cid.txt"}
SCENARIO = "agents:\n" + "".join(
    f"""
  - name: {name}
    match: {{text: You are {name}}}
    steps:
      - {{call: {{tool: bash, arguments: {{command: {command!r}, description: work}}}}}}
      - {{say: "done by {name}"}}
    then: {{say: "${{user ~ Your work does not land}}"}}
"""
    for name, command in HANDS.items()
)


def told(on: Stage, script: str, words: str) -> int:
    return sum(words in message.text for message in on.chats(script)[-1].messages)


async def test_of_three_that_wait_two_land_and_the_red_one_is_told_why(tmp_path: Path) -> None:
    async with stage(tmp_path, SCENARIO, merge_check=CHECK) as on:
        fleet = await on.spawn(*({"role": name, "name": name, "prompt": f"You are {name}."} for name in HANDS))
        results = await on.wait(fleet, 100)
        merges = {result["name"]: result["merge"] for result in results}
        assert {name: merge["state"] for name, merge in merges.items()} == {
            "ann": "landed",
            "bob": "refused",
            "cid": "landed",
        }
        assert (merges["bob"]["facts"]["check"], merges["bob"]["facts"]["output"]) == (CHECK, "it is red")
        assert sorted(file.name for file in on.project.glob("*.txt")) == ["ann.txt", "cid.txt"]
        assert {result["name"]: result["output"] for result in results}["bob"] == "Your work does not land"
        assert (told(on, "bob", "> > it is red"), told(on, "ann", "it is red")) == (1, 0)
        assert not (on.home / "checks").exists() or not list((on.home / "checks").glob("*/tree"))
