"""A fleet as it stands, and as it goes on."""

import click

from muster.surfaces.cli.answers import waiting_text
from muster.surfaces.cli.fleets import fleets_text, newest
from muster.surfaces.cli.journal import event_line
from muster.surfaces.cli.output import Json, json_option, show, whole
from muster.surfaces.cli.proofs import decisions_text, messages_text
from muster.surfaces.cli.text import age, clock, count, money, spent, table
from muster.surfaces.client import Hub
from muster.visible import visible

LAST_LINES = 3
NEWEST = 50  # messages, votes
RIGHT = frozenset({"RUNS", "TOKENS", "COST", "LAST"})


@click.command()
@click.argument("fleet_id", metavar="[FLEET]", required=False)
@click.option("--events", "past", type=click.IntRange(min=0), default=0, metavar="N", help="The last N events too.")
@click.option(
    "--receipts", "with_messages", is_flag=True, help="The last messages too: how far each got, its receipts."
)
@click.option("--decisions", "with_votes", is_flag=True, help="The last votes too: who approved, declined, is silent.")
@click.option("--follow", "is_followed", is_flag=True, help="Go on with what happens, until the fleet is quiet.")
@json_option
def inspect(
    fleet_id: str | None, past: int, *, with_messages: bool, with_votes: bool, is_followed: bool, as_json: bool
) -> None:
    """Show who is at what in a fleet; without one, list the fleets.

    --follow, --events, --receipts and --decisions take the newest fleet where none is named.
    """
    hub = Hub.find()
    if fleet_id is None and not (is_followed or past or with_messages or with_votes):
        show(hub.ask("fleet.list"), as_json=as_json, text=fleets_text)
        return
    fleet_id = fleet_id or newest(hub)
    if is_followed and not as_json:
        _follow(hub, fleet_id)
    elif is_followed:
        _wait_until_quiet(hub, fleet_id)
    state = _look(hub, fleet_id, past)
    if with_messages:
        state["messages"] = hub.ask("message.list", fleet_id=fleet_id, limit=NEWEST)["messages"][::-1]
    if with_votes:
        state["decisions"] = hub.ask("decision.list", fleet_id=fleet_id, limit=NEWEST)["decisions"][::-1]
    show(state, as_json=as_json, text=lambda state: _text(state, _waiting(hub, state)))


def _look(hub: Hub, fleet_id: str, past: int = 0) -> Json:
    state = hub.ask("fleet.status", fleet_id=fleet_id, full=True)
    if past:
        state["events"] = hub.ask("event.list", fleet_id=fleet_id, limit=past)["events"]
    return state


def _follow(hub: Hub, fleet_id: str) -> None:
    """The fleet as it is, then a line for each thing that happens, until nothing more will by itself."""
    cursor = hub.ask("event.list", limit=1)["cursor"]
    state = _look(hub, fleet_id)
    if state["fleet"]["status"] != "running":
        return
    click.echo(_text(state, _waiting(hub, state)) + "\n")
    names = {agent["agent_id"]: agent["name"] for agent in state["agents"]}
    for event in hub.events(after=cursor, fleet=fleet_id):
        if event["name"] == "agent.attached":
            names[event["agent"]] = event["body"]["name"]
        if words := words_of(event):
            click.echo(f"{clock(event['at'])}  {visible(names.get(event['agent'], '')):16}  {words}")
        if event["name"] == "fleet.quieted":
            click.echo()
            return


def _wait_until_quiet(hub: Hub, fleet_id: str) -> None:
    while not hub.ask("fleet.wait", fleet_id=fleet_id, timeout_seconds=600.0)["settled"]:
        pass


def words_of(event: Json) -> str | None:
    """What an event means to somebody who watches; None: nothing."""
    body = event["body"]
    match event["name"]:
        case "run.admitted":
            return "starts"
        case "turn.sent":
            return "has its task"
        case "agent.moved" if body["tool"]:
            return f"uses {visible(body['tool'])}"
        case "run.ended":
            return f"{body['outcome']}{': ' + visible(body['error']) if body['error'] else ''}"
        case "ask.asked":
            return f"asks for {visible(body['what'])} {visible(body['pattern'])}".rstrip()
        case "ask.answered":
            return f"has its answer: {body['answer']}"
        case "message.sent":
            return f"sends a message ({body['type']})"
        case "delivery.held":
            return f"has a message that is held back: {visible(body['reason'])}"
        case "delivery.undeliverable":
            return f"cannot be reached: {visible(body['reason'])}"
        case "agent.attached":
            return "joins"
        case "worktree.failed":
            return f"has no worktree: {visible(body['error'])}"
        case "worktree.unsnapshotted":
            return f"is not kept: {visible(body['error'])}"
        case "agent.paused":
            return f"is paused: {visible(body['reason'])}"
        case "agent.resumed":
            return "goes on"
        case "agent.cancelled" | "fleet.cancelled":
            return "is cancelled"
        case "agent.dismissed":
            return "is to stop" if body["force"] else "is to stop with the end of its turn"
        case "agent.stopped":
            return "is shut down"
        case "agent.undone":
            return f"could not be started: {visible(body['why'])}"
        case "fleet.ended":
            return "the team is cleaned up"
        case "fleet.quieted":
            return f"the fleet is {body['status']}"
    return None


def _waiting(hub: Hub, state: Json) -> list[Json]:
    """What agents of the fleet wait for; asked for only where the fleet's own row says that one does."""
    answers = {row["answer"] for agent in state["agents"] for row in agent["permissions"]}
    found: list[Json] = hub.ask("ask.list", fleet_id=state["fleet"]["fleet_id"])["asks"] if "waiting" in answers else []
    return found


def _text(state: Json, waiting: list[Json]) -> str:
    parts = [
        _head(state["fleet"]),
        _agents_table(state["agents"]),
        waiting_text(waiting),
        *map(_end_of_output, state["agents"]),
    ]
    if "messages" in state:
        parts.append(messages_text(state["messages"]))
    if "decisions" in state:
        parts.append(decisions_text(state["decisions"]))
    if "events" in state:
        parts.append("\n".join(map(event_line, state["events"])))
    return "\n\n".join(part for part in parts if part)


def _head(fleet: Json) -> str:
    names = [fleet["fleet_id"], visible(fleet["name"]), fleet["status"], visible(fleet["project"])]
    return "  ".join([*names, *spent(fleet), f"{age(fleet['created_at'])} old"]) + (
        f"\nreason: {visible(fleet['reason'])}" if fleet["reason"] else ""
    )


def _agents_table(agents: list[Json]) -> str:
    rows = [
        [agent["agent_id"], agent["name"], agent["status"], agent["runs"], agent["tool"], count(agent["tokens"]),
         money(agent["cost_usd"]), age(agent["last_activity_at"])]
        for agent in agents
    ]  # fmt: skip
    return table(["AGENT", "NAME", "STATUS", "RUNS", "TOOL", "TOKENS", "COST", "LAST"], rows, right=RIGHT)


def _end_of_output(agent: Json) -> str | None:
    """The last lines of what an agent said, or why it failed."""
    said = agent["error"] or agent["output"]
    if not said:
        return None
    lines = [line for line in whole(said).splitlines() if line.strip()][-LAST_LINES:]
    shown = "\n".join(f"  {visible(line, limit=160, keep=chr(9))}" for line in lines)
    return f"{visible(agent['name'])}{' (error)' if agent['error'] else ''}:\n{shown}"
