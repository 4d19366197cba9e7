"""Toolkit `mesh`: fleets of parallel agents."""

from muster.commands import agents as agent_commands
from muster.commands import fleets as fleet_commands
from muster.surfaces.toolkits import Tool, Toolkit
from muster.views import actors, fleets, hub, personas, results

SELF = frozenset({"agent_id"})

MESH = Toolkit(
    "mesh",
    [
        Tool(name="spawn_fleet", verb=fleet_commands.spawn),
        Tool(name="wait_fleet", verb=fleets.wait),
        Tool(name="fleet_status", verb=fleets.status, members=True),
        Tool(name="collect_results", verb=results.collect, members=True),
        Tool(name="list_fleets", verb=fleets.list_),
        Tool(name="attach_agent", verb=agent_commands.attach),
        Tool(name="cancel_fleet", verb=fleet_commands.cancel),
        Tool(name="cancel_agent", verb=agent_commands.cancel),
        Tool(name="set_fleet_timeout", verb=fleet_commands.set_timeout),
        Tool(name="list_agents", verb=personas.list_),
        Tool(name="whoami", verb=actors.whoami, members=True, implied=SELF),
        Tool(name="get_health", verb=hub.health),
        Tool(name="ping", verb=hub.ping),
    ],
)
