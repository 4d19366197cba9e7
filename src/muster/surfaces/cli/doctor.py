"""`muster doctor`: what is as it should be, what is not, and what to do about it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from muster import config
from muster.errors import Denied, UnknownSetting
from muster.home import Home
from muster.surfaces.cli.output import Json, json_option, to_json
from muster.visible import visible

if TYPE_CHECKING:
    from muster.doctor.checks import Examined
    from muster.doctor.finding import Case

WIDTHS = (9, 17)


@click.command(short_help="Look at every part, and say what to do.")
@click.option("--fix", is_flag=True, help="Mend what can be mended without losing anything.")
@click.option("--deep", is_flag=True, help="Start an OpenCode server too, and end it.")
@json_option
def doctor(*, fix: bool, deep: bool, as_json: bool) -> int:
    """Look at every part of Muster on this machine and say what to do. Needs no hub.

    Exits with 1 where something is broken, with 0 else: a warning breaks nothing.
    """
    from muster.doctor.checks import examine  # noqa: PLC0415 - libraries that no other command needs

    if fix and os.environ.get("MUSTER_SERVER"):
        raise Denied(why="An agent does not mend the machine of the person that it works for.")
    told = []
    for examined in examine(_case(), deep=deep, fix=fix):
        told.append(_told(examined))
        if not as_json:
            click.echo(_line(told[-1]))
    click.echo(to_json({"checks": told}) if as_json else _summary(told))
    return 1 if any(one["state"] == "broken" for one in told) else 0


def _case() -> "Case":
    from muster.doctor.finding import Case  # noqa: PLC0415

    try:
        settings = config.load()
    except UnknownSetting:
        settings = config.Settings()  # the check of the settings says what is wrong with them
    home = Home(folder=config.state_folder())
    return Case(home=home, environment=os.environ, settings=settings, directory=Path())


def _told(examined: "Examined") -> Json:
    finding = examined.finding
    return {
        "part": examined.part,
        "state": finding.state.value,
        "says": finding.says,
        "next": finding.next or None,
        "fixable": finding.mend is not None,
        "fixed": examined.mended and finding.state == "ok",
    }


def _line(told: Json) -> str:
    state, part = told["state"].ljust(WIDTHS[0]), told["part"].ljust(WIDTHS[1])
    line = f"{state}{part}{visible(told['says'], limit=None)}" + (" (mended)" if told["fixed"] else "")
    if not told["next"]:
        return line
    step = visible(told["next"], limit=None)
    by_itself = "`muster doctor --fix`, or: " if told["fixable"] else ""
    return f"{line}\n{' ' * sum(WIDTHS)}next: {by_itself}{step}"


def _summary(told: list[Json]) -> str:
    states = [one["state"] for one in told]
    counted = [f"{states.count(state)} {state}" for state in ("broken", "warning") if state in states]
    return f"{len(told)} parts looked at: {', '.join(counted) or 'all of them are as they should be'}."
