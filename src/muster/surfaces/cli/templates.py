"""Fleet templates: listed, shown, saved, carried elsewhere, spawned."""

import json
from pathlib import Path
from typing import Any  # what a file of somebody's holds

import click
import yaml

from muster.errors import BadValue, InvalidInput
from muster.surfaces.cli.fleets import (
    absolute,
    given,
    max_seconds_option,
    max_tokens_option,
    max_turns_option,
    model_option,
    new_request_id,
    project_option,
    read_text,
    show_spawned,
    text_told,
    wait_for_spawned,
    wait_option,
)
from muster.surfaces.cli.output import Json, json_option, note, show, to_json, whole
from muster.surfaces.cli.text import table
from muster.surfaces.client import Hub
from muster.visible import visible

version_option = click.option("--version", type=int, metavar="N", help="This version; else the newest.")


@click.group()
def template() -> None:
    """Fleets' shapes, kept to be spawned again."""


@template.command("list")
@click.option("--limit", type=int, default=200, show_default=True, help="At most so many.")
@json_option
def list_(limit: int, *, as_json: bool) -> None:
    """List the newest version of each template, those that come with Muster too."""
    show(Hub.find().ask("template.list", limit=limit), as_json=as_json, text=lambda told: _table(told["templates"]))


@template.command()
@click.argument("name")
@json_option
def versions(name: str, *, as_json: bool) -> None:
    """List the versions of a template, newest first."""
    answer = Hub.find().ask("template.versions", name=name, limit=500)
    show(answer, as_json=as_json, text=lambda told: _table(told["versions"]))


@template.command("show")
@click.argument("name")
@version_option
@json_option
def show_(name: str, version: int | None, *, as_json: bool) -> None:
    """Show a template with its prompts."""
    answer = Hub.find().ask("template.get", name=name, **given(version=version))
    show(answer, as_json=as_json, text=lambda told: _text(told["template"]))


@template.command()
@click.argument("name")
@click.argument("file", metavar="FILE")
@json_option
def save(name: str, file: str, *, as_json: bool) -> None:
    """Save what FILE (YAML or JSON; - is stdin) describes; under a name that exists as its next version.

    It holds `agents`, a list of role, prompt and if you like agent (a persona), name, model; and if you like
    `description` and `placeholders`, the words in braces that a spawn fills.
    """
    parsed = _parsed(file)
    wish: Json = {"agents": parsed} if isinstance(parsed, list) else parsed
    answer = Hub.find().call("template.save", request_id=new_request_id(), **wish | {"name": name})
    show(answer, as_json=as_json, text=_saved_text)


@template.command()
@click.argument("name")
@click.argument("file", metavar="[FILE]", required=False)
@version_option
@json_option
def export(name: str, file: str | None, version: int | None, *, as_json: bool) -> None:
    """Write a template as JSON to FILE, or to standard output, for `muster template import` elsewhere."""
    answer = Hub.find().ask("template.export", name=name, **given(version=version))
    if file is not None:
        _write(file, f"{to_json(answer)}\n")
    wrote = f"{answer['name']}  version {answer['version']}  in {visible(str(file))}"
    show(answer, as_json=as_json or file is None, text=lambda _: wrote)


@template.command("import")
@click.argument("file", metavar="FILE")
@click.option("--name", help="What it is called here; else what it was called.")
@json_option
def import_(file: str, name: str | None, *, as_json: bool) -> None:
    """Save an export of Muster's or of Meshfleet's. It overwrites nothing: a name that exists gets the next version."""
    wish = given(template=_parsed(file), name=name)
    answer = Hub.find().call("template.import", request_id=new_request_id(), **wish)
    for said in answer["notes"]:
        note(f"note: {whole(said)}")
    show(answer, as_json=as_json, text=_saved_text)


@template.command()
@click.argument("name")
@click.option("--version", type=int, metavar="N", help="This version alone; else all that were saved.")
@json_option
def delete(name: str, version: int | None, *, as_json: bool) -> None:
    """Delete a template that was saved, or one version of it. Those that come with Muster stay."""
    answer = Hub.find().call("template.delete", request_id=new_request_id(), name=name, **given(version=version))
    gone = ", ".join(map(str, answer["versions"]))
    show(answer, as_json=as_json, text=lambda told: f"{told['name']}  deleted: version {gone}")


@template.command()
@click.argument("name")
@click.option(
    "--set", "values", metavar="WORD=TEXT", multiple=True, help="What a placeholder stands for; @FILE reads it."
)
@version_option
@model_option
@click.option("--name", "fleet_name", help="What the fleet is called; else as the template.")
@max_turns_option
@max_tokens_option
@max_seconds_option
@project_option
@wait_option
@json_option
def spawn(
    name: str,
    values: tuple[str, ...],
    version: int | None,
    model: str | None,
    fleet_name: str | None,
    project: str | None,
    *,
    is_waited_for: bool,
    as_json: bool,
    **ceilings: int | None,
) -> int:
    """Start the fleet that a template describes. With --wait the exit code is that of `muster fleet wait`."""
    wish = given(version=version, model=model, fleet_name=fleet_name, project=absolute(project))
    if budget := given(**ceilings):
        wish["budget"] = budget
    hub = Hub.find()
    filled = dict(map(_value, values))
    spawned = hub.call("template.spawn", request_id=new_request_id(), name=name, values=filled, **wish)
    if is_waited_for:
        return wait_for_spawned(hub, spawned, as_json=as_json)
    agents = hub.ask("fleet.status", fleet_id=spawned["fleet_id"])["agents"]
    show_spawned(spawned, [agent["role"] for agent in agents], as_json=as_json)
    return 0


def _value(word: str) -> tuple[str, str]:
    name, parted, value = word.partition("=")
    if not parted:
        raise BadValue(field="--set", expected="a placeholder, =, and what it stands for", got=visible(word, limit=60))
    return name, text_told(value)


def _parsed(file: str) -> Any:
    """What a file holds, if JSON can say it: YAML has dates, too. JSON is YAML."""
    text = read_text(file)
    try:
        parsed = json.loads(json.dumps(yaml.safe_load(text)))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise InvalidInput(why=f"{file} is neither YAML nor JSON: {' '.join(str(error).split())}.") from error
    if not isinstance(parsed, dict | list):
        raise InvalidInput(why=f"{file} holds no template: an object with `agents` is wanted.")
    return parsed


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise InvalidInput(why=f"{file} cannot be written: {error}.") from error


def _table(rows: list[Json]) -> str:
    if not rows:
        return "No templates."
    cells = [
        [row["name"], row["version"], row["source"], len(row["agents"]), ", ".join(row["placeholders"]) or None,
         row["description"]]
        for row in rows
    ]  # fmt: skip
    head = ["TEMPLATE", "VERSION", "SOURCE", "AGENTS", "PLACEHOLDERS", "DESCRIPTION"]
    return table(head, cells, right=frozenset({"VERSION", "AGENTS"}))


def _saved_text(answer: Json) -> str:
    return f"{answer['template']['name']}  version {answer['template']['version']}"


def _text(told: Json) -> str:
    words = [f"{told['name']}  version {told['version']}  {told['source']}"]
    words += [whole(told["description"])] * bool(told["description"])
    words += [f"placeholders: {', '.join(told['placeholders'])}"] * bool(told["placeholders"])
    return "\n\n".join(["\n".join(words), *map(_agent_text, told["agents"])])


def _agent_text(agent: Json) -> str:
    parts = [agent["name"], agent["role"], agent["agent"], agent["model"]]
    head = " · ".join(visible(part) for part in parts if part is not None)
    return f"── {head}\n{whole(agent['prompt'].rstrip())}"
