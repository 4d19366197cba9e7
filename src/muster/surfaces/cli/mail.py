"""Messages: sent, and read. In an agent's shell the words are that agent's."""

import sys

import click

from muster.errors import InvalidInput, NotFound
from muster.surfaces.cli.fleets import new_request_id, newest
from muster.surfaces.cli.output import Json, json_option, note, show, to_json, whole
from muster.surfaces.cli.text import clock
from muster.surfaces.client import Hub
from muster.visible import visible

TYPES = ("handoff", "question", "result", "alert", "request_help")
EVERYBODY = "*"
AGENT_ID = "agt_"
NAMED = 20

fleet_option = click.option("--fleet", metavar="FLEET", help="Whose agents the names are; else the newest fleet.")


@click.command()
@click.argument("to")
@click.argument("text")
@click.option("--type", "type_", type=click.Choice(TYPES), default="handoff", show_default=True,
              help="alert, question and request_help reach an agent in the middle of its work.")  # fmt: skip
@fleet_option
@click.option("--from", "sender", metavar="AGENT", help="Speak for an agent; it is recorded that you did.")
@click.option("--re", "about", metavar="ID", help="What it answers or belongs to.")
@json_option
def send(
    to: str, text: str, type_: str, fleet: str | None, sender: str | None, about: str | None, *, as_json: bool
) -> None:
    """Send TEXT to an agent, by its name or id, or to '*' for all others. TEXT - reads it from stdin.

    An idle agent is woken by it.
    """
    hub = Hub.find()
    me = hub.ask("actor.whoami")
    fleet = fleet or me["fleet_id"]
    if fleet is None and sender is not None and not sender.startswith(AGENT_ID):
        fleet = newest(hub)
    wish: Json = {"type": type_, "payload": sys.stdin.read() if text == "-" else text}
    if about is not None:
        wish["correlation_id"] = about
    if sender is not None:
        wish["from_agent_id"] = agent_id(hub, sender, fleet)
    elif fleet is None and not to.startswith(AGENT_ID):
        fleet = newest(hub)
    if fleet is not None:
        wish["fleet_id"] = fleet
    sent = hub.call("message.send", request_id=new_request_id(), to_agent_id=to, **wish)
    show(sent, as_json=as_json, text=lambda answer: _sent_text(answer, names_beside(hub, me, answer["recipients"][0])))


@click.command()
@click.argument("agent", required=False)
@fleet_option
@click.option("--follow", "is_followed", is_flag=True, help="Go on with each message as it is sent, until Ctrl-C.")
@click.option("--wait", "seconds", type=click.FloatRange(0, 3600), metavar="SECONDS", help="Wait so long for one.")
@click.option("--limit", type=int, default=50, show_default=True, help="At most so many.")
@json_option
def inbox(
    agent: str | None, fleet: str | None, seconds: float | None, limit: int, *, is_followed: bool, as_json: bool
) -> int:
    """Show the messages that an agent has not acknowledged, oldest first; in an agent's shell its own.

    Your look changes nothing. With --follow and --json each message stands on a line of its own, also what is
    acknowledged at once. Exit code 1: none came within --wait.
    """
    hub = Hub.find()
    own = _own(hub, agent, fleet)
    if is_followed:
        if seconds is not None:
            raise InvalidInput(why="Give one of --follow and --wait.")
        for message in hub.inbox(own):
            click.echo(to_json(message, indent=None) if as_json else _message_text(message))
        return 0
    told = hub.ask("inbox.read", agent_id=own, limit=limit, wait_seconds=seconds or 0.0)
    show(told, as_json=as_json, text=_text)
    if told["remaining"]:
        note(f"note: {told['remaining']} more wait; --limit shows more at once")
    return 1 if seconds is not None and not told["messages"] else 0


def agent_id(hub: Hub, who: str, fleet: str | None) -> str:
    """An agent's id, from its name in a fleet."""
    if who.startswith(AGENT_ID):
        return who
    fleet = fleet or newest(hub)
    agents = hub.ask("fleet.status", fleet_id=fleet)["agents"]
    found = [agent["agent_id"] for agent in agents if agent["name"] == who]
    if not found:
        named = ", ".join(visible(agent["name"]) for agent in agents[:NAMED])
        raise NotFound(kind="agent", id=visible(who), hint=f"Agents of {fleet}: {named}.")
    return str(found[-1])  # a name may be that of one that was cancelled, too


def names_beside(hub: Hub, me: Json, agent: str) -> dict[str, str]:
    """The names in an agent's fleet, by id."""
    one = me if me["agent_id"] else hub.ask("actor.whoami", agent_id=agent)
    return {each["agent_id"]: each["name"] for each in (one, *one["peers"])}


def _own(hub: Hub, agent: str | None, fleet: str | None) -> str:
    me = hub.ask("actor.whoami")
    if agent is not None:
        return agent_id(hub, agent, fleet or me["fleet_id"])
    if me["agent_id"] is None:
        raise InvalidInput(why="Name the agent whose inbox you mean. `muster inspect FLEET` lists them.")
    return str(me["agent_id"])


def _sent_text(sent: Json, names: dict[str, str]) -> str:
    recipients = [f"{visible(names.get(id, '?'))} ({id})" for id in sent["recipients"]]
    rest = len(recipients) - NAMED
    return f"{sent['message_id']}  to {', '.join(recipients[:NAMED])}{f' and {rest} more' if rest > 0 else ''}"


def _text(told: Json) -> str:
    return "\n\n".join(map(_message_text, told["messages"])) or "No messages."


def _message_text(message: Json) -> str:
    """Who said it, when, and how far it has got; what was said is quoted line by line."""
    to_all = " to all" if message["to"] == EVERYBODY else ""
    about = f"  re {visible(message['correlation_id'])}" if message["correlation_id"] else ""
    head = f"{message['message_id']}  {message['type']} from {visible(message['from_name'])}{to_all}"
    lines = [f"  > {line}" for line in whole(message["payload"]).split("\n")]
    return "\n".join([f"{head}  {clock(message['sent_at'])}  {message['state']}{about}", *lines])
