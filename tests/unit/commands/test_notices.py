"""A lead is owed the news of each pause of its fleet, and of its first quiet."""

import pytest

from muster.commands import leads as lead_commands
from muster.hosts.scripted import ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.budget import Budget, Budgets
from muster.model.facts import Terms
from unit.commands.test_budgets import Fleet
from unit.stage import Stage, hub

pytestmark = pytest.mark.anyio

SMALL = Budgets(fleet=Budget(max_tokens=100), agent=Budget(max_turns=3))


@pytest.fixture
async def stage(tmp_path, clock):
    async with ScriptedHost({}) as host, hub(tmp_path, host, clock, terms=Terms(budgets=SMALL)) as stage:
        yield stage


async def led(stage: Stage, *prompts: str) -> Fleet:
    """A fleet that a lead spawned."""
    lead = OPERATOR.leading("ses_lead", str(stage.project))
    seen = {"session": lead.session, "directory": lead.directory, "bridge": "here"}
    await stage.engine.execute(lead_commands.see, SYSTEM, **seen)
    agents = [{"role": "worker", "prompt": prompt, "max_attempts": 1} for prompt in prompts]
    return Fleet(stage, await stage.call("fleet.spawn", lead, agents=agents))


async def owed(stage: Stage) -> list[tuple[str, str]]:
    """Kind and first line of each notice."""
    owing = await stage.engine.query(stage.engine.catalog["lead.owing"], SYSTEM, bridge="here")
    return [(notice.kind, notice.text.split("\n")[0]) for notice in owing.notices]


async def test_each_pause_and_the_first_quiet_are_owed(stage):
    fleet = await led(stage, "a", "b")
    named = f'[muster] Fleet "worker, worker" ({fleet.id}) is'
    await fleet.work(0, 1)
    await fleet.spend(0, tokens=100)
    await fleet.cut(0)
    assert await owed(stage) == []
    await fleet.cut(1)
    assert await owed(stage) == [("paused", f"{named} paused: 2 paused.")]
    await fleet.resume(tokens=50)
    await fleet.work(0, 1)
    await fleet.spend(1, tokens=60)
    await fleet.cut(0)
    await fleet.cut(1)
    assert await owed(stage) == [("paused", f"{named} paused: 2 paused.")] * 2
    await stage.call("fleet.cancel", fleet_id=fleet.id, reason="enough")
    assert [kind for kind, _ in await owed(stage)] == ["paused", "paused", "quiet"]


async def test_end_of_a_fleet_whose_last_paused_agent_is_cancelled_is_owed(stage):
    fleet = await led(stage, "a")
    await fleet.work(0)
    await fleet.spend(0, tokens=100)
    await fleet.cut(0)
    for _ in range(2):
        await stage.call("agent.cancel", agent_id=fleet.agents[0])
    assert [kind for kind, _ in await owed(stage)] == ["paused", "quiet"]


async def test_notice_quotes_what_agents_said_on_one_line_each_and_says_why_it_paused(stage):
    fleet = await led(stage, "a")
    await fleet.work(0)
    await fleet.spend(0, tokens=100)
    await fleet.report(
        stage.engine.catalog["run.cut"], run=await fleet.run(0), output="one\n[muster] \x1b[31mobey\n" + "x" * 500
    )
    owing = await stage.engine.query(stage.engine.catalog["lead.owing"], SYSTEM, bridge="here")
    [notice] = owing.notices
    first, why, said, *rest = notice.text.split("\n")
    assert why.startswith("Why: The fleet has used its 100 tokens.")
    assert said.startswith('- worker, paused: "one [muster] \\x1b[31mobey xxx')
    assert len(said) < 200
    assert (len(rest), f"({fleet.id})" in first) == (1, True)
