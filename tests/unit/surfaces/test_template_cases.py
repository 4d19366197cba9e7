"""What Meshfleet's templates do, and where they end, through MCP's own client: M40, and the refusals of its tool table.

Where ours differ: a saved template has one way to a version, so none can be given twice; `spawn_from_template` spawns;
an import under a name that exists is its next version, where Meshfleet's gets another name; deleting, versions, export
and import are tools.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from mcp import Client

from unit.stage import Stage, rows
from unit.surfaces.test_mcp import session

pytestmark = pytest.mark.anyio

AGENT = {"role": "scout", "prompt": "look around"}
MESHFLEET = {
    "schema": "meshfleet-template-v1",
    "name": "crew",
    "version": 1,
    "description": "Two.",
    "agents": [AGENT, {"role": "critic", "prompt": "keep { braces } and {topic}", "agent": "build"}],
    "exported_at": "2026-07-02T17:50:00.000Z",
}


@dataclass(frozen=True, kw_only=True)
class Shelf:
    stage: Stage
    client: Client

    async def use(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The answer, or the error that it carries."""
        result = await self.client.call_tool(tool, arguments)
        assert result.is_error == ("error" in result.structured_content)
        return result.structured_content

    async def save(self, name: str = "demo", **rest: Any) -> dict[str, Any]:
        return await self.use("save_fleet_template", **{"name": name, "agents": [AGENT]} | rest)

    async def refused(self, tool: str, **arguments: Any) -> tuple[str, str | None]:
        """The code and the field of a refusal, once it is sure that nothing was written."""
        before = self.written()
        error = (await self.use(tool, **arguments))["error"]
        assert self.written() == before
        return error["code"], error["facts"].get("field")

    def written(self) -> list[int]:
        return [len(rows(self.stage.path, table)) for table in ("templates", "fleets", "agents", "events")]


@pytest.fixture
async def shelf(url: str, stage: Stage) -> AsyncIterator[Shelf]:
    async with session(url, stage.keyring.operator()) as client:
        yield Shelf(stage=stage, client=client)


# M40
async def test_versions_count_up_by_themselves_and_the_newest_is_the_default(shelf):
    first = await shelf.save(description="One scout.")
    await shelf.save(agents=[AGENT | {"prompt": "look again"}])

    assert first["template"] == {
        "name": "demo",
        "version": 1,
        "description": "One scout.",
        "agents": [AGENT | {"agent": None, "name": None, "model": None}],
        "placeholders": [],
        "source": "own",
        "created_at": first["template"]["created_at"],
    }
    newest = (await shelf.use("get_fleet_template", name="demo"))["template"]
    assert (newest["version"], newest["agents"][0]["prompt"]) == (2, "look again")
    assert await shelf.use("get_fleet_template", name="demo", version=1) == first
    told = await shelf.use("list_fleet_template_versions", name="demo")
    assert ([row["version"] for row in told["versions"]], told["cursor"]) == ([2, 1], None)


async def test_list_has_the_newest_of_each_by_name_without_prompts(shelf):
    for name in ("zeta", "alpha", "zeta"):
        await shelf.save(name)

    listed, cursor = [], None
    while not listed or cursor is not None:
        page = await shelf.use("list_fleet_templates", limit=1, **({} if cursor is None else {"cursor": cursor}))
        listed, cursor = listed + page["templates"], page["cursor"]
    assert [(row["name"], row["version"]) for row in listed if row["source"] == "own"] == [("alpha", 1), ("zeta", 2)]
    assert listed == sorted(listed, key=lambda row: row["name"])
    assert listed[0]["agents"] == [{"role": "scout", "agent": None, "name": None, "model": None}]


async def test_export_is_the_same_after_an_import_and_says_nothing_of_the_moment(shelf):
    await shelf.save()
    await shelf.save(description="Again.", placeholders=["topic"], agents=[AGENT | {"prompt": "on {topic}: {\u2028}"}])
    exported = await shelf.use("export_fleet_template", name="demo")
    imported = await shelf.use("import_fleet_template", template=exported, name="other")

    assert set(exported) == {"schema", "name", "version", "description", "agents", "placeholders"}
    assert (exported["schema"], exported["version"], imported["template"]["version"]) == ("muster-template-v1", 2, 1)
    again = await shelf.use("export_fleet_template", name="other")
    assert again == exported | {"name": "other", "version": 1}


async def test_import_never_overwrites_and_says_which_version_it_became(shelf):
    await shelf.save("crew")
    told = await shelf.use("import_fleet_template", template=MESHFLEET)

    assert (told["template"]["version"], len(told["notes"])) == (2, 1)
    assert (await shelf.use("get_fleet_template", name="crew", version=1))["template"]["agents"][0]["role"] == "scout"


async def test_meshfleets_export_is_read_and_its_braces_are_no_placeholders(shelf):
    told = await shelf.use("import_fleet_template", template=MESHFLEET)
    spawned = await shelf.use("spawn_from_template", name="crew", project=str(shelf.stage.project))

    assert (told["template"]["version"], told["notes"], told["template"]["placeholders"]) == (1, [], [])
    status = await shelf.use("fleet_status", fleet_id=spawned["fleet_id"], full=True)
    assert [(agent["role"], agent["prompt"]) for agent in status["agents"]] == [
        ("scout", "look around"),
        ("critic", "keep { braces } and {topic}"),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"schema": "meshfleet-template-v2"}, ("bad_value", "template.schema")),
        ({"schema": None}, ("bad_value", "template.schema")),
        *(
            ({field: {}}, ("unknown_field", f"template.{field}"))
            for field in ("permissions", "commands", "project", "worktree", "timeout_ms", "budget", "created_at")
        ),
        *(
            ({"agents": [AGENT | {field: "x"}]}, ("unknown_field", f"template.agents[0].{field}"))
            for field in ("permissions", "command", "cwd", "worktree", "timeout_ms", "max_attempts", "tools")
        ),
        ({"name": "Crew"}, ("bad_value", "template.name")),
        ({"version": 0}, ("bad_value", "template.version")),
        ({"version": "1"}, ("wrong_type", "template.version")),
        ({"agents": []}, ("bad_value", "template.agents")),
        ({"agents": [AGENT | {"name": "lead"}]}, ("bad_value", "template.agents[0].name")),
        ({"placeholders": ["topic", "never"]}, ("bad_value", "template.placeholders[1]")),
    ],
)
async def test_import_of_anything_but_words_is_refused_by_its_name(shelf, change, expected):
    assert await shelf.refused("import_fleet_template", template=MESHFLEET | change) == expected


async def test_import_without_what_it_needs_is_refused(shelf):
    for field in ("schema", "name", "agents"):
        lacking = {name: value for name, value in MESHFLEET.items() if name != field}
        expected = ("missing_field", f"template.{field}")
        assert await shelf.refused("import_fleet_template", template=lacking) == expected
    assert await shelf.refused("import_fleet_template", template="crew.json") == ("wrong_type", "template")


# 1.3
@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        *(({"name": name}, ("bad_value", "name")) for name in ("", "Demo", "a b", "a.b", "é", "a\n", "a" * 65)),
        ({"name": 5}, ("wrong_type", "name")),
        ({"agents": []}, ("bad_value", "agents")),
        ({"agents": [AGENT] * 33}, ("bad_value", "agents")),
        ({"agents": [AGENT | {"role": " "}]}, ("bad_value", "agents[0].role")),
        ({"agents": [AGENT, AGENT | {"prompt": "\n"}]}, ("bad_value", "agents[1].prompt")),
        ({"agents": [AGENT | {"prompt": 5}]}, ("wrong_type", "agents[0].prompt")),
        ({"agents": [{"role": "r"}]}, ("missing_field", "agents[0].prompt")),
        ({"agents": [AGENT | {"worktree": True}]}, ("unknown_field", "agents[0].worktree")),
        ({"agents": [AGENT | {"model": "gpt"}]}, ("bad_value", "agents[0].model")),
        ({"agents": [AGENT | {"name": "x"}] * 2}, ("bad_value", "agents[1].name")),
        ({"agents": [AGENT | {"name": "operator"}]}, ("bad_value", "agents[0].name")),
        ({"description": " "}, ("bad_value", "description")),
        ({"version": 7}, ("unknown_field", "version")),
        ({"placeholders": ["Topic"]}, ("bad_value", "placeholders[0]")),
        ({"placeholders": ["topic"]}, ("bad_value", "placeholders[0]")),
        ({"placeholders": "topic"}, ("wrong_type", "placeholders")),
        (
            {"placeholders": ["a", "a"], "agents": [AGENT | {"prompt": "{a}"}]},
            ("bad_value", "placeholders[1]"),
        ),
    ],
)
async def test_wrong_template_is_refused_by_field_and_nothing_is_saved(shelf, wish, expected):
    assert await shelf.refused("save_fleet_template", **{"name": "demo", "agents": [AGENT]} | wish) == expected


async def test_longest_name_and_most_agents_are_taken(shelf):
    saved = await shelf.save("a-_0" * 16, agents=[AGENT] * 32)
    assert len(saved["template"]["agents"]) == 32


@pytest.mark.parametrize(
    "tool", ["get_fleet_template", "export_fleet_template", "delete_fleet_template", "spawn_from_template"]
)
async def test_template_or_version_that_there_is_not_is_not_found(shelf, tool):
    await shelf.save()
    where = {"project": str(shelf.stage.project)} if tool == "spawn_from_template" else {}
    assert await shelf.refused(tool, name="zz", **where) == ("not_found", None)
    assert await shelf.refused(tool, name="demo", version=2, **where) == ("not_found", None)
    assert await shelf.refused("list_fleet_template_versions", name="zz") == ("not_found", None)


async def test_number_of_a_deleted_version_is_not_used_again(shelf):
    for _ in range(3):
        await shelf.save()
    assert await shelf.use("delete_fleet_template", name="demo", version=3) == {"name": "demo", "versions": [3]}
    assert (await shelf.save())["template"]["version"] == 4

    assert (await shelf.use("delete_fleet_template", name="demo"))["versions"] == [4, 2, 1]
    assert await shelf.refused("delete_fleet_template", name="demo") == ("not_found", None)
    assert (await shelf.save())["template"]["version"] == 5


async def test_spawn_from_template_spawns_what_spawn_fleet_would(shelf):
    agents = [
        {"role": "scout {area}", "prompt": "Look at {area}: {'json': {}} {other}", "agent": "general", "name": "s"},
        {"role": "critic", "prompt": "Doubt it.", "model": "a/b"},
    ]
    await shelf.save(agents=agents, placeholders=["area"])
    place = {"project": str(shelf.stage.project), "budget": {"max_turns": 7}, "timeout_ms": 5000}
    spawned = await shelf.use("spawn_from_template", name="demo", values={"area": "{area} src"}, **place)
    by_hand = [
        agents[0] | {"role": "scout {area} src", "prompt": "Look at {area} src: {'json': {}} {other}"},
        agents[1],
    ]
    expected = await shelf.use("spawn_fleet", name="demo", agents=by_hand, **place)

    assert set(spawned) == set(expected)
    assert await comparable(shelf, spawned) == await comparable(shelf, expected)


async def comparable(shelf: Shelf, spawned: dict[str, Any]) -> str:
    """A fleet's state without what no two fleets share."""
    state = json.dumps(await shelf.use("fleet_status", fleet_id=spawned["fleet_id"], full=True))
    for number, id in enumerate([spawned["fleet_id"], *spawned["agent_ids"]]):
        state = state.replace(id, f"id {number}")
    return state


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, ("missing_field", "values.area")),
        ({"values": {}}, ("missing_field", "values.area")),
        ({"values": {"area": "a", "other": "b"}}, ("bad_value", "values.other")),
        ({"values": {"area": 5}}, ("wrong_type", "values.area")),
        ({"values": {"area": None}}, ("wrong_type", "values.area")),
        ({"values": {"area": "a" * (64 * 1024 + 1)}}, ("bad_value", "values.area")),
        ({"values": {"area": "é" * 40_000}}, ("bad_value", "values.area")),
        ({"values": {"area": " "}}, ("bad_value", "values")),
        ({"values": {"area": "a" * 65}}, ("bad_value", "values")),
        ({"values": {"area": "a"}, "model": "gpt"}, ("bad_value", "model")),
        ({"values": {"area": "a"}, "project": "src"}, ("bad_value", "project")),
        ({"values": {"area": "a"}, "worktree": False}, ("unknown_field", "worktree")),
    ],
)
async def test_spawn_with_wrong_values_is_refused_and_spawns_nothing(shelf, wish, expected):
    await shelf.save(agents=[{"role": "{area}", "prompt": "look"}], placeholders=["area"])
    place = {"name": "demo", "project": str(shelf.stage.project)}
    assert await shelf.refused("spawn_from_template", **place | wish) == expected


async def test_values_that_would_make_a_prompt_too_long_are_refused_before_it_is_made(shelf):
    await shelf.save(agents=[{"role": "r", "prompt": "{a}" * 100_000}], placeholders=["a"])
    where = {"name": "demo", "project": str(shelf.stage.project)}
    assert await shelf.refused("spawn_from_template", values={"a": "x" * 65_536}, **where) == ("bad_value", "values")
    assert "fleet_id" in await shelf.use("spawn_from_template", values={"a": "x"}, **where)


async def test_template_with_an_unknown_persona_is_kept_and_refused_when_it_is_spawned(shelf):
    await shelf.save(agents=[AGENT | {"agent": "bild"}])
    place = {"name": "demo", "project": str(shelf.stage.project)}
    assert await shelf.refused("spawn_from_template", **place) == ("unknown_persona", None)


async def test_model_is_for_agents_whose_own_is_not_told(shelf):
    await shelf.save(agents=[AGENT, AGENT | {"model": "a/b"}])
    place = {"name": "demo", "project": str(shelf.stage.project)}
    spawned = await shelf.use("spawn_from_template", model="c/d", fleet_name="two", **place)
    status = await shelf.use("fleet_status", fleet_id=spawned["fleet_id"], full=True)
    assert (status["fleet"]["name"], [agent["model"] for agent in status["agents"]]) == ("two", ["c/d", "a/b"])


async def test_members_are_offered_no_templates(shelf, url):
    spawned = await shelf.stage.spawn("a")
    async with session(url, shelf.stage.keyring.agent(spawned["agent_ids"][0])) as member:
        told = await member.call_tool("spawn_from_template", {"name": "demo"})
        offered = {tool.name for tool in (await member.list_tools()).tools}
    assert told.structured_content["error"]["code"] == "denied"
    assert not [name for name in offered if "template" in name]
