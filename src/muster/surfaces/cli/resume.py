"""What was paused goes on."""

import click

from muster.errors import BadValue
from muster.surfaces.cli.fleets import new_request_id
from muster.surfaces.cli.output import Json, json_option, show
from muster.surfaces.client import Hub
from muster.visible import visible

MEANS = ("tokens", "turns", "seconds")


@click.command()
@click.argument("fleet_id", metavar="[FLEET]", required=False)
@click.option(
    "--more", metavar="tokens=N,turns=N,seconds=N", help="Add so much to the ceilings; without it only what is not "
    "used up goes on.",
)  # fmt: skip
@json_option
def resume(fleet_id: str | None, more: str | None, *, as_json: bool) -> int:
    """Let what is paused go on.

    A fleet goes on where it stopped; every paused one, unless one is named. Exit code 1: something stays paused.
    """
    wish: Json = {} if fleet_id is None else {"fleet_id": fleet_id}
    if more is not None:
        wish["more"] = dict(_amount(part) for part in more.split(","))
    answer = Hub.find().call("fleet.resume", request_id=new_request_id(), **wish)
    show(answer, as_json=as_json, text=_text)
    return 1 if answer["paused"] else 0


def _amount(part: str) -> tuple[str, int]:
    """`tokens=500000`; underscores may part the digits."""
    name, _, number = part.strip().partition("=")
    if name not in MEANS or not number.replace("_", "").isdecimal():
        raise BadValue(field="--more", expected="tokens=N, turns=N or seconds=N", got=visible(part, limit=60))
    return name, int(number)


def _text(answer: Json) -> str:
    lines = [f"{agent}  goes on" for agent in answer["resumed"]]
    lines += [f"{held['agent_id']}  stays paused: {visible(held['reason'])}" for held in answer["paused"]]
    return "\n".join(lines) or "Nothing is paused."
