"""One agent's conversation."""

import click

from muster.surfaces.cli.output import Json, json_option, note, show, to_json, whole
from muster.surfaces.cli.text import clock
from muster.surfaces.client import Hub
from muster.visible import visible

ACTIVE = {"queued", "starting", "working"}
OPEN = {"pending", "running"}  # a tool call that has not ended


@click.command()
@click.argument("agent_id", metavar="AGENT")
@click.option("--follow", "is_followed", is_flag=True, help="Go on while the agent is at work.")
@json_option
def logs(agent_id: str, *, is_followed: bool, as_json: bool) -> None:
    """Show an agent's conversation, with its tool calls.

    With --follow and --json each line of the conversation stands on a line of its own.
    """
    hub = Hub.find()
    if is_followed:
        _follow(hub, agent_id, as_json=as_json)
    else:
        answer = hub.ask("agent.log", agent_id=agent_id)
        show(answer, as_json=as_json, text=_text)


def _follow(hub: Hub, agent_id: str, *, as_json: bool) -> None:
    """Every line once it is finished. An event only says that it is worth looking again."""
    cursor = hub.ask("event.list", limit=1)["cursor"]
    told = _tell(hub.ask("agent.log", agent_id=agent_id), 0, as_json=as_json)
    if told is None:
        return
    for _ in hub.events(after=cursor, agent=agent_id):
        told = _tell(hub.ask("agent.log", agent_id=agent_id), told, as_json=as_json)
        if told is None:
            return


def _tell(log: Json, told: int, *, as_json: bool) -> int | None:
    """Print the finished lines behind the first `told`. Returns how many were told; None: no more will come."""
    at_work = log["status"] in ACTIVE
    if log["lines"] is None and not at_work and not told:
        click.echo(to_json(log, indent=None) if as_json else _text(log))
    lines = (log["lines"] or [])[told:]
    for line in _finished(lines) if at_work else lines:
        click.echo(to_json(line, indent=None) if as_json else _line_text(line))
        told += 1
    return told if at_work else None


def _finished(lines: list[Json]) -> list[Json]:
    """Those that grow no more: a text is finished when something stands behind it."""
    finished = []
    for line, is_last in zip(lines, [False] * (len(lines) - 1) + [True], strict=True) if lines else ():
        if line["status"] in OPEN or (is_last and line["role"] == "assistant"):
            break
        finished.append(line)
    return finished


def _text(log: Json) -> str:
    if log["lines"] is not None:
        return "\n".join(map(_line_text, log["lines"])) or "Nothing was said yet."
    note(f"note: only questions and answers: {whole(log['why'] or 'the conversation cannot be read')}")
    return "\n".join(map(_turn_text, log["turns"]))


def _line_text(line: Json) -> str:
    who = visible(line["tool"] or line["role"]) + (f" ({line['status']})" if line["status"] else "")
    return f"{clock(line['at'])}  {who}\n{_indented(line['text'])}"


def _turn_text(turn: Json) -> str:
    asked = f"{clock(turn['sent_at'])}  {turn['kind']}\n{_indented(turn['prompt'])}"
    said = turn["output"] or turn["error"]
    return asked if said is None else f"{asked}\n{clock(turn['ended_at'])}  answer\n{_indented(said)}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in whole(text).strip("\n").split("\n"))
