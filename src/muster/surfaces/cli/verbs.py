"""Every verb there is, by name; and who is asking."""

import json
import sys

import click

from muster.errors import MalformedJson
from muster.surfaces.cli.output import Json, json_option, show, to_json
from muster.surfaces.client import Hub
from muster.visible import visible


@click.command()
@click.argument("verb")
@click.option("--json", "arguments", default="{}", metavar="OBJECT", help="The arguments; - reads them from stdin.")
def call(verb: str, arguments: str) -> None:
    """Call a verb, `fleet.list` for one, and print the hub's answer. A name that does not exist lists the nearest."""
    click.echo(to_json(Hub.find().call(verb, **_parsed(sys.stdin.read() if arguments == "-" else arguments))))


@click.command()
@json_option
def whoami(*, as_json: bool) -> None:
    """Say who the hub takes you for."""
    show(Hub.find().ask("actor.whoami"), as_json=as_json, text=_text)


def _parsed(text: str) -> Json:
    try:
        told = json.loads(text)
    except ValueError as error:
        raise MalformedJson(why=str(error)) from error
    if not isinstance(told, dict):
        raise MalformedJson(why=f"got {visible(text, limit=60)}")
    return told


def _text(answer: Json) -> str:
    if answer["agent_id"] is None:
        return str(answer["kind"])
    peers = ", ".join(f"{visible(peer['name'])} ({peer['status']})" for peer in answer["peers"]) or "none"
    return f"{visible(answer['name'])}  {answer['agent_id']}  in fleet {answer['fleet_id']}\npeers: {peers}"
