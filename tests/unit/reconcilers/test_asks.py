"""No agent waits for an answer that nobody will give: every ask is written down, answered and told, whatever dies."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from muster.errors import HostAway, HostFailed, InvalidInput
from muster.hosts.contract import ReplyWish, TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.hosts.scripted.connection import ScriptedConnection
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.ask import HostAsk, OnAsk, Option, Question
from muster.model.deadline import Watch
from muster.model.facts import Terms
from muster.prompts.refusal import REFUSAL, operators_refusal
from unit.stage import WITHIN_SECONDS, Clock, Stage, agent_actor, at_work, hub, refused, server_rows

pytestmark = pytest.mark.anyio

COLOUR = Question(question="Which colour?", options=(Option(label="red", description="warm"),), multiple=False)
SIZE = Question(question="Which size?", options=(), multiple=False)


@dataclass
class Asking:
    """Agents that want leave to run a command, as often as their prompt says; `question`s are asked instead."""

    host: ScriptedHost = field(init=False)

    def __post_init__(self) -> None:
        self.host = ScriptedHost(self.play)

    async def play(self, wish: TurnWish) -> Reply:
        what, _, times = wish.parts[-1].partition(" ")
        said = []
        for number in range(int(times or 1)):
            reply = await (
                self.host.ask(wish, COLOUR.question, "", COLOUR, SIZE)
                if what == "question"
                else self.host.ask(wish, "bash", f"rm file-{number}")
            )
            said.append("allowed" if reply.allowed else "|".join(reply.words))
        return Reply(output="\n".join(said))


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.fixture
async def stage(tmp_path: Path, clock: Clock, asking: Asking) -> Any:
    async with asking.host, hub(tmp_path, asking.host, clock) as stage:
        yield stage


async def output(stage: Stage, fleet: str) -> str:
    (result,) = (await stage.settled(fleet))["results"]
    assert result["status"] == "done", result
    return str(result["output"])


async def permissions(stage: Stage, fleet: str) -> list[tuple[str, str, str]]:
    (agent,) = (await stage.call("fleet.status", fleet_id=fleet))["agents"]
    return [(row["permission"], row["pattern"], row["answer"]) for row in agent["permissions"]]


async def waiting(stage: Stage) -> dict[str, Any]:
    """The one ask that waits for the operator."""
    await stage.until("ask.asked")
    (ask,) = (await stage.call("ask.list"))["asks"]
    return ask


async def decide(stage: Stage, ask: dict[str, Any], **how: Any) -> None:
    """Answer without waiting for the effect."""
    await stage.engine.execute(stage.engine.catalog["ask.answer"], OPERATOR, ask_id=ask["ask_id"], **how)


@pytest.mark.parametrize(
    ("policy", "prompt", "told", "answer"),
    [
        (OnAsk.REFUSE, "bash", REFUSAL, "refused"),
        (OnAsk.ALLOW, "bash", "allowed", "allowed"),
        (OnAsk.REFUSE, "question", f"{REFUSAL}|{REFUSAL}", "refused"),
        (OnAsk.ALLOW, "question", f"{REFUSAL}|{REFUSAL}", "refused"),
    ],
)
async def test_policy_answers_at_once_and_every_answer_is_an_event(stage, policy, prompt, told, answer):
    async with at_work(stage, on_ask=policy):
        fleet = (await stage.spawn(prompt))["fleet_id"]
        assert await output(stage, fleet) == told
    shown = ("question", "Which colour?") if prompt == "question" else ("bash", "rm file-0")
    assert await permissions(stage, fleet) == [(*shown, answer)]
    names = [event["name"] for event in await stage.events(fleet_id=fleet) if event["name"].startswith("ask.")]
    assert names == ["ask.asked", "ask.answered", "ask.delivered"]
    assert (await stage.call("ask.list"))["asks"] == []


async def test_project_whose_policy_counts_has_its_own(tmp_path, clock, asking):
    terms = Terms(on_ask=OnAsk.ALLOW, notes=("A note.",))
    async with asking.host, hub(tmp_path, asking.host, clock, terms=terms) as stage, at_work(stage):
        spawned = await stage.spawn("bash")
        assert await output(stage, spawned["fleet_id"]) == "allowed"
    assert spawned["notes"][-1] == "A note."


async def test_agent_that_asks_nothing_has_no_permissions(stage):
    async with at_work(stage):
        fleet = (await stage.spawn("bash 0"))["fleet_id"]
        await stage.settled(fleet)
    assert await permissions(stage, fleet) == []


async def test_status_shows_the_newest_five_oldest_first(stage):
    async with at_work(stage):
        fleet = (await stage.spawn("bash 7"))["fleet_id"]
        await stage.settled(fleet)
    assert [pattern for _, pattern, _ in await permissions(stage, fleet)] == [f"rm file-{n}" for n in range(2, 7)]


@pytest.mark.parametrize(
    ("prompt", "how", "told"),
    [
        ("bash", {"allow": True}, "allowed"),
        ("bash", {"allow": False}, operators_refusal(None)),
        ("bash", {"allow": False, "sentence": "Leave it."}, operators_refusal("Leave it.")),
        ("question", {"answers": ["red", "large"]}, "red|large"),
        ("question", {"allow": False, "sentence": "No."}, "|".join([operators_refusal("No.")] * 2)),
    ],
)
async def test_operator_answers_what_waits_and_the_agent_goes_on_with_it(stage, prompt, how, told):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        fleet = (await stage.spawn(prompt))["fleet_id"]
        ask = await waiting(stage)
        assert [answer for *_, answer in await permissions(stage, fleet)] == ["waiting"]
        answered = await stage.call("ask.answer", ask_id=ask["ask_id"], **how)
        assert await output(stage, fleet) == told
    assert (answered["state"], answered["settled"]) == ("delivered", True)
    (event,) = await stage.events("ask.answered")
    assert event["actor"] == "operator"


async def test_what_waits_is_listed_with_all_that_an_answer_needs(stage):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        spawned = await stage.spawn("question")
        ask = await waiting(stage)
        elsewhere = await stage.call("ask.list", fleet_id="flt_none")
    assert elsewhere == {"asks": [], "cursor": None}
    assert ask | {"ask_id": "", "asked_at": "", "deadline_at": ""} == {
        "ask_id": "",
        "fleet_id": spawned["fleet_id"],
        "agent_id": spawned["agent_ids"][0],
        "name": "worker",
        "kind": "question",
        "what": "Which colour?",
        "pattern": "",
        "questions": [
            {"question": "Which colour?", "options": [{"label": "red", "description": "warm"}], "multiple": False},
            {"question": "Which size?", "options": [], "multiple": False},
        ],
        "asked_at": "",
        "deadline_at": "",
    }


async def test_second_answer_is_a_conflict_that_says_who_gave_the_first(stage):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        fleet = (await stage.spawn("bash"))["fleet_id"]
        ask = await waiting(stage)
        await stage.call("ask.answer", ask_id=ask["ask_id"], allow=True)
        with refused("conflict") as caught:
            await stage.call("ask.answer", ask_id=ask["ask_id"], allow=False)
        assert "allowed by the operator" in caught.value.message
        assert await output(stage, fleet) == "allowed"
    assert len(await stage.events("ask.answered")) == 1


@pytest.mark.parametrize(
    ("prompt", "how"),
    [
        ("bash", {}),
        ("bash", {"answers": ["yes"]}),
        ("bash", {"allow": True, "sentence": "Please."}),
        ("bash", {"allow": True, "answers": ["yes"]}),
        ("question", {"allow": True}),
        ("question", {"answers": ["red"]}),
        ("question", {"answers": ["red", " "]}),
        ("question", {"answers": []}),
    ],
)
async def test_answer_that_does_not_fit_is_refused_and_changes_nothing(stage, prompt, how):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        await stage.spawn(prompt)
        ask = await waiting(stage)
        with pytest.raises(InvalidInput):
            await stage.call("ask.answer", ask_id=ask["ask_id"], **how)
        assert await waiting(stage) == ask


async def test_agent_can_neither_see_nor_answer_what_waits(stage):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        spawned = await stage.spawn("bash")
        ask = await waiting(stage)
        agent = agent_actor(spawned["agent_ids"][0], spawned["fleet_id"])
        for verb, arguments in (("ask.list", {}), ("ask.answer", {"ask_id": ask["ask_id"], "allow": True})):
            with refused("denied"):
                await stage.call(verb, agent, **arguments)
        assert await waiting(stage) == ask


async def test_unknown_ask_is_not_found(stage):
    with refused("not_found"):
        await stage.call("ask.answer", ask_id="ask_none", allow=True)


async def test_ask_without_an_answer_is_refused_when_its_time_is_up_also_after_a_restart(tmp_path, clock, asking):
    async with asking.host:
        async with hub(tmp_path, asking.host, clock) as stage, at_work(stage, on_ask=OnAsk.OPERATOR):
            fleet = (await stage.spawn("bash"))["fleet_id"]
            await waiting(stage)
        clock.advance(seconds=301)
        async with hub(tmp_path, asking.host, clock) as stage, at_work(stage, on_ask=OnAsk.OPERATOR):
            assert await output(stage, fleet) == REFUSAL
            assert await permissions(stage, fleet) == [("bash", "rm file-0", "refused")]


async def test_answer_given_before_a_crash_is_delivered_after_it(tmp_path, clock, asking):
    async with asking.host:
        async with hub(tmp_path, asking.host, clock) as stage:
            async with at_work(stage, on_ask=OnAsk.OPERATOR):
                fleet = (await stage.spawn("bash"))["fleet_id"]
                ask = await waiting(stage)
            await decide(stage, ask, allow=True)
        async with hub(tmp_path, asking.host, clock) as stage, at_work(stage):
            assert await output(stage, fleet) == "allowed"
            assert await permissions(stage, fleet) == [("bash", "rm file-0", "allowed")]


async def test_answer_whose_report_was_lost_is_given_again_without_harm(stage, monkeypatch):
    replied: list[bool] = []
    reply = ScriptedConnection.reply

    async def lost_once(self: ScriptedConnection, wish: ReplyWish) -> bool:
        replied.append(await reply(self, wish))
        if len(replied) == 1:
            raise HostAway(host="scripted", server="srv", why="the line broke")
        return replied[-1]

    monkeypatch.setattr(ScriptedConnection, "reply", lost_once)
    async with at_work(stage, on_ask=OnAsk.ALLOW):
        fleet = (await stage.spawn("bash 2"))["fleet_id"]
        assert await output(stage, fleet) == "allowed\nallowed"
    assert [answer for *_, answer in await permissions(stage, fleet)] == ["allowed", "allowed"]


async def test_ask_of_a_cancelled_agent_is_gone_and_cannot_be_answered(stage):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        spawned = await stage.spawn("bash")
        ask = await waiting(stage)
        await stage.call("agent.cancel", agent_id=spawned["agent_ids"][0])
        assert (await stage.call("ask.list"))["asks"] == []
        with refused("conflict") as caught:
            await stage.call("ask.answer", ask_id=ask["ask_id"], allow=True)
    assert "gone" in caught.value.message
    assert await permissions(stage, spawned["fleet_id"]) == [("bash", "rm file-0", "gone")]


async def test_ask_is_gone_with_its_server_and_comes_again_with_the_turn(stage, clock):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        fleet = (await stage.spawn("bash"))["fleet_id"]
        first = await waiting(stage)
        clock.advance(minutes=1)
        stage.host.crash((await server_rows(stage))[0].id)
        await stage.until("ask.withdrawn", ask=first["ask_id"])
        with anyio.fail_after(WITHIN_SECONDS):
            while len(await stage.events("ask.asked")) < 2:
                await anyio.wait_all_tasks_blocked()
        second = await waiting(stage)
        await stage.call("ask.answer", ask_id=second["ask_id"], allow=True)
        assert await output(stage, fleet) == "allowed"
    assert await permissions(stage, fleet) == [("bash", "rm file-0", "gone"), ("bash", "rm file-0", "allowed")]


async def test_agent_that_waits_for_the_operator_is_not_timed_out_for_silence(stage, clock):
    async with at_work(stage, on_ask=OnAsk.OPERATOR, watch=Watch(inactivity_ms=60_000)):
        fleet = (await stage.spawn("bash"))["fleet_id"]
        ask = await waiting(stage)
        run = (await stage.until("run.started")).body["run"]
        clock.advance(minutes=4)
        await stage.call("fleet.set_timeout", fleet_id=fleet, timeout_ms=3_600_000)  # wakes the reconciler
        with anyio.fail_after(WITHIN_SECONDS):
            while (await stirred_at(stage, run)) != clock.now:
                await anyio.wait_all_tasks_blocked()
        await stage.call("ask.answer", ask_id=ask["ask_id"], allow=True)
        assert await output(stage, fleet) == "allowed"


async def stirred_at(stage: Stage, run: str) -> datetime:
    work = await stage.engine.query(stage.engine.catalog["run.work"], SYSTEM, run=run)
    return work.run.stirred_at


async def test_time_in_which_the_machine_slept_counts_for_no_deadline(stage, clock):
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        fleet = (await stage.spawn("bash"))["fleet_id"]
        before = await waiting(stage)
        await stage.engine.execute(stage.engine.catalog["run.sleep"], SYSTEM, gap=timedelta(minutes=10))
        clock.advance(minutes=10)
        after = await waiting(stage)
        await stage.call("ask.answer", ask_id=after["ask_id"], allow=True)
        assert await output(stage, fleet) == "allowed"
    moved = datetime.fromisoformat(after["deadline_at"]) - datetime.fromisoformat(before["deadline_at"])
    assert (after["ask_id"], moved) == (before["ask_id"], timedelta(minutes=10))


async def test_directory_that_its_host_cannot_read_hides_no_other_and_loses_no_ask(stage, monkeypatch):
    broken: set[str] = set()
    asks = ScriptedConnection.asks

    async def choosy(self: ScriptedConnection, directory: str) -> tuple[HostAsk, ...]:
        if directory in broken:
            raise HostFailed(host="scripted", why="its configuration is broken")
        return await asks(self, directory)

    monkeypatch.setattr(ScriptedConnection, "asks", choosy)
    other = stage.project / "other"
    other.mkdir()
    async with at_work(stage, on_ask=OnAsk.OPERATOR):
        first = (await stage.spawn("bash"))["fleet_id"]
        kept = await waiting(stage)
        broken.add(str(stage.project.resolve()))
        agents = [{"role": "worker", "prompt": "bash"}]
        second = (await stage.call("fleet.spawn", agents=agents, project=str(other)))["fleet_id"]
        await stage.until("ask.asked", pattern="rm file-0", agent=(await agent_of(stage, second)))
        newest, oldest = (await stage.call("ask.list"))["asks"]
        assert (newest["fleet_id"], oldest) == (second, kept)
        for ask in (newest, oldest):
            await stage.call("ask.answer", ask_id=ask["ask_id"], allow=True)
        assert [await output(stage, fleet) for fleet in (first, second)] == ["allowed", "allowed"]


async def agent_of(stage: Stage, fleet: str) -> str:
    (agent,) = (await stage.call("fleet.status", fleet_id=fleet))["agents"]
    return str(agent["agent_id"])
