"""The shipped personas: shown, copied into an OpenCode configuration, and linted. Needs no hub."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path

import click

from muster.errors import BadValue, Conflict, Denied, InvalidInput, NotFound
from muster.roster import (
    Finding,
    RosterPersona,
    Unreadable,
    alike,
    denials,
    is_name,
    lint,
    lint_together,
    matter_and_body,
    rendered,
    roster,
    scaffold,
    shipped_files,
)
from muster.surfaces.cli.output import Json, json_option, note, show, whole

RESTART = (
    "An OpenCode that is running knows them when it is started again; Muster's agents, with the next OpenCode server."
)
ALL = "`muster agents list` names all."

project_option = click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="In this project's .opencode folder; else in your own configuration.",
)


@click.command("show")
@click.argument("name")
@json_option
def show_(name: str, *, as_json: bool) -> None:
    """Show a persona of the roster, with every word that its agents are given."""
    persona = _named(name)
    show(asdict(persona) | {"denied": denials(persona)}, as_json=as_json, text=_persona_text)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@project_option
@click.option("--force", is_flag=True, help="Overwrite a file that says something else.")
@json_option
def install(names: tuple[str, ...], project: Path | None, *, force: bool, as_json: bool) -> None:
    """Copy personas of the roster into an OpenCode configuration, to change them or to use them without Muster.

    The copy counts from then on, also for Muster. OpenCode tells its models of each on every call.
    """
    from muster.installation import personas as installation  # noqa: PLC0415 - libraries that no other command needs

    _require_a_person()
    folder = installation.configuration_folder(os.environ, project)
    texts = {installation.agent_file(folder, name): rendered(_named(name)) for name in names}
    written = installation.lay(texts, force=force)
    answer = {"files": [{"name": file.stem, "file": str(file), "written": file in written} for file in texts]}
    show(answer, as_json=as_json, text=_installed_text)
    if written and not as_json:
        note(RESTART)


@click.command()
@click.argument("name")
@click.option("--division", help="A folder for it; the persona is then called DIVISION/NAME.")
@project_option
@json_option
def new(name: str, division: str | None, project: Path | None, *, as_json: bool) -> None:
    """Begin a persona of your own: a file with the four parts, to be filled in and looked at with `lint`."""
    from muster.installation import personas as installation  # noqa: PLC0415

    _require_a_person()
    for field, told in (("NAME", name), ("--division", division or name)):
        if not is_name(told):
            raise BadValue(field=field, expected="a-z, 0-9 and single hyphens", got=told[:80])
    called = f"{division}/{name}" if division else name
    file = installation.agent_file(installation.configuration_folder(os.environ, project), called)
    if file.exists():
        raise Conflict(why=f"{file} is there already.")
    installation.lay({file: scaffold()})
    show({"name": called, "file": str(file)}, as_json=as_json, text=lambda told: whole(told["file"]))


@click.command("lint")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--roster", "of_roster", is_flag=True, help="The shipped ones.")
@json_option
def lint_(files: tuple[Path, ...], *, of_roster: bool, as_json: bool) -> int:
    """Look at agent files: four parts, length, description, words that say nothing, and whether two say the same.

    Exit code 1: something was found.
    """
    if bool(files) == of_roster:
        raise InvalidInput(why="Name files, or --roster.")
    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in files or shipped_files()}
    found = [(str(file), finding) for file, text in texts.items() for finding in lint(text, file.stem)]
    found += _among_the_roster() if of_roster else _like_others(texts)
    told = [{"file": file, "line": one.line, "says": one.says} for file, one in found]
    show({"looked_at": len(texts), "findings": told}, as_json=as_json, text=_lint_text)
    return 1 if told else 0


def _among_the_roster() -> list[tuple[str, Finding]]:
    paths = {file.stem: str(file) for file in shipped_files()}
    return [(paths[finding.persona], finding) for finding in lint_together(roster())]


def _like_others(texts: Mapping[Path, str]) -> list[tuple[str, Finding]]:
    """Those that say what another says, of them or of the roster. An installed copy is not another one."""
    read = {str(file): _matter_and_body(text) for file, text in texts.items()}
    copied = {matter.get("description") for matter, _ in read.values()}
    prompts = [(file, body) for file, (_, body) in read.items()]
    prompts += [(one.name, one.prompt) for one in roster() if one.description not in copied]
    return [(finding.persona, finding) for finding in alike(prompts) if finding.persona in read]


def _matter_and_body(text: str) -> tuple[Json, str]:
    try:
        return matter_and_body(text)
    except Unreadable:  # as `lint` says
        return {}, text


def _named(name: str) -> RosterPersona:
    known = {persona.name: persona for persona in roster()}
    if name not in known:
        nearest = ", ".join(get_close_matches(name, known, n=3, cutoff=0.3))
        hint = f"Near it: {nearest}. {ALL}" if nearest else ALL
        raise NotFound(kind="persona in the roster called", id=name[:80], hint=hint)
    return known[name]


def _require_a_person() -> None:
    if os.environ.get("MUSTER_SERVER") or os.environ.get("MUSTER_AGENT_TOKEN"):
        raise Denied(why="An agent does not change the configuration of the person that it works for.")


def _persona_text(persona: Json) -> str:
    head = [
        f"{persona['name']} ({persona['division']})",
        persona["description"],
        f"mode: {persona['mode']}   denied: {', '.join(persona['denied']) or 'nothing'}",
        f"skills: {', '.join(persona['skills'])}",
    ]
    return "\n".join([*head, "", persona["prompt"]])


def _installed_text(answer: Json) -> str:
    return "\n".join(whole(one["file"]) + ("" if one["written"] else "  (was so already)") for one in answer["files"])


def _lint_text(answer: Json) -> str:
    lines = [f"{':'.join(_place(one))}: {whole(one['says'])}" for one in answer["findings"]]
    return "\n".join(lines) or f"{answer['looked_at']} looked at, nothing found."


def _place(finding: Json) -> list[str]:
    return [whole(finding["file"]), *([] if finding["line"] is None else [str(finding["line"])])]
