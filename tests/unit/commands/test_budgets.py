"""What happens at a ceiling, command by command."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from muster.commands import agents as agent_commands
from muster.commands import runs as run_commands
from muster.hosts.scripted import ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.budget import Budget, Budgets
from muster.model.ceiling import Ceilings, Sharding
from muster.model.deadline import Watch
from muster.model.facts import Terms
from muster.model.retry import Again
from muster.model.spent import Spent
from unit.stage import Stage, hub, refused

pytestmark = pytest.mark.anyio

SMALL = Budgets(fleet=Budget(max_tokens=100, max_seconds=60), agent=Budget(max_turns=3))


@pytest.fixture
async def stage(tmp_path, clock):
    async with ScriptedHost({}) as host, hub(tmp_path, host, clock, terms=Terms(budgets=SMALL)) as stage:
        yield stage


class Fleet:
    """A fleet whose reconcilers are this test."""

    def __init__(self, stage: Stage, spawned: dict[str, Any]) -> None:
        self.stage = stage
        self.id = spawned["fleet_id"]
        self.agents = spawned["agent_ids"]

    @classmethod
    async def spawn(cls, stage: Stage, *prompts: str, **more: Any) -> "Fleet":
        return cls(stage, await stage.spawn(*prompts, **more))

    async def report(self, command: Any, **report: Any) -> Any:
        return await self.stage.engine.execute(command, SYSTEM, **report)

    async def run(self, index: int) -> str:
        agent = await self.stage.engine.query(self.stage.engine.catalog["agent.row"], SYSTEM, agent=self.agents[index])
        return agent.run

    async def turn(self, index: int) -> Any:
        run = await self.run(index)
        return (await self.stage.engine.query(self.stage.engine.catalog["run.work"], SYSTEM, run=run)).turn

    async def work(self, *indexes: int) -> None:
        """Let in what may, and start these."""
        await self.report(run_commands.admit, ceilings=Ceilings(), sharding=Sharding(), host="scripted")
        for index in indexes:
            await self.report(run_commands.start, run=await self.run(index), session=f"ses_{index}")

    async def spend(self, index: int, tokens: int = 0, steps: int = 0, **more: bool) -> None:
        spent = Spent(tokens=tokens, steps=steps)
        await self.report(agent_commands.move, agent=self.agents[index], tool=None, spent=spent, **more)

    async def cut(self, index: int, **more: Any) -> None:
        await self.report(run_commands.cut, run=await self.run(index), output="so far", **more)

    async def statuses(self) -> list[str]:
        state = await self.stage.call("fleet.status", fleet_id=self.id)
        return [state["fleet"]["status"], *(agent["status"] for agent in state["agents"])]

    async def resume(self, **more: int) -> dict[str, Any]:
        return await self.stage.call("fleet.resume", fleet_id=self.id, **({"more": more} if more else {}))


async def test_ceiling_of_the_fleet_pauses_who_works_and_who_waits(stage):
    fleet = await Fleet.spawn(stage, "a", "b", "c")
    await fleet.work(0, 1)
    await fleet.spend(0, tokens=60)
    assert await fleet.statuses() == ["running", "working", "working", "starting"]
    await fleet.spend(1, tokens=40)
    for index in range(3):
        await fleet.cut(index)
    assert await fleet.statuses() == ["paused", "paused", "paused", "paused"]
    state = (await stage.call("fleet.status", fleet_id=fleet.id))["fleet"]
    assert state["reason"].startswith("The fleet has used its 100 tokens.")
    assert state["budget"] == {"max_turns": 0, "max_tokens": 100, "max_seconds": 60, "turns": 0, "seconds": 0}


async def test_ceiling_of_one_agent_pauses_nobody_else(stage):
    fleet = await Fleet.spawn(stage, "a", "b")
    await fleet.work(0, 1)
    await fleet.spend(0, steps=3)
    await fleet.cut(0)
    assert await fleet.statuses() == ["running", "paused", "working"]


async def test_last_step_that_brings_the_answer_pauses_nobody(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    await fleet.spend(0, steps=3, closing=True)
    assert await fleet.statuses() == ["running", "working"]


async def test_answer_that_was_there_before_the_stop_is_not_paid_for_twice(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    await fleet.spend(0, steps=3)
    await fleet.cut(0, answered=True)
    assert await fleet.statuses() == ["complete", "done"]


async def test_resumed_agent_is_told_to_go_on_in_its_session(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    await fleet.report(stage.engine.catalog["turn.send"], turn=(await fleet.turn(0)).id, run=await fleet.run(0))
    await fleet.spend(0, steps=3)
    await fleet.cut(0)
    assert (await fleet.resume())["resumed"] == []
    assert (await fleet.resume(turns=2))["resumed"] == fleet.agents
    turn = await fleet.turn(0)
    assert (turn.kind, turn.ending) == ("continuation", None)
    assert await fleet.statuses() == ["running", "queued"]


async def test_agent_that_was_paused_before_it_had_its_task_is_given_it(stage):
    fleet = await Fleet.spawn(stage, "the task", "b")
    await fleet.work(0, 1)
    await fleet.spend(1, tokens=100)
    for index in (0, 1):
        await fleet.cut(index)
    await fleet.resume(tokens=1)
    turn = await fleet.turn(0)
    assert (turn.kind, turn.text, turn.ending) == ("first", "the task", None)
    assert "[muster] You are" in turn.preamble


async def test_resumed_while_it_is_still_being_stopped_it_goes_on_in_the_same_run(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    run = await fleet.run(0)
    await fleet.spend(0, steps=3)
    await fleet.resume(turns=5)
    assert await fleet.run(0) == run
    assert await fleet.statuses() == ["running", "working"]
    with refused("stale"):
        await fleet.cut(0)


async def test_agent_that_joins_a_used_up_fleet_is_paused_with_it(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    await fleet.spend(0, tokens=100)
    await fleet.cut(0)
    await stage.call("agent.attach", fleet_id=fleet.id, role="late", prompt="p")
    assert await fleet.statuses() == ["running", "paused", "queued"]
    await fleet.work()
    assert await fleet.statuses() == ["paused", "paused", "paused"]
    resumed = await stage.call("fleet.resume", more={"tokens": 50})
    assert (len(resumed["resumed"]), resumed["paused"]) == (2, [])


async def test_paused_agent_can_be_cancelled(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    await fleet.spend(0, steps=3)
    await fleet.cut(0)
    await stage.call("agent.cancel", agent_id=fleet.agents[0])
    assert await fleet.statuses() == ["complete", "cancelled"]
    with refused("conflict"):
        await fleet.resume()


async def test_what_a_lost_session_has_cost_still_counts(stage):
    fleet = await Fleet.spawn(stage, "a", attempts=3)
    await fleet.work(0)
    spent = Spent(tokens=70, steps=1)
    await fleet.report(
        run_commands.fail,
        run=await fleet.run(0),
        error="gone",
        again=Again.SAME_TURN,
        jitter=0.0,
        spent=spent,
        session_lost=True,
    )
    stage.clock.advance(seconds=5)
    await fleet.work(0)
    await fleet.spend(0, tokens=30, steps=1)
    await fleet.cut(0)
    assert await fleet.statuses() == ["paused", "paused"]
    state = await stage.call("fleet.status", fleet_id=fleet.id)
    assert (state["fleet"]["tokens"], state["fleet"]["budget"]["turns"]) == (100, 2)


async def test_seconds_of_a_fleet_are_counted_once_and_only_at_work(stage):
    fleet = await Fleet.spawn(stage, "a", "b")
    stage.clock.advance(seconds=500)
    await fleet.work(0, 1)
    stage.clock.advance(seconds=59)
    with refused("stale"):
        await fleet.report(run_commands.lapse, run=await fleet.run(0), watch=Watch())
    await fleet.report(run_commands.sleep, gap=timedelta(seconds=30))
    stage.clock.advance(seconds=30)
    with refused("stale"):
        await fleet.report(run_commands.lapse, run=await fleet.run(0), watch=Watch())
    stage.clock.advance(seconds=1)
    await fleet.report(run_commands.lapse, run=await fleet.run(0), watch=Watch())
    for index in (0, 1):
        await fleet.cut(index)
    state = (await stage.call("fleet.status", fleet_id=fleet.id))["fleet"]
    assert (state["status"], state["budget"]["seconds"]) == ("paused", 60)
    assert "has used its 60 seconds" in state["reason"]


async def test_no_further_request_is_made_for_who_was_cancelled(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    assert (await fleet.report(agent_commands.step, agent=fleet.agents[0])).go
    await stage.engine.execute(agent_commands.cancel, OPERATOR, fleet.agents[0])
    assert not (await fleet.report(agent_commands.step, agent=fleet.agents[0])).go


@pytest.mark.parametrize(
    ("budget", "shared", "own"),
    [
        ({}, (0, 100, 60), 3),
        ({"max_turns": 50}, (50, 100, 60), 0),
        ({"max_turns": 0, "max_tokens": 0, "max_seconds": 0}, (0, 0, 0), 0),
    ],
)
async def test_what_the_spawner_names_takes_the_place_of_the_settings(stage, budget, shared, own):
    fleet = await Fleet.spawn(stage, "a", budget=budget)
    told = (await stage.call("fleet.status", fleet_id=fleet.id))["fleet"]["budget"]
    assert (told["max_turns"], told["max_tokens"], told["max_seconds"]) == shared
    agent = await stage.engine.query(stage.engine.catalog["agent.row"], SYSTEM, agent=fleet.agents[0])
    assert agent.budget == replace(Budget(), max_turns=own)


async def test_ceiling_in_money_is_refused_by_name(stage):
    with refused("bad_value") as caught:
        await stage.spawn("a", budget={"max_cost_usd": 5})
    assert "max_cost_usd" in caught.value.message


async def test_new_spending_is_a_sign_of_life(stage):
    fleet = await Fleet.spawn(stage, "a")
    await fleet.work(0)
    stage.clock.advance(seconds=40)
    await fleet.spend(0, steps=1)
    stage.clock.advance(seconds=15)
    with refused("stale"):
        await fleet.report(run_commands.lapse, run=await fleet.run(0), watch=Watch(inactivity_ms=30_000))
