"""`muster trust`: let what a repository asks for count."""

import os
from pathlib import Path

import click

from muster import config
from muster.errors import Denied, NotFound
from muster.home import Home
from muster.surfaces.cli.output import Json, json_option, show, whole
from muster.surfaces.cli.text import table
from muster.trust import ProjectSettings, distrust, project_of, settings_of
from muster.trust import trust as trust_it

NO_FILE = "A project's settings stand in .muster/config.toml at its top."


@click.command(short_help="Let what a project asks for count.")
@click.argument("directory", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--show", "only_shown", is_flag=True, help="Show what it asks for, and trust nothing.")
@click.option("--undo", "taken_back", is_flag=True, help="Trust it no longer.")
@json_option
def trust(directory: Path, *, only_shown: bool, taken_back: bool, as_json: bool) -> None:
    """Let a project's .muster/config.toml count, as it is now, where it asks for more than your own settings allow.

    What asks for less counts without that. When the file changes, it is asked for again.
    """
    if os.environ.get("MUSTER_SERVER") or os.environ.get("MUSTER_AGENT_TOKEN"):
        raise Denied(why="An agent does not say what its user trusts.", hint="Ask the operator.")
    home = Home(folder=config.state_folder())
    project = project_of(directory)
    if taken_back:
        answer = {"project": str(project), "was_trusted": distrust(home, project)}
        show(answer, as_json=as_json, text=_undone_text)
        return
    found = settings_of(project, config.load(), config.named_in(os.environ), home)
    if found.digest is None:
        raise NotFound(kind="file", id=str(found.file), hint=NO_FILE)
    if not only_shown and not found.is_trusted:
        trust_it(home, project, found.digest)
    show(_told(found, only_shown=only_shown), as_json=as_json, text=_text)


def _told(found: ProjectSettings, *, only_shown: bool) -> Json:
    return {
        "project": str(found.project),
        "file": str(found.file),
        "trusted": found.is_trusted or not only_shown,
        "settings": [
            {"key": wish.key, "value": wish.value, "own": wish.own, "more": wish.is_more} for wish in found.wishes
        ],
    }


def _text(answer: Json) -> str:
    rows = [
        [one["key"], _shown(one["value"]), _shown(one["own"]), "more than yours" if one["more"] else ""]
        for one in answer["settings"]
    ]
    settings = table(["SETTING", "HERE", "YOURS", ""], rows) if rows else "It sets nothing."
    state = "trusted, as it is now" if answer["trusted"] else "not trusted: what is more than yours does not count"
    return f"{whole(answer['file'])}: {state}\n{settings}"


def _shown(value: int | str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return ", ".join(whole(one) for one in value)
    return value if isinstance(value, str) else f"{value:,}"


def _undone_text(answer: Json) -> str:
    return "It is not trusted any more." if answer["was_trusted"] else "It was not trusted."
