"""`muster init`: what of Muster stands in the user's own OpenCode, put in and taken out."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from muster import config
from muster.errors import Denied
from muster.home import Home
from muster.surfaces.cli.output import Json, json_option, note, show, whole

if TYPE_CHECKING:
    from muster.installation.change import Change

RESTART = "OpenCode reads its configuration when it starts: quit it, start it again, and ask it for a fleet of agents."
UNDONE = "An OpenCode that is running knows Muster until you quit it."


@click.command(short_help="Add Muster to your own OpenCode, or take it out.")
@click.option("--mcp", is_flag=True, help="Add the MCP entry too; the bridge alone offers the same tools.")
@click.option("--undo", "taken_back", is_flag=True, help="Take back exactly what was added.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@json_option
def init(*, mcp: bool, taken_back: bool, dry_run: bool, as_json: bool) -> None:
    """Make your own OpenCode know Muster: add the bridge to its configuration, and show every line of it."""
    if os.environ.get("MUSTER_SERVER") or os.environ.get("MUSTER_AGENT_TOKEN"):
        raise Denied(why="An agent does not change the configuration of the person that it works for.")
    home = Home(folder=config.state_folder())
    answer = _undo(home, dry_run=dry_run) if taken_back else _init(home, mcp=mcp, dry_run=dry_run)
    show(answer, as_json=as_json, text=_undo_text if taken_back else _init_text)
    if not as_json:
        _say_what_else(answer)


def _init(home: Home, *, mcp: bool, dry_run: bool) -> Json:
    from muster.hub import leave_offer  # noqa: PLC0415 - half a second of imports that few commands need
    from muster.installation import init as installation  # noqa: PLC0415 - libraries that no other command needs

    opencode = installation.find_opencode(config.load().opencode, os.environ)
    change = installation.plan(home, os.environ, installation.own_command(os.environ), mcp=mcp)
    renewed = not installation.has_bridge(home)
    if not dry_run:
        if home.is_free or not home.offer_file.exists():  # a hub that runs has left what its own settings say
            leave_offer(home, config.load())
        installation.make(home, change)
    bridge = str(installation.bridge(home))
    found = {"path": opencode.path, "version": opencode.version}
    return {"opencode": found, "bridge": bridge, "bridge_written": renewed} | _told([change], dry_run=dry_run)


def _undo(home: Home, *, dry_run: bool) -> Json:
    from muster.installation import init as installation  # noqa: PLC0415

    changes = installation.plan_undo(home, os.environ)
    if not dry_run:
        installation.undo(home, changes)
    return _told(changes, dry_run=dry_run)


def _told(changes: "Sequence[Change]", *, dry_run: bool) -> Json:
    return {
        "dry_run": dry_run,
        "changes": [
            {"file": str(change.file), "backup": change.backup and str(change.backup), "diff": change.diff()}
            for change in changes
            if change.is_needed
        ],
        "notes": [text for change in changes for text in (*change.notes, *change.kept)],
    }


def _init_text(answer: Json) -> str:
    found = f"OpenCode {whole(answer['opencode']['version'])}, {whole(answer['opencode']['path'])}"
    if not answer["changes"]:
        state = "The bridge was written anew; the configuration has it already." if answer["bridge_written"] else ""
        return f"{found}\n{state or 'Nothing to do: the bridge is in its configuration.'}"
    return "\n".join([found, *_diffs(answer)])


def _undo_text(answer: Json) -> str:
    return "\n".join(_diffs(answer)) if answer["changes"] else "Nothing to take back."


def _diffs(answer: Json) -> list[str]:
    return [whole(change["diff"]) for change in answer["changes"]]


def _say_what_else(answer: Json) -> None:
    for text in answer["notes"]:
        note(whole(text))
    if answer["dry_run"]:
        note("Nothing was changed: this was a dry run.")
        return
    for change in answer["changes"]:
        if change["backup"]:
            note(f"The file as it was: {whole(change['backup'])}")
    if answer["changes"] or answer.get("bridge_written"):
        note(RESTART if "opencode" in answer else UNDONE)
