"""What happened, and what happens now."""

from collections.abc import Iterator

import click

from muster.surfaces.cli.output import Json, json_option, show, to_json
from muster.surfaces.cli.text import clock
from muster.surfaces.client import Hub
from muster.visible import visible


@click.command()
@click.option("--follow", "is_followed", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--fleet", help="Only what concerns this fleet.")
@click.option("--agent", help="Only what concerns this agent.")
@click.option("--after", type=int, metavar="CURSOR", help="What came after this one; else the newest.")
@click.option("--limit", type=int, default=50, show_default=True, help="At most so many of the past.")
@json_option
def events(
    fleet: str | None, agent: str | None, after: int | None, limit: int, *, is_followed: bool, as_json: bool
) -> None:
    """Show events, oldest first. With --follow and --json each stands on a line of its own."""
    hub = Hub.find()
    about = {
        name: value
        for name, value in (("fleet_id", fleet), ("agent_id", agent), ("cursor", after))
        if value is not None
    }
    page = hub.ask("event.list", limit=limit, **about)
    if not is_followed:
        show(page, as_json=as_json, text=lambda answer: "\n".join(map(event_line, answer["events"])) or "No events.")
        return
    for event in _followed(hub, page, fleet, agent):
        click.echo(to_json(event, indent=None) if as_json else event_line(event))


def event_line(event: Json) -> str:
    """One event on one line: when, whom it concerns, what, and its facts."""
    body = event["body"].items()
    facts = [f"{name}={visible(str(value))}" for name, value in body if value is not None]
    concerned = event["agent"] or event["fleet"] or event["actor"]
    return "  ".join([f"{event['cursor']:>6}", clock(event["at"]), f"{concerned:17}", f"{event['name']:16}", *facts])


def _followed(hub: Hub, page: Json, fleet: str | None, agent: str | None) -> Iterator[Json]:
    yield from page["events"]
    yield from hub.events(after=page["cursor"], fleet=fleet, agent=agent)
