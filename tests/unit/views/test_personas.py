"""The personas that may be asked for, with the shipped roster among them."""

from collections.abc import AsyncIterator

import pytest

from muster.hosts.scripted import ScriptedHost
from muster.hosts.scripted.host import BUILD
from muster.roster import offered, roster
from unit.stage import Stage, hub, refused

pytestmark = pytest.mark.anyio

PERSONAS = (BUILD, *(offered(persona) for persona in roster()))


@pytest.fixture
async def staffed(tmp_path, clock) -> AsyncIterator[Stage]:
    async with ScriptedHost({}, personas=PERSONAS) as host, hub(tmp_path, host, clock) as stage:
        yield stage


async def test_list_goes_through_all_of_them_page_by_page(staffed):
    where = {"project": str(staffed.project)}
    whole = await staffed.call("persona.list", **where, limit=500)
    first = await staffed.call("persona.list", **where)
    rest = await staffed.call("persona.list", **where, cursor=first["cursor"])
    assert [row["name"] for row in whole["agents"]] == sorted(persona.name for persona in PERSONAS)
    assert first["agents"] + rest["agents"] == whole["agents"]
    assert (whole["cursor"], rest["cursor"]) == (None, None)


async def test_row_of_a_shipped_one_says_where_it_stands(staffed):
    found = await staffed.call("persona.list", project=str(staffed.project), query="deep second opinion")
    (shipped,) = (persona for persona in PERSONAS if persona.name == "oracle")
    assert found["agents"] == [
        {
            "name": "oracle",
            "description": shipped.description,
            "division": "research",
            "mode": "all",
            "source": "roster",
        }
    ]


async def test_division_is_listed_alone(staffed):
    found = await staffed.call("persona.list", project=str(staffed.project), division="security")
    nothing = await staffed.call("persona.list", project=str(staffed.project), division="gardening")
    assert {row["name"] for row in found["agents"]} >= {"application-security-engineer", "threat-modeler"}
    assert {row["division"] for row in found["agents"]} == {"security"}
    assert nothing["agents"] == []


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("orakle", "oracle"),
        ("backend-architekt", "backend-architect"),
        ("security-engineer", "application-security-engineer"),
    ],
)
async def test_unknown_persona_is_refused_with_the_nearest_names_of_the_roster(staffed, asked, nearest):
    wish = {"role": "r", "prompt": "p", "agent": asked}
    with refused("unknown_persona") as caught:
        await staffed.call("fleet.spawn", agents=[wish], project=str(staffed.project))
    assert nearest in caught.value.facts["nearest"].split(", ")
