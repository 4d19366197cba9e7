"""The operator audits a live hub's ledger; nobody else does."""

import sqlite3
from contextlib import closing

import pytest

from muster.surfaces.toolkits.mesh import MESH
from unit.stage import agent_actor, refused

pytestmark = pytest.mark.anyio


async def test_operator_is_told_what_there_is_and_where_the_journal_ends(stage):
    spawned = await stage.spawn("one", "two")
    told = await stage.call("ledger.verify")
    cursor = len(await stage.events())
    assert (told["ok"], told["errors"], told["warnings"], told["findings"], told["more"]) == (True, 0, 0, [], 0)
    assert (told["counts"]["fleets"], told["counts"]["agents"], told["counts"]["events"]) == (1, 2, cursor)
    head = f"{told['head']['cursor']}:{told['head']['hash']}"
    await stage.call("fleet.cancel", fleet_id=spawned["fleet_id"])
    assert (await stage.call("ledger.verify", head=head))["ok"]


async def test_what_somebody_wrote_into_the_file_of_a_live_hub_is_found(stage):
    spawned = await stage.spawn("one")
    name = "UPDATE agents SET name = 'two'"
    with closing(sqlite3.connect(stage.path)) as file:
        file.execute(name)
        file.commit()
        told = await stage.call("ledger.verify")
        file.execute(name.replace("two", "worker"))
        file.commit()
    (finding,) = told["findings"]
    assert (told["ok"], finding["check"], finding["subject"]) == (False, "row.told_otherwise", spawned["agent_ids"][0])
    assert (await stage.call("ledger.verify"))["ok"]


async def test_empty_journal_has_a_head_too(stage):
    told = await stage.call("ledger.verify")
    assert told["head"] == {"cursor": 0, "hash": ""}
    assert (await stage.call("ledger.verify", head="0:"))["ok"]


@pytest.mark.parametrize("head", ["", "1", "1:", "x:y", f"-1:{'a' * 64}", f"1:{'A' * 64}", f"1:{'a' * 63}"])
async def test_head_that_is_none_is_refused(stage, head):
    with refused("bad_value") as refusal:
        await stage.call("ledger.verify", head=head)
    assert refusal.value.facts["field"] == "head"


async def test_agent_does_not_audit(stage):
    spawned = await stage.spawn("one")
    agent = agent_actor(spawned["agent_ids"][0], spawned["fleet_id"])
    with refused("denied"):
        await stage.call("ledger.verify", agent)
    assert "verify_ledger" not in {tool.name for tool in MESH.offered(agent)}
