"""Routing as it was tried on Meshfleet (reference cases 31 to 35, and its wrong examples), through MCP's own client."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muster.hosts.scripted import ScriptedHost
from muster.model.facts import Persona
from unit.stage import Clock, Stage, agent_actor, hub, refused, rows
from unit.surfaces.doors import web
from unit.surfaces.test_mcp import session

pytestmark = pytest.mark.anyio

BUILD = Persona(name="build", description="The default agent.", mode="primary", source="built-in")
ORACLE = Persona(
    name="oracle",
    description="Gives a second opinion on a hard design question.",
    mode="all",
    source="roster",
    skills=("architecture advice", "hard bugs"),
)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """A fleet whose agents have told what they can, and its tools."""

    stage: Stage
    url: str
    fleet: str
    agents: dict[str, str]
    sessions: AsyncExitStack

    async def use(self, tool: str, *, who: str | None = None, **arguments: Any) -> dict[str, Any]:
        token = self.stage.keyring.agent(self.agents[who]) if who else self.stage.keyring.operator()
        client = await self.sessions.enter_async_context(session(self.url, token))
        result = await client.call_tool(tool, arguments)
        assert result.is_error == ("error" in result.structured_content)
        return result.structured_content

    async def route(self, description: str, **rest: Any) -> list[str]:
        """The names of whom it goes to."""
        names = {id: name for name, id in self.agents.items()}
        told = await self.use("route_work", description=description, **rest)
        return [names.get(match["agent_id"], match["persona"]) for match in told["matches"]]


@asynccontextmanager
async def desk(folder: Path, **skills: Sequence[str]) -> AsyncIterator[Desk]:
    """Of agents named as given, each with its skills; entered again it is the same after a restart."""
    clock = Clock()
    async with (
        ScriptedHost({}, personas=(BUILD, ORACLE)) as host,
        hub(folder, host, clock) as stage,
        web(stage) as url,
        AsyncExitStack() as sessions,
    ):
        known = (await stage.call("fleet.list"))["fleets"]
        if known:
            state = await stage.call("fleet.status", fleet_id=known[0]["fleet_id"])
            agents = {agent["name"]: agent["agent_id"] for agent in state["agents"]}
            yield Desk(stage=stage, url=url, fleet=known[0]["fleet_id"], agents=agents, sessions=sessions)
            return
        wishes = [{"role": name, "name": name, "prompt": "Wait."} for name in skills]
        spawned = await stage.call("fleet.spawn", agents=wishes, project=str(stage.project))
        agents = dict(zip(skills, spawned["agent_ids"], strict=True))
        for name, own in skills.items():
            if own:
                await stage.call("capability.register", agent_id=agents[name], role=name, skills=list(own))
        yield Desk(stage=stage, url=url, fleet=spawned["fleet_id"], agents=agents, sessions=sessions)


@pytest.mark.parametrize(
    "wrong",
    [
        {"skills": ["sql"]},
        {"role": " ", "skills": ["sql"]},
        {"role": "", "skills": ["sql"]},
        {"role": "dba", "skills": "sql"},
        {"role": "dba", "skills": [5]},
        {"role": "dba", "skills": [" "]},
        {"role": "dba", "skills": ["sql"], "context_window": "many"},
        {"role": "dba", "skills": ["sql"], "agent_id": "undefined"},
        {"role": "dba", "skills": ["sql"], "agent_id": ""},
        {"role": "dba", "skills": ["sql"], "color": "blue"},
    ],
)
async def test_a_claim_that_is_none_is_refused_and_nothing_is_stored(tmp_path, wrong):
    async with desk(tmp_path, a=()) as at:
        given = {"agent_id": at.agents["a"]} | wrong
        assert "error" in await at.use("register_capability", **given)
        assert "error" in await at.use("register_capability", role="dba", skills=["sql"])
        assert rows(at.stage.path, "capabilities") == []


async def test_each_agent_has_one_claim_and_the_newest_stands(tmp_path):
    async with desk(tmp_path, a=(), b=()) as at:
        await at.use("register_capability", who="a", role="dba", skills=["sql"])
        told = await at.use("register_capability", who="a", role="dba", skills=["sql", "sql", "backups"])
        await at.use("register_capability", who="b", role="painter", skills=[], model="x/y", context_window=8000)
        assert (told["agent_id"], told["skills"], told["by"]) == (
            at.agents["a"],
            ["sql", "backups"],
            f"agent:{at.agents['a']}",
        )
        assert [row["role"] for row in rows(at.stage.path, "capabilities")] == ["dba", "painter"]
        assert await at.route("restore the backups") == ["a"]


async def test_nobody_claims_for_another(tmp_path):
    async with desk(tmp_path, a=(), b=()) as at:
        refused = await at.use("register_capability", who="a", agent_id=at.agents["b"], role="dba", skills=["sql"])
        assert refused["error"]["code"] == "denied"


async def test_matches_are_in_order_and_as_many_as_wanted(tmp_path):
    async with desk(tmp_path, a=["sql"], b=["sql"], c=["sql", "indexes"], d=["css"]) as at:
        told = await at.use("route_work", description="sql with indexes", top_n=500)
        weights = [match["weight"] for match in told["matches"]]
        assert weights == sorted(weights, reverse=True)
        assert await at.route("sql with indexes", top_n=500) == ["c", *sorted("ab", key=at.agents.get)]
        assert await at.route("sql with indexes") == ["c"]
        assert await at.route("sql", top_n=0) == []
        assert await at.route("bake a cake") == []


@pytest.mark.parametrize(
    ("description", "right", "wrong"),
    [
        ("fix ci", "ci pipelines", "documentation specialist"),
        ("add a go service", "golang", "mongodb cargo"),
        ("the art of logging", "logging", "smart cart checkout"),
        ("review the ui", "frontend", "build guide"),
        ("rust", "rust", "trust policies"),
    ],
)
async def test_whole_words_decide_and_no_part_of_one(tmp_path, description, right, wrong):
    async with desk(tmp_path, good=[right], bad=[wrong]) as at:
        assert await at.route(description, top_n=9) == ["good"]


async def test_what_is_said_literally_comes_before_a_synonym_and_that_before_a_neighbour(tmp_path):
    async with desk(tmp_path, literal=["k8s"], synonym=["kubernetes"], neighbour=["helm"]) as at:
        told = await at.use("route_work", description="k8s", top_n=3)
        assert await at.route("k8s", top_n=3) == ["literal", "synonym", "neighbour"]
        first, second, third = (match["reasons"][0] for match in told["matches"])
        assert (first, "synonym of k8s" in second, "taxonomy of k8s" in third) == ("skill: k8s", True, True)


async def test_what_is_not_wanted_is_not_routed_to(tmp_path):
    async with desk(tmp_path, front=["frontend", "slow pages"], back=["backend", "slow queries"]) as at:
        assert (await at.route("not the frontend, the backend is slow", top_n=2))[0] == "back"
        assert (await at.route("the frontend does not work, it is slow", top_n=2))[0] == "front"


async def test_failures_change_the_order_and_successes_change_it_back_across_restarts(tmp_path):
    async with desk(tmp_path, a=["sql"], b=["sql"]) as at:
        first, second = await at.route("tune the sql", top_n=2)
        for number in range(1, 4):
            told = await at.use(
                "record_routing_outcome", agent_id=at.agents[first], capability_key="SQL", success=False
            )
            assert (told["recorded"], told["capability_key"]) == (number, "sql")
        assert told["weight"] == 0.7
        assert await at.route("tune the sql", top_n=2) == [second, first]
    async with desk(tmp_path) as at:
        assert await at.route("tune the sql", top_n=2) == [second, first]
        for _ in range(4):
            await at.use("record_routing_outcome", agent_id=at.agents[first], capability_key="sql", success=True)
        assert await at.route("tune the sql", top_n=2) == [first, second]
        match = (await at.use("route_work", description="tune the sql"))["matches"][0]
        assert "earlier work (7 at sql)" in match["reasons"][-1]


async def test_an_outcome_is_true_or_false_and_of_somebody_else(tmp_path):
    async with desk(tmp_path, a=["sql"], b=["sql"]) as at:
        given = {"agent_id": at.agents["a"], "capability_key": "sql"}
        assert (await at.use("record_routing_outcome", **given, success="true"))["error"]["code"] == "wrong_type"
        assert (await at.use("record_routing_outcome", who="b", **given, success=True))["error"]["code"] == "denied"
        told = json.dumps(given | {"success": True})
        with refused("denied"):
            await at.stage.engine.call("route.record", agent_actor(at.agents["a"], at.fleet), told)
        assert rows(at.stage.path, "outcomes") == []
        judged = await at.stage.engine.call("route.record", agent_actor(at.agents["b"], at.fleet), told)
        assert judged["weight"] > 1


async def test_what_agents_did_speaks_for_their_persona(tmp_path):
    async with desk(tmp_path, a=()) as at:
        wish = {"fleet_id": at.fleet, "role": "adviser", "prompt": "Advise.", "agent": "oracle"}
        attached = await at.stage.call("agent.attach", **wish)
        for _ in range(3):
            given = {"agent_id": attached["agent_id"], "capability_key": "architecture"}
            await at.use("record_routing_outcome", **given, success=False)
        asked = {"description": "architecture advice", "include_personas": True, "project": str(at.stage.project)}
        told = await at.use("route_work", **asked, top_n=9)
        persona = next(match for match in told["matches"] if match["persona"] == "oracle")
        assert persona["weight"] < persona["score"]
        assert any("earlier work" in reason for reason in persona["reasons"])


async def test_whoever_is_not_free_comes_later_and_whoever_ended_not_at_all(tmp_path):
    async with desk(tmp_path, a=["sql"], b=["sql"]) as at:
        told = await at.use("route_work", description="sql", top_n=2)
        assert all("is queued" in match["reasons"] for match in told["matches"])
        await at.stage.call("agent.cancel", agent_id=at.agents["a"])
        assert await at.route("sql", top_n=2) == ["b"]


async def test_an_agent_finds_its_peers_and_nobody_elses(tmp_path):
    async with desk(tmp_path, a=["sql"], b=["sql"]) as at:
        other = await at.stage.spawn("x")
        await at.stage.call(
            "capability.register", agent_id=other["agent_ids"][0], role="dba", skills=["sql", "sql tuning"]
        )
        told = await at.use("route_work", who="a", description="sql tuning", top_n=9)
        assert [match["agent_id"] for match in told["matches"]] == [at.agents["b"]]
        beyond = await at.use("route_work", who="a", description="sql", fleet_id=other["fleet_id"])
        assert beyond["error"]["code"] == "denied"
        assert len(await at.route("sql tuning", top_n=9)) == 3
        assert len(await at.route("sql tuning", top_n=9, fleet_id=at.fleet)) == 2


async def test_personas_are_found_where_a_directory_is_known(tmp_path):
    async with desk(tmp_path, a=["sql"]) as at:
        asked = {"description": "an opinion on a hard design", "include_personas": True}
        told = await at.use("route_work", **asked, fleet_id=at.fleet)
        assert [(match["persona"], match["agent_id"]) for match in told["matches"]] == [("oracle", None)]
        assert told["notes"] == ["by words alone"]
        client = await at.stage.engine.call(
            "route.work",
            agent_actor(at.agents["a"], at.fleet),
            '{"description": "hard design", "include_personas": true}',
        )
        assert [match["persona"] for match in client["matches"]] == ["oracle"]
        assert (await at.use("route_work", **asked))["error"]["code"] == "missing_field"
