"""What agents did is landed, looked at, and taken back."""

from pathlib import Path

import click

from muster.errors import Conflict
from muster.surfaces.cli.fleets import new_request_id
from muster.surfaces.cli.mail import agent_id, fleet_option
from muster.surfaces.cli.output import Json, json_option, note, show, whole
from muster.surfaces.cli.progress import progress
from muster.surfaces.client import Hub
from muster.visible import visible

MERGE_ID = "mrg_"
AGAINST = ("conflicted", "refused")
FILES_SHOWN = 20


@click.command()
@click.argument("agent")
@fleet_option
@click.option("--include-uncommitted", "with_uncommitted", is_flag=True, help="Land what it has not committed, too.")
@click.option("--check", metavar="COMMAND", help="What comes of it must pass this first; else `merge_check` holds.")
@click.option(
    "--as",
    "land_as",
    type=click.Choice(["working_tree", "branch", "commits"]),
    default="working_tree",
    help="Where: in your files (as it does anyway), on a branch of its own, or as a commit on yours.",
)
@click.option("--all-commits", "keeps_all", is_flag=True, help="Land the agent's own commits with a merge, not one.")
@json_option
def merge(
    agent: str,
    fleet: str | None,
    check: str | None,
    land_as: str,
    *,
    with_uncommitted: bool,
    keeps_all: bool,
    as_json: bool,
) -> int:
    """Land what AGENT (a name or an id) has committed in your files. Index, HEAD and all other files stay as they are.

    Exit code 4: it conflicts, or something of yours is in the way; nothing is written then.
    """
    hub = Hub.find()
    wish: Json = {"agent_id": agent_id(hub, agent, fleet), "include_uncommitted": with_uncommitted}
    wish |= {"check": check, "land_as": land_as, "squash": not keeps_all}
    with progress("it lands", as_json=as_json):
        answer = hub.call("merge.land", request_id=new_request_id(), **wish)
    show(answer, as_json=as_json, text=_merge_text)
    return _ended(answer, failed=answer["state"] in AGAINST)


@click.command()
@click.argument("what", metavar="AGENT|MERGE")
@fleet_option
@json_option
def undo(what: str, fleet: str | None, *, as_json: bool) -> int:
    """Take back what was landed: of a merge, or of the newest one of an agent that stands.

    Files that were changed since stay as they are. Exit code 4: there are such files, or it cannot be done now.
    """
    hub = Hub.find()
    wish = {"merge_id": what} if what.startswith(MERGE_ID) else {"agent_id": agent_id(hub, what, fleet)}
    with progress("it is taken back", as_json=as_json):
        answer = hub.call("merge.undo", request_id=new_request_id(), **wish)
    show(answer, as_json=as_json, text=_undo_text)
    return _ended(answer, failed="kept" in answer["facts"] or "undo_why" in answer["facts"])


@click.command()
@click.argument("fleet_id", metavar="[FLEET]", required=False)
@json_option
def review(fleet_id: str | None, *, as_json: bool) -> None:
    """Show what has landed and stands, new files too, as one diff: of FLEET, else of all agents in this project.

    What you have committed since is named only.
    """
    hub = Hub.find()
    wish = {"project": str(Path.cwd())} if fleet_id is None else {"fleet_id": fleet_id}
    answer = hub.ask("merge.review", **wish)
    if answer["cut"] and not as_json:
        note(f"note: {answer['cut']} more files are not shown")
    show(answer, as_json=as_json, text=_review_text)


def _ended(answer: Json, *, failed: bool) -> int:
    if not answer["settled"]:
        return 1
    return Conflict.exit_code if failed else 0


def _merge_text(answer: Json) -> str:
    facts = answer["facts"]
    lines = [f"{answer['merge_id']}  {visible(answer['name'])}  {answer['state']}", *_files(answer)]
    if "why" in facts:
        lines.append(f"  {whole(facts['why'])}")
    lines += [f"  {visible(one['path'])}: {visible(one['why'])}" for one in facts.get("obstacles", ())]
    for one in facts.get("sides", ()):
        lines += [f"  {visible(one['says'])}", *_side("yours", one["ours"]), *_side("the agent's", one["theirs"])]
    if unasked := facts.get("runs_by_itself"):
        lines.append(f"  runs by itself: {', '.join(map(visible, unasked))}")
    if "output" in facts:
        lines += [
            f"  check: {visible(facts['check'])}",
            *(f"    {line}" for line in whole(facts["output"]).splitlines()),
        ]
    if "ref" in facts:
        lines.append(f"  {facts['commit'][:12]} on {visible(facts['ref'].removeprefix('refs/heads/'))}")
    if "next" in facts:
        lines.append(f"  next: {whole(facts['next'])}")
    return "\n".join(lines)


def _undo_text(answer: Json) -> str:
    facts = answer["facts"]
    lines = [f"{answer['merge_id']}  {visible(answer['name'])}  {answer['state']}"]
    lines += [f"  kept {visible(one['path'])}: {visible(one['why'])}" for one in facts.get("kept", ())]
    if "undo_why" in facts:
        lines.append(f"  not undone: {whole(facts['undo_why'])}")
    return "\n".join(lines)


def _files(answer: Json) -> list[str]:
    files = answer["files"]
    rest = len(files) + answer["facts"].get("more", 0) - FILES_SHOWN
    return [f"  {visible(file)}" for file in files[:FILES_SHOWN]] + [f"  … and {rest} more"] * (rest > 0)


def _side(whose: str, text: str) -> list[str]:
    return [f"    {whose}:", *(f"      {line}" for line in whole(text).splitlines())] if text else []


def _review_text(answer: Json) -> str:
    if not answer["files"]:
        return "Nothing that has landed stands."
    committed = [file for file in answer["files"] if file["committed"]]
    lines = [f"committed: {visible(file['path'])} ({', '.join(map(visible, file['names']))})" for file in committed]
    return "\n".join([*lines, whole(answer["diff"]).rstrip("\n")]).strip("\n")
