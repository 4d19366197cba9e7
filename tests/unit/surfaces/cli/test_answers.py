"""`muster answer`, and where else it shows that somebody waits."""

from typing import Any

import pytest

from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.model.ask import OnAsk, Option, Question
from unit.surfaces.cli.conftest import ESCAPES, Shell, typing
from unit.surfaces.cli.test_fleets import harmless

COLOUR = Question(question=f"Which{ESCAPES} colour?", options=(Option(label="red", description="warm"),), multiple=True)
SIZE = Question(question="Which size?", options=(), multiple=False)


@pytest.fixture
async def asking(tmp_path, clock, capsys, monkeypatch):
    """A shell beside agents that ask what their prompt says, and answer with what they were told."""

    async def play(wish: TurnWish) -> Reply:
        if wish.parts[-1] == "question":
            reply = await host.ask(wish, COLOUR.question, "", COLOUR, SIZE)
        else:
            reply = await host.ask(wish, "bash", f"rm -rf build\n{ESCAPES}")
        return Reply(output="allowed" if reply.allowed else "|".join(reply.words))

    host = ScriptedHost(play)
    async with typing(host, tmp_path, clock, capsys, monkeypatch, on_ask=OnAsk.OPERATOR) as shell:
        yield shell


async def waiting(shell: Shell, *tasks: str) -> tuple[str, list[dict[str, Any]]]:
    """A fleet, and what its agents wait for."""
    fleet = await shell.spawn(*tasks)
    for task in tasks:
        agents = (await shell.stage.call("fleet.status", fleet_id=fleet))["agents"]
        (agent,) = [agent for agent in agents if agent["name"] == task.partition("=")[0]]
        await shell.stage.until("ask.asked", agent=agent["agent_id"])
    return fleet, (await shell.stage.call("ask.list"))["asks"]


async def output(shell: Shell, fleet: str) -> str:
    (result,) = (await shell.stage.settled(fleet))["results"]
    return str(result["output"])


async def test_nobody_waits_until_somebody_does(asking: Shell) -> None:
    assert (await asking.muster("answer")).out == "Nobody waits for an answer.\n"
    assert "asks" not in (await asking.muster("status")).out

    fleet, (ask,) = await waiting(asking, "one=bash")

    listed, status, inspected = [await asking.muster(*words) for words in (["answer"], ["status"], ["inspect", fleet])]
    assert f"{ask['ask_id']}  one in {fleet}" in listed.out
    assert "bash: rm -rf build" in listed.out
    assert "asks     1 to be answered: muster answer" in status.out
    assert "one waits: bash rm -rf build\\n" in inspected.out
    assert f"(muster answer {ask['ask_id']})" in inspected.out
    assert all(harmless(said) for said in (listed, status, inspected))


@pytest.mark.parametrize(
    ("prompt", "words", "told", "answer"),
    [
        ("bash", ["--allow"], "allowed", "allowed"),
        ("bash", ["--refuse", "Leave it."], "[muster] The operator refused: Leave it.", "refused"),
        ("question", ["--say", "red", "--say", "large"], "red|large", "answered"),
    ],
)
async def test_answer_reaches_the_agent(asking: Shell, prompt, words, told, answer) -> None:
    fleet, (ask,) = await waiting(asking, f"one={prompt}")

    said = await asking.muster("answer", ask["ask_id"], *words)

    assert (said.code, said.out) == (0, f"{ask['ask_id']}  {answer}\n")
    assert await output(asking, fleet) == told


async def test_refusal_needs_no_reason(asking: Shell) -> None:
    fleet, (ask,) = await waiting(asking, "one=bash")
    assert (await asking.muster("answer", ask["ask_id"], "--refuse", "")).code == 0
    assert "The operator refused." in await output(asking, fleet)


async def test_question_is_listed_with_its_options(asking: Shell) -> None:
    await waiting(asking, "one=question")
    said = await asking.muster("answer")
    assert said.out.splitlines()[1:] == [
        "  Which\\x1b]0;owned\\x07\\x1b[2Jred\\u202eder\\r\\x9b31m colour? (several)",
        "    - red: warm",
        "  Which size?",
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--allow", "--refuse", "no"], 2),
        (["--allow", "--say", "x"], 2),
        (["--say", "x"], 2),
        ([], 2),
    ],
)
async def test_words_that_are_no_answer_exit_2_and_change_nothing(asking: Shell, words, code) -> None:
    _, (ask,) = await waiting(asking, "one=bash")
    said = await asking.muster("answer", ask["ask_id"], *words)
    assert (said.code, said.out) == (code, "")
    assert len((await asking.stage.call("ask.list"))["asks"]) == 1


async def test_options_without_an_ask_are_refused(asking: Shell) -> None:
    assert (await asking.muster("answer", "--allow")).code == 2


async def test_second_answer_exits_4_and_an_unknown_ask_2(asking: Shell) -> None:
    _, (ask,) = await waiting(asking, "one=bash")
    await asking.muster("answer", ask["ask_id"], "--allow")

    again = await asking.muster("answer", ask["ask_id"], "--refuse", "")
    bare = await asking.muster("answer", ask["ask_id"])
    unknown = await asking.muster("answer", "ask_none", "--allow")

    assert [said.code for said in (again, bare, unknown)] == [4, 4, 2]
    assert "allowed by the operator" in again.err


async def test_json_is_the_hubs_own_answer(asking: Shell) -> None:
    _, (ask,) = await waiting(asking, "one=bash")
    listed = await asking.muster("answer", "--json")
    assert listed.json == await asking.stage.call("ask.list")
    said = await asking.muster("answer", ask["ask_id"], "--allow", "--json")
    assert said.json == {"ask_id": ask["ask_id"], "state": "delivered", "answer": "allowed", "settled": True}


@pytest.mark.parametrize(
    ("prompt", "typed", "told"),
    [
        ("bash", "y\n", "allowed"),
        ("bash", "n\n\n", "[muster] The operator refused. Go on"),
        ("bash", "n\nLeave it.\n", "[muster] The operator refused: Leave it."),
        ("question", "red\nlarge\n", "red|large"),
    ],
)
async def test_person_at_a_terminal_is_asked(asking: Shell, prompt, typed, told) -> None:
    fleet, (ask,) = await waiting(asking, f"one={prompt}")

    said = await asking.muster("answer", ask["ask_id"], stdin=typed, is_terminal=True)

    assert (said.code, said.out.split()[0]) == (0, ask["ask_id"])
    assert harmless(said)
    assert (await output(asking, fleet)).startswith(told)
