"""Agents' worktrees and their snapshots: shown, brought back, removed, let go."""

import sys
from pathlib import Path

import click

from muster.errors import Conflict, InvalidInput
from muster.surfaces.cli.fleets import new_request_id
from muster.surfaces.cli.output import Json, json_option, note, show, whole
from muster.surfaces.cli.progress import progress
from muster.surfaces.cli.text import age, table
from muster.surfaces.client import Hub

MOST = 500
LETTERS = 12  # of a commit's name: enough to find it by


@click.command()
@click.argument("agent_id", metavar="[AGENT]", required=False)
@click.option("--restore", "commit", metavar="COMMIT", help="Bring this snapshot back; `latest` is the newest.")
@click.option("--to", "folder", type=click.Path(), metavar="FOLDER", help="As files in a new folder.")
@click.option("--branch", metavar="NAME", help="As a new branch of the project.")
@click.option("--remove", "is_removed", is_flag=True, help="Remove the worktree's folder, after a snapshot of it.")
@click.option("--drop", "is_dropped", is_flag=True, help="Let all of them and the agent's branch go: lists first.")
@click.option("--token", metavar="TOKEN", help="With --drop: that of the list, which says that you have seen it.")
@json_option
def snapshots(
    agent_id: str | None,
    commit: str | None,
    folder: str | None,
    branch: str | None,
    token: str | None,
    *,
    is_removed: bool,
    is_dropped: bool,
    as_json: bool,
) -> int:
    """Show what is kept of an agent's worktree; without AGENT, list the worktrees there are.

    Branches and snapshots stay until you drop them. Exit code 1: it could not be done, and why is said.
    """
    hub = Hub.find()
    if sum([commit is not None, is_removed, is_dropped]) > 1:
        raise InvalidInput(why="Give one of --restore, --remove and --drop.")
    if agent_id is None:
        if commit is not None or is_removed or is_dropped:
            raise InvalidInput(why="Name the agent. `muster snapshots` lists the worktrees.")
        show(hub.ask("worktree.list", limit=MOST), as_json=as_json, text=_worktrees_text)
        return 0
    if commit is not None:
        return _restore(hub, agent_id, commit, folder, branch, as_json=as_json)
    if is_removed:
        return _remove(hub, agent_id, as_json=as_json)
    if is_dropped:
        return _drop(hub, agent_id, token, as_json=as_json)
    show(hub.ask("worktree.snapshots", agent_id=agent_id, limit=MOST), as_json=as_json, text=_snapshots_text)
    return 0


def _restore(hub: Hub, agent_id: str, commit: str, folder: str | None, branch: str | None, *, as_json: bool) -> int:
    if (folder is None) == (branch is None):
        raise InvalidInput(why="Say where to: --to FOLDER, or --branch NAME.")
    wish: Json = {"branch": branch} if folder is None else {"folder": str(Path(folder).absolute())}
    if commit != "latest":
        wish["commit"] = commit
    told = hub.call("worktree.restore", request_id=new_request_id(), agent_id=agent_id, **wish)
    show(told, as_json=as_json, text=_restored_text)
    return 0 if told["state"] == "done" else 1


def _remove(hub: Hub, agent_id: str, *, as_json: bool) -> int:
    with progress("it is kept and removed", as_json=as_json):
        told = hub.call("worktree.remove", request_id=new_request_id(), agent_id=agent_id)
    show(told, as_json=as_json, text=_removed_text)
    return 0 if told["settled"] else 1


def _drop(hub: Hub, agent_id: str, token: str | None, *, as_json: bool) -> int:
    """In two steps, so that nobody drops what nobody has seen; on a terminal both in one."""
    if token is None:
        listed = hub.call("worktree.drop", request_id=new_request_id(), agent_id=agent_id)
        show(listed, as_json=as_json, text=_listed_text)
        if not listed["snapshots"] or as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            return 0
        if not click.confirm("Let all of these go for good?", err=True):
            return 1
        token = listed["token"]
    dropped = hub.call("worktree.drop", request_id=new_request_id(), agent_id=agent_id, token=token)
    done = _ended(hub, dropped["errand_id"])
    show(done, as_json=as_json, text=lambda told: told["error"] or f"Snapshots and branch of {agent_id} are dropped.")
    return 0 if done["state"] == "done" else 1


def _ended(hub: Hub, errand_id: str) -> Json:
    """The errand, once the journal tells that it is over."""
    for event in hub.events(after=0):
        if event["name"] == "errand.ended" and event["body"]["errand"] == errand_id:
            return hub.ask("worktree.errand", errand_id=errand_id)
    raise Conflict(why=f"Errand {errand_id} has not ended.")


def _worktrees_text(answer: Json) -> str:
    if not answer["worktrees"]:
        return "No agent has a worktree of its own."
    rows = [
        [row["agent_id"], row["name"], row["state"], age(row["snapshot_at"]), row["branch"]]
        for row in answer["worktrees"]
    ]
    troubles = [f"{row['name']}: {whole(row['error'])}" for row in answer["worktrees"] if row["error"]]
    return "\n".join([table(["AGENT", "NAME", "STATE", "KEPT", "BRANCH"], rows), *troubles])


def _snapshots_text(answer: Json) -> str:
    head = f"branch {whole(answer['branch'])}, kept by {whole(answer['ref'])}"
    if not answer["snapshots"]:
        return f"{head}\nThere is no snapshot."
    rows = [
        [one["commit"][:LETTERS], age(one["taken_at"]), one["why"], (one["tip"] or "-")[:LETTERS]]
        for one in answer["snapshots"]
    ]
    return f"{head}\n{table(['SNAPSHOT', 'AGE', 'WHY', 'COMMIT OF ITS OWN'], rows)}"


def _restored_text(told: Json) -> str:
    if told["state"] == "done":
        return f"{told['commit'][:LETTERS]}  {whole(told['folder'] or told['branch'])}"
    return whole(told["error"] or "It is not done yet; `muster events` tells when it is.")


def _removed_text(told: Json) -> str:
    if told["state"] == "removed":
        return f"{whole(told['folder'])} is removed. Branch {whole(told['branch'])} and its snapshots are there."
    return whole(told["error"] or "It is not removed yet.")


def _listed_text(listed: Json) -> str:
    if not listed["snapshots"]:
        return "There is nothing to drop."
    rows = [[one["commit"][:LETTERS], age(one["taken_at"]), one["why"]] for one in listed["snapshots"]]
    note(f"With `--token {listed['token']}` these and the branch {whole(listed['branch'])} are let go for good.")
    return table(["SNAPSHOT", "AGE", "WHY"], rows)
