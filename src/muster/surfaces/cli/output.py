"""What is said, and where: the answer to standard output, everything else to standard error."""

import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any  # answers are JSON

import click

from muster.visible import HIDDEN, WHOLE, visible

Json = dict[str, Any]

json_option = click.option("--json", "as_json", is_flag=True, help="Print the hub's answer as JSON.")


def show(answer: Json, *, as_json: bool, text: Callable[[Json], str]) -> None:
    """An answer, for a program or for a person."""
    click.echo(to_json(answer) if as_json else text(answer))


def to_json(answer: Mapping[str, Any], indent: int | None = 2) -> str:
    """JSON that a terminal can bear: what could steer it is written as an escape, which means the same to a reader."""
    text = json.dumps(answer, indent=indent, ensure_ascii=False)
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(_escaped(letter) if unicodedata.category(letter) in HIDDEN else letter for letter in text)


def whole(text: str) -> str:
    """A text with its lines, and nothing else that could steer a terminal."""
    return visible(text.replace("\r\n", "\n"), limit=None, keep=WHOLE)


def note(text: str) -> None:
    """Something beside the answer."""
    click.echo(text, err=True)


def say_error(told: Mapping[str, Any], *, as_json: bool) -> None:
    """An error in the shape that it has everywhere, or as two lines."""
    if as_json:
        click.echo(to_json(told, indent=None), err=True)
        return
    error = told["error"]
    click.echo(f"muster: {whole(error['message'])}\nnext: {whole(error['next'])}", err=True)


def _escaped(letter: str) -> str:
    return letter if letter == "\n" else json.dumps(letter)[1:-1]
