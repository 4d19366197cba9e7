"""Fleets: spawned, listed, waited for, cancelled."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from muster.errors import BadValue, InvalidInput, NotFound
from muster.surfaces.cli.output import Json, json_option, note, show, whole
from muster.surfaces.cli.progress import Progress, progress
from muster.surfaces.cli.text import age, count, counts, duration, money, spent, table
from muster.surfaces.client import Hub
from muster.visible import visible

SLICE_SECONDS = 600.0  # of waiting, in one call
WATCHED_SLICE_SECONDS = 2.0  # where somebody looks at the progress
LONGEST_SECONDS = 3600.0
FILES_NAMED = 8
ACTIVE = {"queued", "starting", "working"}

persona_option = click.option("--agent", "persona", metavar="PERSONA", help="The persona; `muster agents list`.")
model_option = click.option("--model", metavar="PROVIDER/MODEL", help="The model; else the persona's own.")
max_turns_option = click.option(
    "--max-turns", type=int, metavar="N", help="Model requests that all of them may make; 0 = no limit."
)
max_tokens_option = click.option(
    "--max-tokens", type=int, metavar="N", help="Tokens that all of them may use; 0 = no limit."
)
max_seconds_option = click.option("--max-seconds", type=int, metavar="N", help="How long they may work; 0 = no limit.")
project_option = click.option("--project", type=click.Path(), metavar="DIR", help="Where the agents work; else here.")
wait_option = click.option("--wait", "is_waited_for", is_flag=True, help="Wait, and print what each agent answered.")


@click.group()
def fleet() -> None:
    """Agents with one purpose, at work in parallel."""


@fleet.command()
@click.argument("tasks", metavar="[ROLE=PROMPT]...", nargs=-1)
@persona_option
@model_option
@click.option("--name", help="What the fleet is called; else its first roles.")
@max_turns_option
@max_tokens_option
@max_seconds_option
@project_option
@click.option("--worktree/--shared", "worktree", default=None, help="Each in an own worktree, or all in one checkout.")
@click.option(
    "--file", "file", metavar="FILE", help='JSON: {"agents": […]} or a list of agents; - reads it from stdin.'
)
@wait_option
@json_option
def spawn(
    tasks: tuple[str, ...],
    persona: str | None,
    model: str | None,
    name: str | None,
    project: str | None,
    file: str | None,
    *,
    worktree: bool | None,
    is_waited_for: bool,
    as_json: bool,
    **ceilings: int | None,
) -> int:
    """Start one agent for each ROLE=PROMPT. ROLE=@FILE reads the prompt from a file, ROLE=@- from stdin.

    --agent, --model and --worktree are those of every agent given as ROLE=PROMPT. With --wait the exit code is that of
    `muster fleet wait`.
    """
    wish = _from_file(file) if file is not None else {"agents": []}
    own = given(worktree=worktree)
    wish["agents"] = wish["agents"] + [wished(task, persona, model) | own for task in tasks]
    if not wish["agents"]:
        raise InvalidInput(why="No agent was asked for: give ROLE=PROMPT, or --file.")
    wish |= given(name=name, project=absolute(project))
    if budget := given(**ceilings):
        wish["budget"] = wish.get("budget", {}) | budget
    hub = Hub.find()
    spawned = hub.call("fleet.spawn", request_id=new_request_id(), **wish)
    if is_waited_for:
        return wait_for_spawned(hub, spawned, as_json=as_json)
    show_spawned(spawned, [agent["role"] for agent in wish["agents"]], as_json=as_json)
    return 0


@fleet.command("list")
@click.option("--status", help="Only fleets that are running, paused, complete, failed or cancelled.")
@click.option("--limit", type=int, default=50, show_default=True, help="At most so many.")
@json_option
def list_(status: str | None, limit: int, *, as_json: bool) -> None:
    """List fleets, newest first."""
    show(Hub.find().ask("fleet.list", limit=limit, **given(status=status)), as_json=as_json, text=fleets_text)


@fleet.command()
@click.argument("fleet_id", metavar="[FLEET]", required=False)
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than this.")
@click.option("--any", "any_one", is_flag=True, help="Wait only until one more agent is through.")
@json_option
def wait(fleet_id: str | None, timeout: float | None, *, any_one: bool, as_json: bool) -> int:
    """Wait for a fleet (the newest one, unless it is named) and print what each agent answered, in order.

    Exit code 0: the fleet is complete (with --any: one more agent is through, and nothing failed). 1: it failed, is
    paused or was cancelled, or the time was up.
    """
    hub = Hub.find()
    return _wait(hub, fleet_id or newest(hub), timeout=timeout, until="any" if any_one else "all", as_json=as_json)


@fleet.command()
@click.argument("fleet_id", metavar="[FLEET]", required=False)
@click.option("--reason", help="Why; told with the fleet.")
@json_option
def cancel(fleet_id: str | None, reason: str | None, *, as_json: bool) -> int:
    """End a fleet for good (the one that runs, unless it is named). What was said so far is kept."""
    hub = Hub.find()
    fleet_id = fleet_id or _only_running(hub)
    with progress("its agents end", as_json=as_json):
        answer = hub.call("fleet.cancel", request_id=new_request_id(), fleet_id=fleet_id, **given(reason=reason))
    show(answer, as_json=as_json, text=ended_text)
    return 0 if answer["settled"] else 1


@fleet.command()
@click.argument("fleet_id", metavar="FLEET")
@click.argument("task", metavar="ROLE=PROMPT")
@persona_option
@model_option
@click.option("--name", help="What the agent is called; else its role.")
@json_option
def attach(
    fleet_id: str, task: str, persona: str | None, model: str | None, name: str | None, *, as_json: bool
) -> None:
    """Add an agent to a fleet, at work or quiet."""
    wish = wished(task, persona, model) | given(name=name)
    answer = Hub.find().call("agent.attach", request_id=new_request_id(), fleet_id=fleet_id, **wish)
    show(answer, as_json=as_json, text=lambda told: f"{told['agent_id']}  {visible(told['name'])}")


def absolute(folder: str | None) -> str | None:
    """A folder as the hub must be told it, which stands elsewhere."""
    return None if folder is None else str(Path(folder).absolute())


def new_request_id() -> str:
    """Makes a call that is sent again one call."""
    return os.urandom(16).hex()


def wished(task: str, persona: str | None, model: str | None) -> Json:
    """`ROLE=PROMPT` as an agent."""
    role, parted, prompt = task.partition("=")
    if not parted:
        raise BadValue(field="ROLE=PROMPT", expected="a role, =, and a prompt", got=visible(task, limit=60))
    return {"role": role, "prompt": text_told(prompt)} | given(agent=persona, model=model)


def text_told(text: str) -> str:
    """What stands on a command line, or with `@` before it in a file; `@@` at the beginning stands for `@`."""
    if text.startswith("@@"):
        return text[1:]
    return read_text(text[1:]) if text.startswith("@") else text


def newest(hub: Hub) -> str:
    """The fleet that is meant where none is named; said on standard error."""
    found = hub.ask("fleet.list", limit=1)["fleets"]
    if not found:
        raise NotFound(kind="fleet", id="yet", hint="Spawn one: muster fleet spawn ROLE=PROMPT.")
    note(f"fleet {found[0]['fleet_id']}, the newest ({visible(found[0]['name'])})")
    return str(found[0]["fleet_id"])


def show_spawned(spawned: Json, roles: Sequence[str], *, as_json: bool) -> None:
    """A fleet that was spawned, with its agents by their roles."""
    _say_notes(spawned)
    rows = [f"  {agent}  {visible(role)}" for agent, role in zip(spawned["agent_ids"], roles, strict=True)]
    show(spawned, as_json=as_json, text=lambda answer: "\n".join([answer["fleet_id"], *rows]))


def wait_for_spawned(hub: Hub, spawned: Json, *, as_json: bool) -> int:
    """Print what each agent of a fleet that was spawned answered, once it is through. Returns the exit code."""
    _say_notes(spawned)
    note(f"note: {spawned['fleet_id']} is at work; Ctrl-C leaves it so, `muster fleet cancel` ends it")
    return _wait(hub, spawned["fleet_id"], timeout=None, until="all", as_json=as_json)


def fleets_text(answer: Json) -> str:
    if not answer["fleets"]:
        return "No fleets."
    head = ["FLEET", "STATUS", "AGENTS", "TOKENS", "COST", "AGE", "NAME", "PROJECT"]
    rows = [
        [row["fleet_id"], row["status"], counts(row["agents"]), count(row["tokens"]), money(row["cost_usd"]),
         age(row["created_at"]), row["name"], row["project"]]
        for row in answer["fleets"]
    ]  # fmt: skip
    return table(head, rows, right=frozenset({"TOKENS", "COST", "AGE"}))


def ended_text(answer: Json) -> str:
    name = answer.get("agent_id") or answer["fleet_id"]
    return f"{name}  {answer['status']}" + ("" if answer["settled"] else "  (still ending)")


def _say_notes(spawned: Json) -> None:
    for said in spawned["notes"]:
        note(f"note: {whole(said)}")


def _only_running(hub: Hub) -> str:
    found = [row["fleet_id"] for row in hub.ask("fleet.list", status="running", limit=2)["fleets"]]
    if len(found) != 1:
        what = "none runs" if not found else "more than one runs"
        raise InvalidInput(why=f"Name the fleet: {what}. `muster fleet list` shows them.")
    note(f"fleet {found[0]}, the only one that runs")
    return str(found[0])


# ── waiting ──────────────────────────────────────────────────────────────────────────────────────


def _wait(hub: Hub, fleet_id: str, *, timeout: float | None, until: str, as_json: bool) -> int:
    with progress("agents through", as_json=as_json) as shown:
        answer = _waited(hub, fleet_id, timeout, until, shown)
    show(answer, as_json=as_json, text=results_text)
    if not answer["settled"]:
        note(f"Not through within {timeout:g} s; `muster fleet wait {fleet_id}` waits on.")
        return 1
    return 0 if answer["status"] in {"complete", "running"} else 1


def _waited(hub: Hub, fleet_id: str, timeout: float | None, until: str, shown: Progress) -> Json:
    """In slices, so that there is something to show meanwhile, and no longest wait."""
    deadline = None if timeout is None else time.monotonic() + timeout
    piece = WATCHED_SLICE_SECONDS if sys.stderr.isatty() else SLICE_SECONDS
    piece = LONGEST_SECONDS if until == "any" else piece  # `any` counts from the beginning of a call
    while True:
        left = piece if deadline is None else max(0.0, deadline - time.monotonic())
        answer = hub.ask("fleet.wait", fleet_id=fleet_id, timeout_seconds=min(left, piece), until=until)
        if answer["settled"] or (left <= piece and deadline is not None):
            return answer
        through = sum(result["status"] not in ACTIVE for result in answer["results"])
        shown.of(through, len(answer["results"]))


def results_text(answer: Json) -> str:
    """Every agent's output, whole, then the fleet on one line."""
    results = answer["results"]
    longest = max((result["duration_ms"] or 0 for result in results), default=0)
    statuses = counts(Counter(result["status"] for result in results))
    return "\n\n".join(
        [*map(_result_text, results), f"{answer['fleet_id']}  {answer['status']}  {statuses}  {duration(longest)}"]
    )


def _result_text(result: Json) -> str:
    took = [duration(result["duration_ms"])] if result["duration_ms"] is not None else []
    head = " · ".join([visible(result["name"]), result["status"], *took, *spent(result)])
    body = whole(result["output"].rstrip("\n")) if result["output"] else "(no output)"
    if result["partial"]:
        body += "\n(cut off here)"
    if result["error"]:
        body += f"\nerror: {whole(result['error'])}"
    if result["merge"]:
        body += f"\n{_landed_text(result)}"
    return f"── {head}\n{body}"


def _landed_text(result: Json) -> str:
    """What came of landing its work, on a line or two."""
    merge, facts = result["merge"], result["merge"]["facts"]
    if merge["state"] == "empty":
        return "(nothing to land)"
    names = ", ".join(map(visible, merge["files"][:FILES_NAMED]))
    rest = len(merge["files"]) + facts.get("more", 0) - FILES_NAMED
    files = f": {names}{f' and {rest} more' if rest > 0 else ''}" if names else ""
    why = f"\n{whole(facts['why'])}\nnext: {whole(facts['next'])}" if "why" in facts else ""
    return f"{merge['state']}{files}{why}"


# ── reading what is wished ───────────────────────────────────────────────────────────────────────


def _from_file(name: str) -> Json:
    try:
        parsed = json.loads(read_text(name))
    except ValueError as error:
        raise InvalidInput(why=f"{name} is not JSON: {error}.") from error
    wish = {"agents": parsed} if isinstance(parsed, list) else parsed
    if not isinstance(wish, dict) or not isinstance(wish.get("agents"), list):
        raise InvalidInput(why=f'{name} is neither a list of agents nor {{"agents": […]}}.')
    return wish


def read_text(name: str) -> str:
    """A file's text; `-` is standard input."""
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(why=f"{name} cannot be read: {error}.") from error


def given(**options: object) -> Json:
    """Those of the options that were given."""
    return {name: value for name, value in options.items() if value is not None}
