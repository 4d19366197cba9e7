"""Personas there are, and the end of one agent."""

from collections.abc import Iterator
from itertools import groupby

import click

from muster.surfaces.cli.fleets import ended_text, new_request_id
from muster.surfaces.cli.output import Json, json_option, show, whole
from muster.surfaces.cli.personas import install, lint_, new, show_
from muster.surfaces.cli.progress import progress
from muster.surfaces.cli.text import table
from muster.surfaces.client import Hub


@click.group()
def agents() -> None:
    """The personas that agents can be, and single agents."""


@agents.command("list")
@click.argument("query", nargs=-1)
@click.option("--query", "also", metavar="WORDS", help="The same as QUERY.")
@click.option("--division", help="Only those of this division (a heading of the list).")
@click.option("--limit", type=int, default=500, show_default=True, help="At most so many.")
@json_option
def list_(query: tuple[str, ...], also: str | None, division: str | None, limit: int, *, as_json: bool) -> None:
    """List the personas of this project, by division; QUERY looks in names and descriptions."""
    words = " ".join([*query, *([also] if also else [])])
    asked = ({"query": words} if words else {}) | ({"division": division} if division else {})
    show(Hub.find().ask("persona.list", limit=limit, **asked), as_json=as_json, text=_text)


@agents.command()
@click.argument("agent_id", metavar="AGENT")
@click.option("--reason", help="Why; told with the agent.")
@json_option
def cancel(agent_id: str, reason: str | None, *, as_json: bool) -> int:
    """End one agent for good. What it said so far is kept."""
    why = {} if reason is None else {"reason": reason}
    with progress("it ends", as_json=as_json):
        answer = Hub.find().call("agent.cancel", request_id=new_request_id(), agent_id=agent_id, **why)
    show(answer, as_json=as_json, text=ended_text)
    return 0 if answer["settled"] else 1


def _text(answer: Json) -> str:
    if not answer["agents"]:
        return "No persona fits."
    shelved = sorted(answer["agents"], key=_division)  # which keeps the order of names
    rows = [[row["name"], row["mode"], row["source"], row["description"]] for row in shelved]
    head, *lines = table(["NAME", "MODE", "SOURCE", "DESCRIPTION"], rows).split("\n")
    return "\n".join([f"  {head}", *_under_headings(shelved, lines)])


def _under_headings(rows: list[Json], lines: list[str]) -> Iterator[str]:
    for division, group in groupby(zip(rows, lines, strict=True), key=lambda pair: _division(pair[0])):
        yield whole(division) or "without a division"
        yield from (f"  {line}" for _, line in group)


def _division(row: Json) -> str:
    return row["division"] or ""


for command in (show_, install, new, lint_):
    agents.add_command(command)
