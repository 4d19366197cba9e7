"""Votes among agents at work: a proposal wakes its voters, its end its proposer, and a deadline ends it by itself."""

from datetime import timedelta
from typing import Any

import pytest

from muster.hosts.scripted import ScriptedHost
from muster.model.actor import SYSTEM
from unit.stage import Stage, agent_actor, at_work, hub

pytestmark = pytest.mark.anyio


async def open_in(stage: Stage, fleet: dict[str, Any], *, quorum: int, by_agent: bool = True, **rest: Any) -> str:
    actor = [agent_actor(fleet["agent_ids"][0], fleet["fleet_id"])] if by_agent else []
    wish = {"subject": "ship it?", "quorum": quorum, "fleet_id": fleet["fleet_id"]}
    return (await stage.call("decision.open", *actor, **wish | rest))["message_id"]


def later(stage: Stage, **by: float) -> str:
    return (stage.clock() + timedelta(**by)).isoformat()


async def test_proposal_wakes_its_voters_with_the_call_that_votes_and_the_outcome_its_proposer(stage, cast):
    async with at_work(stage):
        fleet = await stage.spawn("one", "two", "three")
        await stage.settled(fleet["fleet_id"])
        proposal = await open_in(stage, fleet, quorum=2)
        await stage.settled(fleet["fleet_id"])
        (prompt,) = [prompt for prompt in cast.asked if "ship it?" in prompt]
        assert f'cast_vote {{"message_id": "{proposal}"' in prompt
        assert cast.asked[prompt] == 2

        for voter in fleet["agent_ids"][1:]:
            actor = agent_actor(voter, fleet["fleet_id"])
            await stage.call("decision.cast", actor, message_id=proposal, approve=True)
        results = await stage.settled(fleet["fleet_id"])
        assert f'> Your proposal {proposal} "ship it?" is ratified' in results["results"][0]["output"]
        assert "cast_vote" not in results["results"][0]["output"]


async def test_deadline_ends_a_vote_by_itself(stage):
    async with at_work(stage):
        fleet = await stage.spawn("one", "two")
        await stage.settled(fleet["fleet_id"])
        first = await open_in(stage, fleet, quorum=1, deadline=later(stage, minutes=2))
        second = await open_in(stage, fleet, quorum=1, deadline=later(stage, minutes=1), silence_policy="approve")
        await stage.settled(fleet["fleet_id"])
        stage.clock.advance(seconds=61)
        await stage.until("decision.resolved", message=second, status="ratified")
        assert (await stage.call("decision.tally", message_id=first))["status"] == "open"
        await stage.settled(fleet["fleet_id"])  # what works while the clock is moved has worked for so long
        stage.clock.advance(hours=8)  # the machine slept
        await stage.until("decision.resolved", message=first, status="expired")
        results = await stage.settled(fleet["fleet_id"])
        assert f'> Your proposal {first} "ship it?" is expired' in results["results"][0]["output"]


async def test_deadline_that_passes_while_no_hub_runs_ends_the_vote_at_the_next_start(tmp_path, clock, cast):
    async with ScriptedHost(cast.play) as host:
        async with hub(tmp_path, host, clock) as stage, at_work(stage):
            fleet = await stage.spawn("one", "two")
            await stage.settled(fleet["fleet_id"])
            proposal = await open_in(stage, fleet, quorum=1, deadline=later(stage, minutes=2))
        clock.advance(minutes=3)
        async with hub(tmp_path, host, clock) as stage, at_work(stage):
            await stage.until("decision.resolved", message=proposal, status="expired")
            results = await stage.settled(fleet["fleet_id"])
            assert "is expired" in results["results"][0]["output"]


async def test_vote_that_ends_by_itself_keeps_the_hub_from_going_to_sleep(stage):
    async def is_occupied() -> bool:
        return await stage.engine.query(stage.engine.catalog["hub.occupied"], SYSTEM)

    async with at_work(stage, idle=timedelta()):
        fleet = await stage.spawn("one")
        proposal = await open_in(stage, fleet, quorum=1, by_agent=False, deadline=later(stage, hours=1))
        await stage.settled(fleet["fleet_id"])
        stage.clock.advance(seconds=1)
        await stage.until("server.stopped")
        assert await is_occupied()
        stage.clock.advance(hours=1)
        await stage.until("decision.resolved", message=proposal)
        assert not await is_occupied()
