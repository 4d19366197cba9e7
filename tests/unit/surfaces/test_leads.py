"""A conversation of the person's own: it leads, it is told what came of its fleets, once, where it is open."""

import json
from typing import Any

import httpx2
import pytest

from muster.surfaces.offer import DOOR, offer
from muster.surfaces.toolkits.mesh import MESH
from unit.stage import at_work
from unit.surfaces.doors import caller, code

pytestmark = pytest.mark.anyio

MEMBERS = [{"role": "worker", "prompt": "a", "max_attempts": 1}, {"role": "other", "prompt": "b", "max_attempts": 1}]


async def called(operator: httpx2.AsyncClient, tool: str, *, session: str = "ses_1", **more: Any) -> dict[str, Any]:
    bridge, directory = more.pop("bridge", "here"), more.pop("directory", "")
    body = {"session": session, "tool": tool, "arguments": more, "bridge": bridge, "directory": directory}
    return (await operator.post("/bridge/call", json=body)).json()


async def spawned(operator: httpx2.AsyncClient, stage: Any, **more: Any) -> str:
    told = await called(operator, "spawn_fleet", agents=MEMBERS, directory=str(stage.project), **more)
    assert not told["error"], told
    return json.loads(told["output"])["fleet_id"]


async def owed(operator: httpx2.AsyncClient, bridge: str = "here") -> tuple[list[dict[str, Any]], bool]:
    told = (await operator.get("/bridge/notices", params={"bridge": bridge})).json()
    return told["notices"], told["more"]


async def knock(operator: httpx2.AsyncClient, kind: str = "fleet", session: str = "ses_1") -> httpx2.Response:
    body = {"session": session, "kind": kind, "message": "msg_1", "bridge": "here", "directory": "/work"}
    return await operator.post("/bridge/knock", json=body)


async def end(operator: httpx2.AsyncClient, notice: dict[str, Any], ending: str = "told") -> httpx2.Response:
    return await operator.post("/bridge/told", json={"notice": notice["notice"], "ending": ending})


async def test_lead_spawns_where_it_stands_and_is_owed_one_notice_at_the_first_quiet(operator, stage):
    fleet = await spawned(operator, stage)
    async with at_work(stage):
        await stage.settled(fleet)
    [notice], more = await owed(operator)
    assert (notice["session"], notice["kind"], notice["fleet"], more) == ("ses_1", "quiet", fleet, True)
    assert notice["directory"] == str(stage.project)
    assert f"({fleet}) is complete: 2 done." in notice["text"]
    assert '- worker, done: "' in notice["text"]
    assert (await end(operator, notice)).json() == {"ok": True}
    assert await owed(operator) == ([], False)


async def test_second_quiet_of_a_fleet_is_not_told(operator, stage):
    fleet = await spawned(operator, stage)
    async with at_work(stage):
        await stage.settled(fleet)
        await called(operator, "attach_agent", fleet_id=fleet, role="late", prompt="c", max_attempts=1)
        await stage.settled(fleet)
    notices, _ = await owed(operator)
    assert [notice["fleet"] for notice in notices] == [fleet]


async def test_fleet_of_a_shell_or_an_mcp_client_is_told_to_nobody(operator, stage):
    fleet = (await stage.spawn("a"))["fleet_id"]
    async with at_work(stage):
        await stage.settled(fleet)
    assert await stage.events("notice.written") == []
    assert await owed(operator) == ([], False)


async def test_notice_goes_to_the_process_in_which_the_lead_did_something_last(operator, stage):
    fleet = await spawned(operator, stage)
    async with at_work(stage):
        await stage.settled(fleet)
    standing = {"session": "ses_1", "bridge": "there", "directory": "/elsewhere"}
    assert (await operator.get("/bridge/standing", params=standing)).json()["leads"]
    assert await owed(operator, "here") == ([], False)
    [notice], _ = await owed(operator, "there")
    assert (notice["fleet"], notice["directory"]) == (fleet, "/elsewhere")


async def test_ending_a_notice_again_changes_nothing(operator, stage):
    assert (await knock(operator)).status_code == 200
    [notice], _ = await owed(operator)
    for ending in ("known", "told"):
        assert (await end(operator, notice, ending)).status_code == 200
    assert [event["body"]["ending"] for event in await stage.events("notice.ended")] == ["known"]
    assert code(await end(operator, {"notice": "ntc_none"})) == (404, "not_found")
    assert code(await end(operator, notice, "forgotten")) == (400, "malformed_json")


async def test_answer_that_shows_a_fleet_at_rest_says_so_and_no_other_does(operator, stage):
    fleet = await spawned(operator, stage)
    assert (await called(operator, "collect_results", fleet_id=fleet))["tells"] is None
    async with at_work(stage):
        waited = await called(operator, "wait_fleet", fleet_id=fleet, timeout_seconds=20)
    assert waited["tells"] == fleet
    agent = json.loads(waited["output"])["results"][0]["agent_id"]
    assert (await called(operator, "collect_results", fleet_id=fleet, agent_id=agent))["tells"] is None
    assert (await called(operator, "list_fleets"))["tells"] is None


async def test_door_gives_the_toolkit_and_owes_the_turn_that_has_it(operator, stage):
    tools = (await knock(operator)).json()["tools"]
    assert tools == [tool["name"] for tool in offer([MESH], [])["tools"]]
    assert (await knock(operator)).json()["tools"] == tools
    [notice], more = await owed(operator)
    assert (notice["kind"], notice["after"], notice["directory"], more) == ("door", "msg_1", "/work", True)
    assert notice["text"].startswith("[muster] ")


async def test_door_refuses_by_name_what_there_is_not_yet(operator, stage):
    for kind in ("team", "mission", "workbench", ""):
        answer = await knock(operator, kind)
        assert (code(answer), answer.json()["error"]["next"]) == ((404, "not_found"), "There is: fleet.")
    assert await stage.events("notice.written") == []


async def test_session_that_leads_nothing_carries_nothing(operator, stage):
    for session in ("ses_9", ""):
        assert (await operator.get("/bridge/standing", params={"session": session, "bridge": "here"})).json() == {}
    assert await stage.events("lead.entered") == []


async def test_lead_carries_the_names_of_its_newest_fleets(operator, stage):
    for name in ("one", "two\n", "three", "four"):
        fleet = await spawned(operator, stage, name=name)
    told = (await operator.get("/bridge/standing", params={"session": "ses_1", "bridge": "here"})).json()
    assert f'{fleet} "four" (2 agents)' in told["line"]
    assert '"two\\n" (2 agents)' in told["line"]
    assert '"one"' not in told["line"]
    assert len(told["line"].encode()) <= 200
    assert told["line"] in told["keep"]


async def test_agents_and_host_servers_have_no_part_in_it(url, operator, stage):
    agent = (await stage.spawn("a"))["agent_ids"][0]
    async with caller(url, stage.keyring.agent(agent)) as http:
        for method, path in (("POST", "knock"), ("GET", "notices"), ("POST", "told")):
            assert (path, code(await http.request(method, f"/bridge/{path}"))) == (path, (403, "denied"))


async def test_door_weighs_at_most_300_bytes_as_a_model_gets_it():
    parameters = {"additionalProperties": False, **DOOR["parameters"]}
    function = {"name": DOOR["name"], "description": DOOR["description"], "parameters": parameters}
    assert len(json.dumps({"type": "function", "function": function}, separators=(",", ":"))) <= 300


async def test_offer_names_what_is_shown_from_the_start():
    assert offer([MESH], [])["always"] == []
    assert offer([MESH], ["mesh"])["always"] == [tool["name"] for tool in offer([MESH], [])["tools"]]
