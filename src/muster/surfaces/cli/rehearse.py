"""A fleet on the real OpenCode with a scripted model: no key, no network, no cost, and nothing left behind."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from muster import rehearsal
from muster.errors import NotFound
from muster.rehearsal import load_scenario
from muster.surfaces.cli.fleets import results_text
from muster.surfaces.cli.inspection import words_of
from muster.surfaces.cli.output import Json, json_option, show, whole
from muster.surfaces.cli.scene import Scene, scene
from muster.surfaces.cli.text import table
from muster.surfaces.client import Hub
from muster.visible import visible

SHIPPED = Path(rehearsal.__file__).parent / "scenarios"
SLICE_SECONDS = 600.0
NEXT = """What next, in a repository of your own:
  muster init                                   your own OpenCode offers fleets from then on
  muster fleet spawn --wait scout="Map this repository" tester="Run the tests"
  muster inspect --follow                       watch a fleet"""


@click.command()
@click.argument("name", metavar="[SCENARIO]", default="three-scouts")
@click.option("--list", "is_listed", is_flag=True, help="Name the scenarios that come with Muster.")
@click.option("--project", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
              help="Where the agents work; else in a small repository that is removed afterwards.")  # fmt: skip
@click.option("--model", metavar="PROVIDER/MODEL", help="A real model of your OpenCode instead of the scripted one.")
@click.option("--keep", "is_kept", is_flag=True, help="Leave the folder with logs, database and project.")
@json_option
def rehearse(
    name: str, project: Path | None, model: str | None, *, is_listed: bool, is_kept: bool, as_json: bool
) -> int:
    """Play a scenario on the real OpenCode, live: one that comes with Muster, or a YAML file of your own.

    It has a home, a hub and a model server of its own, and leaves nothing. Exit code 0: the fleet is complete, and the
    scenario fitted whatever was asked of it.
    """
    if is_listed:
        show({"scenarios": _shipped()}, as_json=as_json, text=_list_text)
        return 0
    file = _file(name)
    scenario = load_scenario(file)
    wish: Json = dict(scenario.wish())
    if model is not None:
        wish |= _played_by(model, wish)
    if not as_json:
        click.echo(f"{visible(scenario.title)}. The model is {model or 'rehearsed: no key, no network, no cost'}.\n")
    played = file if model is None else None
    with _ended_in_order(), scene(scenario, played, project, is_kept=is_kept, as_json=as_json) as set_up:
        answer = {"scenario": file.stem} | _played(set_up, wish, as_json=as_json)
    show(answer, as_json=as_json, text=_text)
    return 0 if answer["status"] == "complete" and not answer["failures"] else 1


def _file(name: str) -> Path:
    """A scenario that comes with Muster, by its name, or a file."""
    shipped = SHIPPED / f"{name}.yaml"
    if shipped.is_file() and shipped.parent == SHIPPED:
        return shipped
    if not Path(name).is_file():
        names = ", ".join(found.stem for found in sorted(SHIPPED.glob("*.yaml")))
        raise NotFound(
            kind="scenario", id=visible(name), hint=f"Give the path of a YAML file, or one of these: {names}."
        )
    return Path(name).absolute()


def _played(set_up: Scene, wish: Json, *, as_json: bool) -> Json:
    began = time.monotonic()
    hub = set_up.hub
    fleet = _spawned(hub, {"project": str(set_up.project), **wish})
    if not as_json:
        _follow(set_up, fleet, began)
    while not (answer := hub.ask("fleet.wait", fleet_id=fleet, timeout_seconds=SLICE_SECONDS))["settled"]:
        pass
    seconds = round(time.monotonic() - began, 1)
    kept = {"folder": str(set_up.folder)} if set_up.is_kept else {}
    return answer | {"seconds": seconds, "failures": set_up.failures()} | kept


def _played_by(model: str, wish: Json) -> Json:
    """The model of each agent that names none."""
    if "template" in wish:
        return {"model": model}
    return {"agents": [{"model": model, **agent} for agent in wish["agents"]]}


def _spawned(hub: Hub, wish: Json) -> str:
    if "template" in wish:
        name = wish.pop("template")
        return str(hub.call("template.spawn", name=name, **wish)["fleet_id"])
    return str(hub.call("fleet.spawn", **wish)["fleet_id"])


def _follow(set_up: Scene, fleet: str, began: float) -> None:
    """One line for each thing that happens, as it happens, until nothing more does by itself."""
    names: dict[str, str] = {}
    for event in set_up.hub.events(after=0):
        if event["name"] == "agent.attached":
            names[event["agent"]] = event["body"]["name"]
        elif line := _line(event):
            name = visible(names.get(event["agent"], ""))
            click.echo(f"  {time.monotonic() - began:5.1f} s  {name:14}  {line}")
        if event["fleet"] == fleet and event["name"] == "fleet.quieted":
            return


def _line(event: Json) -> str | None:
    match event["name"]:
        case "server.wanted":
            return "OpenCode is starting, one process for all"
        case "server.ready":
            return f"OpenCode {visible(event['body']['version'])} is up"
        case "fleet.quieted" | "run.admitted":
            return None
    return words_of(event)


def _text(answer: Json) -> str:
    parts = ["", results_text(answer)]
    if answer["failures"]:
        parts.append("The scenario did not fit:\n" + "\n".join(f"  {whole(why)}" for why in answer["failures"]))
    if "folder" in answer:
        parts.append(f"Kept: {answer['folder']}")
    return "\n\n".join([*parts, NEXT])


def _shipped() -> list[Json]:
    return [{"name": file.stem, "title": load_scenario(file).title} for file in sorted(SHIPPED.glob("*.yaml"))]


def _list_text(answer: Json) -> str:
    return table(["SCENARIO", "TITLE"], [[found["name"], found["title"]] for found in answer["scenarios"]])


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM is as Ctrl-C: what was set up is taken down."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
