"""An alert finds by itself who can answer it."""

import pytest

from muster.hosts.scripted import Reply, ScriptedHost
from muster.model.facts import Persona
from unit.stage import Clock, agent_actor, at_work, hub, rows

pytestmark = pytest.mark.anyio

BUILD = Persona(name="build", description="The default agent.", mode="primary", source="built-in")
DBA = Persona(
    name="query-performance-engineer",
    description="Makes slow database queries fast.",
    mode="all",
    source="roster",
    skills=("slow queries", "postgres", "lock contention"),
)
ALERT = {"to_agent_id": "*", "type": "alert", "payload": "the postgres migration hangs on a lock"}


async def crew(stage, **skills):
    wishes = [{"role": name, "name": name, "prompt": f"Wait, {name}."} for name in skills]
    spawned = await stage.call("fleet.spawn", agents=wishes, project=str(stage.project))
    agents = dict(zip(skills, spawned["agent_ids"], strict=True))
    for name, own in skills.items():
        await stage.call("capability.register", agent_id=agents[name], role=name, skills=own)
    return spawned["fleet_id"], agents


async def said(stage, fleet, agent, **message):
    return await stage.call("message.send", agent_actor(agent, fleet), **message)


async def urgent(stage):
    return [bool(row["urgent"]) for row in rows(stage.path, "deliveries")]


async def test_an_alert_to_all_asks_those_first_whose_skills_fit_and_tells_the_others_whom(stage):
    fleet, agents = await crew(stage, lost=["css"], painter=["icons"], dba=["postgres", "locks"])
    sent = await said(stage, fleet, agents["lost"], **ALERT)
    assert sent["recipients"] == [agents["dba"], agents["painter"]]
    (first,) = (await stage.call("inbox.read", agent_actor(agents["dba"], fleet)))["messages"]
    (other,) = (await stage.call("inbox.read", agent_actor(agents["painter"], fleet)))["messages"]
    assert first["routed"].startswith("you are asked first: skill: ")
    assert other["routed"] == "asked first: dba"
    assert await urgent(stage) == [True, True]
    (event,) = await stage.events("message.routed")
    assert event["body"]["agents"] == [agents["dba"]]


async def test_a_call_for_help_interrupts_only_those_who_can_help(stage):
    fleet, agents = await crew(stage, lost=["css"], painter=["icons"], dba=["postgres", "locks"])
    await said(stage, fleet, agents["lost"], **ALERT | {"type": "request_help"})
    assert await urgent(stage) == [True, False]


async def test_where_nobody_fits_all_are_asked_alike(stage):
    fleet, agents = await crew(stage, lost=["css"], painter=["icons"])
    await said(stage, fleet, agents["lost"], **ALERT)
    (message,) = (await stage.call("inbox.read", agent_actor(agents["painter"], fleet)))["messages"]
    assert (message["routed"], rows(stage.path, "routings")) == (None, [])


@pytest.mark.parametrize("message", [{"type": "question"}, {"to_agent_id": "dba"}])
async def test_what_is_no_call_to_all_is_not_routed(stage, message):
    fleet, agents = await crew(stage, lost=["css"], painter=["icons"], dba=["postgres"])
    await said(stage, fleet, agents["lost"], **ALERT | message)
    assert rows(stage.path, "routings") == []


async def test_the_operators_alert_is_for_everybody_and_one_in_an_agents_name_is_routed(stage):
    fleet, agents = await crew(stage, lost=["css"], painter=["icons"], dba=["postgres"])
    await stage.call("message.send", **ALERT, fleet_id=fleet)
    assert rows(stage.path, "routings") == []
    await stage.call("message.send", **ALERT, from_agent_id=agents["lost"])
    assert len(rows(stage.path, "routings")) == 1


async def test_a_repeated_alert_is_routed_once(stage):
    fleet, agents = await crew(stage, lost=["css"], dba=["postgres"], painter=["icons"])
    one = await said(stage, fleet, agents["lost"], **ALERT, request_id="r")
    assert await said(stage, fleet, agents["lost"], **ALERT, request_id="r") == one
    assert len(rows(stage.path, "routings")) == 1


async def test_a_persona_that_fits_is_attached_where_the_settings_say_so_and_no_oftener(tmp_path):
    host = ScriptedHost(_answer, personas=(BUILD, DBA))
    async with host, hub(tmp_path, host, Clock(), attach_on_alert=1) as stage:
        fleet, agents = await crew(stage, lost=["css"])
        sent = await said(stage, fleet, agents["lost"], **ALERT)
        (attached,) = sent["recipients"]
        state = await stage.call("fleet.status", fleet_id=fleet, full=True)
        added = next(agent for agent in state["agents"] if agent["agent_id"] == attached)
        assert (added["agent"], added["role"]) == (DBA.name, DBA.name)
        assert "asks for help" in added["prompt"]
        (row,) = rows(stage.path, "routings")
        assert row["attached"] == attached
        async with at_work(stage):
            results = await stage.settled(fleet)
        assert len(results["results"]) == 2
        again = await said(stage, fleet, agents["lost"], **ALERT | {"payload": "an icon of a lighthouse is missing"})
        assert again["recipients"] == [attached]
        assert len((await stage.call("fleet.status", fleet_id=fleet))["agents"]) == 2


async def test_nobody_is_attached_by_default(tmp_path):
    host = ScriptedHost({}, personas=(BUILD, DBA))
    async with host, hub(tmp_path, host, Clock()) as stage:
        fleet, agents = await crew(stage, lost=["css"], painter=["icons"])
        sent = await said(stage, fleet, agents["lost"], **ALERT)
        assert sent["recipients"] == [agents["painter"]]


async def _answer(wish):
    return Reply(output=wish.parts[-1][:20])
