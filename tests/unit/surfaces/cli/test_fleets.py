"""`muster fleet` and `muster agents`."""

import json

import anyio
import pytest

from unit.surfaces.cli.conftest import ESCAPES, Ended, Shell

CONTROLS = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *"\u202a\u202b\u202d\u202e\u2066\u2067\u2068"}


def harmless(said: Ended) -> bool:
    return not (CONTROLS - {"\n", "\t"}) & set(said.out + said.err)


async def test_spawn_answers_with_the_fleet_and_its_agents_in_order(shell: Shell) -> None:
    said = await shell.muster("fleet", "spawn", "first=hello", "second=a=b")

    (row,) = (await shell.stage.call("fleet.list"))["fleets"]
    status = await shell.stage.call("fleet.status", fleet_id=row["fleet_id"], full=True)
    first, second = status["agents"]
    lines = [row["fleet_id"], f"  {first['agent_id']}  first", f"  {second['agent_id']}  second"]
    assert (said.code, said.out.splitlines()) == (0, lines)
    assert [agent["prompt"] for agent in (first, second)] == ["hello", "a=b"]
    assert row["project"] == str(shell.stage.project.resolve())


async def test_spawn_and_wait_prints_every_output_in_order(shell: Shell) -> None:
    said = await shell.muster("fleet", "spawn", "--wait", "one=first answer", "two=second answer")

    assert said.code == 0
    assert said.out.index("first answer") < said.out.index("second answer")
    assert "complete  2 done" in said.out.splitlines()[-1]


async def test_options_reach_the_agents_and_the_fleet(shell: Shell, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ["--agent", "general", "--model", "a/b", "--name", "the name", "--project", str(elsewhere), "r=p"]
    fleet = await shell.spawn(*words)

    status = await shell.stage.call("fleet.status", fleet_id=fleet, full=True)
    assert (status["fleet"]["name"], status["fleet"]["project"]) == ("the name", str(elsewhere.resolve()))
    assert (status["agents"][0]["agent"], status["agents"][0]["model"]) == ("general", "a/b")


async def test_prompts_come_from_files_from_stdin_and_may_begin_with_an_at_sign(shell: Shell) -> None:
    (shell.stage.project / "prompt.md").write_text("from a file\n")
    words = ["fleet", "spawn", "--json", "a=@prompt.md", "b=@-", "c=@@home"]
    fleet = (await shell.muster(*words, stdin="from stdin")).json["fleet_id"]

    status = await shell.stage.call("fleet.status", fleet_id=fleet, full=True)
    assert [agent["prompt"] for agent in status["agents"]] == ["from a file\n", "from stdin", "@home"]


@pytest.mark.parametrize("shape", [lambda agents: agents, lambda agents: {"agents": agents, "name": "filed"}])
async def test_agents_come_from_a_json_file_or_stdin(shell: Shell, shape) -> None:
    text = json.dumps(shape([{"role": "filed", "prompt": "x", "name": "one"}]))
    (shell.stage.project / "agents.json").write_text(text)

    for words in (["--file", "agents.json"], ["--file", "-", "more=y"]):
        fleet = (await shell.muster("fleet", "spawn", "--json", *words, stdin=text)).json["fleet_id"]
        status = await shell.stage.call("fleet.status", fleet_id=fleet)
        assert [agent["name"] for agent in status["agents"]] == ["one", "more"][: len(words) - 1]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-prompt"],
        ["=no role"],
        ["a=@no-such-file"],
        ["a=b", "--agent", "no-such"],
        ["a=b", "--model", "no-slash"],
        ["a=b", "--project", "no-such-folder"],
        ["--file", "no-such-file"],
        ["--file", "-"],
        ["a="],
    ],
)
async def test_wrong_words_exit_2_say_what_to_do_and_spawn_nothing(shell: Shell, words) -> None:
    for options in ([], ["--json"]):
        said = await shell.muster("fleet", "spawn", *words, *options, stdin='{"agents": 5}')
        assert (said.code, said.out) == (2, "")
        if options:
            assert said.error["next"]
        else:
            assert [line.partition(" ")[0] for line in said.err.splitlines()] == ["muster:", "next:"]
    assert (await shell.stage.call("fleet.list"))["fleets"] == []


async def test_wait_takes_the_newest_fleet_and_says_which(shell: Shell) -> None:
    await shell.spawn("old=x")
    newest = await shell.spawn("new=y")

    said = await shell.muster("fleet", "wait")

    assert (said.code, newest in said.out, f"{newest}, the newest" in said.err) == (0, True, True)


async def test_failed_fleet_exits_1_and_says_why(shell: Shell) -> None:
    said = await shell.muster("fleet", "spawn", "--wait", "good=x", "bad=fail")

    assert said.code == 1
    assert "so far\n(cut off here)\nerror: the model has a cold" in said.out
    assert "failed  1 done, 1 failed" in said.out.splitlines()[-1]


async def test_wait_that_is_over_before_the_fleet_exits_1_and_says_so(shell: Shell) -> None:
    fleet = await shell.spawn("slow=hold")

    said = await shell.muster("fleet", "wait", fleet, "--timeout", "0.2")

    assert (said.code, "Not through within 0.2 s" in said.err) == (1, True)
    assert "working" in said.out


async def test_wait_for_any_ends_with_the_next_agent_that_is_through(shell: Shell) -> None:
    fleet = await shell.spawn("slow=hold")
    answers: list[Ended] = []
    async with anyio.create_task_group() as tasks:

        async def wait() -> None:
            answers.append(await shell.muster("fleet", "wait", fleet, "--any", "--json"))

        tasks.start_soon(wait)
        await shell.stage.until("run.started")
        shell.gate.set()
    assert [(said.code, said.json["settled"]) for said in answers] == [(0, True)]


async def test_json_is_the_hubs_own_answer(shell: Shell) -> None:
    fleet = await shell.spawn("one=x")
    waited = await shell.muster("fleet", "wait", fleet, "--json")

    assert waited.json == await shell.stage.call("fleet.wait", fleet_id=fleet)
    assert (await shell.muster("fleet", "list", "--json")).json == await shell.stage.call("fleet.list")
    assert (await shell.muster("inspect", fleet, "--json")).json == await shell.stage.call(
        "fleet.status", fleet_id=fleet, full=True
    )


async def test_cancel_without_a_name_needs_exactly_one_fleet_that_runs(shell: Shell) -> None:
    assert (await shell.muster("fleet", "cancel")).code == 2
    await shell.spawn("a=hold")
    await shell.spawn("b=hold")
    assert (await shell.muster("fleet", "cancel")).code == 2
    first, second = [row["fleet_id"] for row in (await shell.stage.call("fleet.list"))["fleets"]]

    named = await shell.muster("fleet", "cancel", first, "--reason", "enough")
    only = await shell.muster("fleet", "cancel")

    assert (named.code, named.out) == (0, f"{first}  cancelled\n")
    assert (only.code, only.out) == (0, f"{second}  cancelled\n")
    assert (await shell.stage.call("fleet.status", fleet_id=first))["fleet"]["reason"] == "enough"


async def test_attached_agent_joins_and_a_cancelled_fleet_refuses_it(shell: Shell) -> None:
    fleet = await shell.spawn("a=x")

    joined = await shell.muster("fleet", "attach", fleet, "late=y", "--name", "late-one")
    await shell.muster("fleet", "cancel", fleet)
    refused = await shell.muster("fleet", "attach", fleet, "later=z", "--json")

    agents = (await shell.stage.call("fleet.status", fleet_id=fleet))["agents"]
    assert joined.out == f"{agents[1]['agent_id']}  late-one\n"
    assert (refused.code, refused.out, refused.error["code"]) == (4, "", "fleet_cancelled")


async def test_one_agent_is_cancelled_and_the_others_go_on(shell: Shell) -> None:
    fleet = await shell.spawn("a=hold", "b=hold")
    agent = (await shell.stage.call("fleet.status", fleet_id=fleet))["agents"][0]["agent_id"]

    said = await shell.muster("agents", "cancel", agent)

    assert (said.code, said.out) == (0, f"{agent}  cancelled\n")
    statuses = [row["status"] for row in (await shell.stage.call("fleet.status", fleet_id=fleet))["agents"]]
    assert statuses[0] == "cancelled"
    assert statuses[1] != "cancelled"


async def test_personas_are_listed_and_searched(shell: Shell) -> None:
    everything = await shell.muster("agents", "list")
    found = await shell.muster("agents", "list", "gener", "--json")
    nothing = await shell.muster("agents", "list", "no", "such")

    assert [line.split()[0] for line in everything.out.splitlines()] == ["NAME", "without", "build", "general"]
    assert [row["name"] for row in found.json["agents"]] == ["general"]
    assert nothing.out == "No persona fits.\n"


async def test_nothing_that_agents_or_callers_said_steers_the_terminal(shell: Shell) -> None:
    fleet = await shell.spawn(f"ro{ESCAPES}le=steer", "bad=fail", "--name", f"na{ESCAPES}me")
    waited = await shell.muster("fleet", "wait", fleet)
    agent = (await shell.stage.call("fleet.status", fleet_id=fleet))["agents"][0]["agent_id"]

    assert "line one \\x1b]0;owned\\x07" in waited.out
    assert "\n\tline two 👩‍🚀\n" in waited.out
    assert harmless(waited)
    for words in (
        ["fleet", "list"],
        ["fleet", "spawn", f"ro{ESCAPES}le=x"],
        ["inspect", fleet, "--events", "50"],
        ["inspect", fleet, "--follow"],
        ["logs", agent],
        ["logs", agent, "--follow"],
        ["events", "--limit", "100"],
        ["fleet", "wait", fleet, "--json"],
        ["inspect", fleet, "--json"],
        ["call", "fleet.status", "--json", json.dumps({"fleet_id": f"flt_{ESCAPES}"})],
        ["fleet", "spawn", f"no{ESCAPES}prompt"],
        [f"no{ESCAPES}command"],
    ):
        assert (words, harmless(await shell.muster(*words))) == (words, True)


async def test_json_of_hostile_text_means_what_the_hub_said(shell: Shell) -> None:
    fleet = await shell.spawn("a=steer")
    said = await shell.muster("fleet", "wait", fleet, "--json")
    assert said.json["results"] == (await shell.stage.call("result.collect", fleet_id=fleet))["results"]
