"""Toolkit `mesh`: fleets of parallel agents."""

from muster.commands import agents as agent_commands
from muster.commands import capabilities as capability_commands
from muster.commands import decisions as decision_commands
from muster.commands import fleets as fleet_commands
from muster.commands import inbox as inbox_commands
from muster.commands import messages as message_commands
from muster.commands import receipts as receipt_commands
from muster.commands import routes as route_commands
from muster.commands import templates as template_commands
from muster.surfaces.toolkits import Tool, Toolkit
from muster.views import actors, decisions, fleets, hub, ledger, personas, receipts, results, routes, templates
from muster.views import inbox as inbox_views

SELF = frozenset({"agent_id"})
FROM = frozenset({"from_agent_id", "fleet_id"})
CLAIMED = frozenset({"agent_id", "model", "context_window"})
SCOPE = frozenset({"fleet_id", "project"})
TEMPLATE = frozenset({"template"})
PROPOSER = frozenset({"proposer", "fleet_id"})

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
        Tool(name="send_message", verb=message_commands.send, members=True, implied=FROM),
        Tool(name="send_messages", verb=message_commands.send_all),
        Tool(name="get_inbox", verb=inbox_commands.read, members=True, implied=SELF),
        Tool(name="subscribe_inbox", verb=inbox_views.subscribe, members=True, bridged=False, implied=SELF),
        Tool(name="ack_message", verb=message_commands.acknowledge, members=True, implied=SELF),
        Tool(name="receipt", verb=receipt_commands.write, members=True, implied=SELF),
        Tool(name="get_receipts", verb=receipts.list_, members=True),
        Tool(name="open_ratification", verb=decision_commands.open_, members=True, implied=PROPOSER),
        Tool(name="cast_vote", verb=decision_commands.cast, members=True, implied=SELF),
        Tool(name="tally_ratification", verb=decisions.tally, members=True),
        Tool(name="sweep_ratifications", verb=decision_commands.sweep),
        Tool(name="register_capability", verb=capability_commands.register, members=True, implied=CLAIMED),
        Tool(name="route_work", verb=routes.work, members=True, implied=SCOPE),
        Tool(name="record_routing_outcome", verb=route_commands.record),
        Tool(name="list_agents", verb=personas.list_),
        Tool(name="save_fleet_template", verb=template_commands.save),
        Tool(name="list_fleet_templates", verb=templates.list_),
        Tool(name="list_fleet_template_versions", verb=templates.versions),
        Tool(name="get_fleet_template", verb=templates.get),
        Tool(name="delete_fleet_template", verb=template_commands.delete),
        Tool(name="export_fleet_template", verb=templates.export),
        Tool(name="import_fleet_template", verb=template_commands.import_, opaque=TEMPLATE),
        Tool(name="spawn_from_template", verb=template_commands.spawn),
        Tool(name="whoami", verb=actors.whoami, members=True, implied=SELF),
        Tool(name="verify_ledger", verb=ledger.verify),
        Tool(name="get_health", verb=hub.health),
        Tool(name="ping", verb=hub.ping),
    ],
)
