"""What an agent pays for on every model call: bytes of tools and preamble."""

import json
from datetime import UTC, datetime

from muster.model.actor import OPERATOR
from muster.model.agent import Agent
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, RunId
from muster.prompts.preamble import preamble
from muster.surfaces.toolkits import Toolkit
from muster.surfaces.toolkits.mesh import MESH
from muster.surfaces.toolkits.team import TEAM

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def table() -> str:
    rows = ["| what | bytes |", "|---|---|"]
    members = [_size(tool.name, member=True) for tool in MESH.bridged_part()]
    rows.append(f"| member's tools ({len(members)}) | {sum(members)} |")
    for toolkit, whose in ((MESH, "operator's tools"), (TEAM, "a team lead's tools beside them")):
        sizes = [_size(tool.name, toolkit=toolkit, member=False) for tool in toolkit.offered(OPERATOR)]
        rows.append(f"| {whose} ({len(sizes)}) | {sum(sizes)} |")
    for peers in (0, 2, 19, 199):
        rows.append(f"| preamble with {peers} peers | {len(_preamble(peers).encode())} |")
    return "\n".join(rows)


def _size(name: str, *, toolkit: Toolkit = MESH, member: bool) -> int:
    tool = toolkit.tool(name, OPERATOR)
    told = {"name": name, "description": toolkit.describe(tool), "parameters": tool.schema(member=member)}
    return len(json.dumps(told))


def _preamble(peers: int) -> str:
    fleet = Fleet(
        id=FleetId("flt_000000000000"),
        name="audit",
        project="/p",
        directory="/p",
        spawned_by="operator",
        created_at=NOW,
    )
    agents = [_agent(number) for number in range(peers + 1)]
    return preamble(agents[0], fleet, agents[1:])


def _agent(number: int) -> Agent:
    return Agent(
        id=AgentId(f"agt_{number:012d}"),
        fleet=FleetId("flt_000000000000"),
        position=number,
        name=f"reviewer-{number}",
        role="Code reviewer",
        persona="build",
        model=None,
        directory="/p",
        run=RunId("run_000000000000"),
        created_at=NOW,
    )
