"""What agents wait for, and the operator's answers."""

import sys

import click

from muster.errors import Conflict, InvalidInput
from muster.surfaces.cli.fleets import new_request_id
from muster.surfaces.cli.output import Json, json_option, show, whole
from muster.surfaces.cli.text import age
from muster.surfaces.client import Hub
from muster.visible import visible

MOST = 500
LETTERS = 400  # of a permission's pattern that are shown; --json has it whole


@click.command()
@click.argument("ask_id", metavar="[ASK]", required=False)
@click.option("--allow", "is_allowed", is_flag=True, help="Grant the permission, this time only.")
@click.option("--refuse", metavar="WHY", help='Refuse; the agent is told why ("" for no reason).')
@click.option("--say", "said", metavar="TEXT", multiple=True, help="Answer a question; once for each, in order.")
@json_option
def answer(ask_id: str | None, refuse: str | None, said: tuple[str, ...], *, is_allowed: bool, as_json: bool) -> int:
    """Answer an agent that waits for a permission or asks a question; without ASK, list what waits.

    On a terminal, ASK alone shows it and asks you. Exit code 1: the agent waited no longer.
    """
    hub = Hub.find()
    if ask_id is None:
        if is_allowed or said or refuse is not None:
            raise InvalidInput(why="Name the ask that is answered. `muster answer` lists what waits.")
        show(hub.ask("ask.list", limit=MOST), as_json=as_json, text=_list_text)
        return 0
    how = _given(refuse, said, is_allowed=is_allowed) or _asked(hub, ask_id)
    told = hub.call("ask.answer", request_id=new_request_id(), ask_id=ask_id, **how)
    show(told, as_json=as_json, text=_answered_text)
    return 0 if told["state"] == "delivered" else 1


def waiting_text(asks: list[Json]) -> str:
    """One line for each agent that waits, and how to answer it."""
    lines = [f"{visible(ask['name'])} waits: {_wanted(ask)}  (muster answer {ask['ask_id']})" for ask in asks]
    return "\n".join(lines)


def _given(refuse: str | None, said: tuple[str, ...], *, is_allowed: bool) -> Json | None:
    """The answer that the options hold; None where they hold none."""
    hows: list[Json] = [{"allow": True}] * is_allowed
    if refuse is not None:
        hows.append({"allow": False, "sentence": refuse} if refuse else {"allow": False})
    if said:
        hows.append({"answers": list(said)})
    if len(hows) > 1:
        raise InvalidInput(why="Give one of --allow, --refuse and --say.")
    return hows[0] if hows else None


def _asked(hub: Hub, ask_id: str) -> Json:
    """The answer of the person at the terminal."""
    found = [ask for ask in hub.ask("ask.list", limit=MOST)["asks"] if ask["ask_id"] == ask_id]
    if not found:
        brief = hub.ask("ask.brief", ask_id=ask_id)
        raise Conflict(why=f"Ask {ask_id} does not wait: it is {brief['answer'] or brief['state']}.")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InvalidInput(why="Say how: --allow, --refuse WHY, or --say TEXT.")
    (ask,) = found
    click.echo(_ask_text(ask), err=True)
    if ask["kind"] == "question":
        return {"answers": [_prompted(question) for question in ask["questions"]]}
    if click.confirm("Allow it this once?", err=True):
        return {"allow": True}
    why = click.prompt("Why not (empty: no reason)", default="", show_default=False, err=True)
    return {"allow": False} | ({"sentence": why} if why else {})


def _prompted(question: Json) -> str:
    return str(click.prompt(visible(question["question"], limit=None), err=True))


def _list_text(answer: Json) -> str:
    if not answer["asks"]:
        return "Nobody waits for an answer."
    return "\n\n".join(_ask_text(ask) for ask in reversed(answer["asks"]))


def _ask_text(ask: Json) -> str:
    """Who wants what, whole, since when; the options of a question."""
    head = f"{ask['ask_id']}  {visible(ask['name'])} in {ask['fleet_id']}  since {age(ask['asked_at'])}"
    if ask["kind"] == "permission":
        return f"{head}\n  {visible(ask['what'])}: {_indented(ask['pattern'][:LETTERS])}"
    lines = [head]
    for question in ask["questions"]:
        lines.append(f"  {_indented(question['question'])}{' (several)' if question['multiple'] else ''}")
        lines += [f"    - {visible(one['label'])}: {visible(one['description'])}" for one in question["options"]]
    return "\n".join(lines)


def _wanted(ask: Json) -> str:
    """On one line."""
    return visible(ask["what"] if ask["kind"] == "question" else f"{ask['what']} {ask['pattern']}", limit=80)


def _indented(text: str) -> str:
    return whole(text).replace("\n", "\n    ")


def _answered_text(told: Json) -> str:
    if told["state"] == "gone":
        return f"{told['ask_id']}  gone: the agent waited no longer"
    return f"{told['ask_id']}  {told['answer']}" + ("" if told["settled"] else "  (the agent is yet to be told)")
