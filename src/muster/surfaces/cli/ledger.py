"""`muster verify`: whether the ledger is what was written."""

import os
from pathlib import Path

import click

from muster import config
from muster.home import Home
from muster.surfaces.cli.output import Json, json_option, show
from muster.surfaces.cli.progress import progress
from muster.surfaces.cli.text import table
from muster.surfaces.client import Hub
from muster.visible import visible

SOMEBODY = ("MUSTER_TOKEN", "MUSTER_AGENT_TOKEN", "MUSTER_SERVER")  # the hub knows who that is, and what is theirs


@click.command(short_help="Look for what nobody can have written through Muster.")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--head", metavar="CURSOR:HASH", help="A head that was noted earlier: was anything before it changed?")
@json_option
def verify(file: Path | None, head: str | None, *, as_json: bool) -> int:
    """Audit the ledger, while a hub works on it or not; or a copy of it in FILE, which stays as it is.

    Each finding is explained. Exits with 1 where there are errors. Note the head that it prints where nobody writes: a
    later `--head` shows whether anything before it was changed, also where all hashes were made anew.
    """
    with progress("verifying", as_json=as_json):
        told = _audited(file, head)
    show(told, as_json=as_json, text=lambda answer: _text(answer, head))
    return 0 if told["ok"] else 1


def _audited(file: Path | None, head: str | None) -> Json:
    """The operator's own look is made here, also beside a hub: however long it takes, the hub is not slowed by it."""
    from muster.ledger import audit_file  # noqa: PLC0415 - libraries that no other command needs

    if file is None and any(os.environ.get(name) for name in SOMEBODY):
        return Hub.find().ask("ledger.verify", **({} if head is None else {"head": head}))
    return audit_file(file or Home(folder=config.state_folder()).database, head)


def _text(told: Json, head: str | None) -> str:
    rows = [[one["severity"], one["check"], one["subject"]] for one in told["findings"]]
    found = table(("", "check", "subject"), rows).splitlines()[1:] if rows else []
    lines = [
        line
        for row, one in zip(found, told["findings"], strict=True)
        for line in (row, f"    {visible(one['detail'], limit=None)}")
    ]
    lines += [f"and {told['more']:,} more"] * bool(told["more"])
    counted = ", ".join(f"{what} {number:,}" for what, number in told["counts"].items() if number) or "nothing"
    lines.append(f"{_verdict(told, head)} ({counted})")
    return "\n".join([*lines, f"head  {told['head']['cursor']}:{told['head']['hash']}"])


def _verdict(told: Json, head: str | None) -> str:
    if told["errors"] or told["warnings"]:
        return f"{told['errors']:,} errors, {told['warnings']:,} warnings"
    return "sound" if head is None else f"sound, and up to entry {head.partition(':')[0]} what it was"
