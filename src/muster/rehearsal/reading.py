"""Reads scenarios from YAML, strictly: an unknown key or a wrong type is refused by its place."""

import math
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TypeVar

import yaml

from muster.errors import BadValue, InvalidInput, MissingField, NotFound, UnknownField, WrongType
from muster.rehearsal.scenario import (
    Call,
    Cut,
    Json,
    Match,
    Mishap,
    Refusal,
    Scenario,
    Script,
    Silence,
    Step,
    Usage,
)
from muster.rehearsal.template import check

T = TypeVar("T")

_KINDS = {str: "text", int: "a whole number", bool: "true or false", list: "a list", dict: "a mapping"}
_MISHAPS = ("status", "cut", "truncate", "silence")


def load_scenario(path: Path) -> Scenario:
    """Read the scenario in a file; `InvalidInput` names the place that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as exc:
        raise NotFound(kind="scenario", id=str(path), hint="Give the path of a YAML file.") from exc
    return parse_scenario(text, where=path.name)


def parse_scenario(text: str, *, where: str = "scenario") -> Scenario:
    """Read a scenario from YAML text; `where` begins the places that errors name."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        raise InvalidInput(why=f"{where}: this is not YAML: {' '.join(str(exc).split())}") from exc
    return _scenario(_Node(content, f"{where}:"))


class _Node:
    """A value of the file together with its place."""

    def __init__(self, value: object, place: str) -> None:
        self.value = value
        self.place = place

    def text(self) -> str:
        return self._as(str)

    def whole(self) -> int:
        number = self._as(int)
        if number < 0:
            raise BadValue(field=self.place, expected="0 or more", got=number)
        return number

    def seconds(self) -> float:
        if not isinstance(self.value, float):
            return float(self.whole())
        if not 0 <= self.value < math.inf:
            raise BadValue(field=self.place, expected="0 or more", got=self.value)
        return self.value

    def items(self) -> "list[_Node]":
        return [_Node(item, f"{self.place}[{index}]") for index, item in enumerate(self._as(list))]

    def fields(self, *known: str) -> "_Fields":
        content = self._as(dict)
        for key in content:
            if key not in known:
                raise UnknownField(verb=self.place, field=key, fields=", ".join(known))
        return _Fields({key: _Node(value, self._below(key)) for key, value in content.items()}, self.place)

    def json(self) -> Json:
        """The value as it stands, if JSON can say it (YAML also knows dates and other keys)."""
        match self.value:
            case None | bool() | int() | float() | str():
                return self.value
            case list():
                return [item.json() for item in self.items()]
            case dict():
                return self.mapping()
        raise self._wrong("a JSON value")

    def mapping(self) -> dict[str, Json]:
        content = self._as(dict)
        return {_Node(key, self.place).text(): _Node(value, self._below(key)).json() for key, value in content.items()}

    def _below(self, key: object) -> str:
        return f"{self.place} {key}" if self.place.endswith(":") else f"{self.place}.{key}"

    def _as(self, kind: type[T]) -> T:
        if not isinstance(self.value, kind) or (kind is int and isinstance(self.value, bool)):
            raise self._wrong(_KINDS[kind])
        return self.value

    def _wrong(self, expected: str) -> WrongType:
        got = "nothing" if self.value is None else _KINDS.get(type(self.value), type(self.value).__name__)
        return WrongType(field=self.place, expected=expected, got=got)


class _Fields:
    """A mapping's values, by names that were checked."""

    def __init__(self, nodes: dict[str, _Node], place: str) -> None:
        self._nodes = nodes
        self.place = place

    def __contains__(self, name: str) -> bool:
        return name in self._nodes

    def need(self, name: str) -> _Node:
        if name not in self._nodes:
            raise MissingField(verb=self.place, field=name)
        return self._nodes[name]

    def take(self, name: str, read: Callable[[_Node], T], default: T) -> T:
        return read(self._nodes[name]) if name in self._nodes else default


def _scenario(node: _Node) -> Scenario:
    fields = node.fields("title", "agents", "fleet", "project")
    scripts = tuple(_script(item, index) for index, item in enumerate(fields.need("agents").items()))
    if not scripts:
        raise BadValue(field=fields.need("agents").place, expected="at least one script", got="none")
    return Scenario(
        scripts=scripts,
        title=fields.take("title", _Node.text, "Rehearsal"),
        fleet=fields.take("fleet", _Node.mapping, {}),
        project=fields.take("project", _files, {}),
    )


def _files(node: _Node) -> dict[str, str]:
    """Files by their path in the project."""
    for path in node.mapping():
        parts = PurePosixPath(path).parts
        if not parts or parts[0] in ("/", ".git") or ".." in parts:
            raise BadValue(field=node.place, expected="paths inside the project", got=path)
    return {name: _Node(text, f"{node.place}.{name}").text() for name, text in node.mapping().items()}


def _script(node: _Node, index: int) -> Script:
    fields = node.fields("name", "match", "steps", "then")
    return Script(
        name=fields.take("name", _Node.text, f"agents[{index}]"),
        match=fields.take("match", _match, Match()),
        steps=tuple(_step(item) for item in fields.need("steps").items()),
        then=fields.take("then", _step, Step(say="done")),
    )


def _match(node: _Node) -> Match:
    fields = node.fields("text", "regex", "system")
    found = Match(
        text=fields.take("text", _Node.text, None),
        regex=fields.take("regex", _regex, None),
        system=fields.take("system", _Node.text, None),
    )
    if found.anyone:
        raise BadValue(field=node.place, expected="text, regex or system", got="none (leave match out for a default)")
    return found


def _regex(node: _Node) -> str:
    try:
        re.compile(node.text())
    except re.error as exc:
        raise BadValue(field=node.place, expected="a regular expression", got=f"{node.value} ({exc})") from exc
    return node.text()


def _step(node: _Node) -> Step:
    fields = node.fields(
        "say", "call", "calls", "hold", "delay_seconds", "chunk_delay_seconds", "usage",
        "status", "retry_after", "body", "cut", "truncate", "silence", "after", "times",
    )  # fmt: skip
    step = Step(
        say=fields.take("say", _template, ""),
        calls=_calls(fields),
        hold=fields.take("hold", _Node.text, None),
        delay_seconds=fields.take("delay_seconds", _Node.seconds, 0.0),
        chunk_delay_seconds=fields.take("chunk_delay_seconds", _Node.seconds, 0.0),
        usage=fields.take("usage", _usage, Usage()),
        mishap=_mishap(fields),
        times=fields.take("times", _Node.whole, None),
    )
    _check_step(step, node.place)
    return step


def _check_step(step: Step, place: str) -> None:
    answers = bool(step.say or step.calls)
    if step.times is not None and step.mishap is None:
        raise BadValue(field=place, expected="status, cut, truncate or silence beside times", got="times alone")
    if isinstance(step.mishap, Cut) and not step.say:
        raise BadValue(field=place, expected="a text to cut", got="a step without say")
    if not answers and (step.mishap is None or step.times is not None or _ends(step.mishap)):
        raise BadValue(field=place, expected="say, call or calls", got="a step without an answer")


def _ends(mishap: Mishap) -> bool:
    return isinstance(mishap, Silence) and mishap.seconds is not None


def _calls(fields: _Fields) -> tuple[Call, ...]:
    if "call" in fields and "calls" in fields:
        raise BadValue(field=fields.place, expected="call or calls", got="both")
    if "call" in fields:
        return (_call(fields.need("call")),)
    return fields.take("calls", lambda node: tuple(_call(item) for item in node.items()), ())


def _call(node: _Node) -> Call:
    fields = node.fields("tool", "arguments")
    return Call(tool=fields.need("tool").text(), arguments=fields.take("arguments", _arguments, {}))


def _arguments(node: _Node) -> dict[str, Json]:
    arguments = node.mapping()
    check(arguments, node.place)
    return arguments


def _template(node: _Node) -> str:
    check(node.text(), node.place)
    return node.text()


def _usage(node: _Node) -> Usage:
    fields = node.fields("input", "output", "reasoning", "cached")
    return Usage(
        input=fields.take("input", _Node.whole, None),
        output=fields.take("output", _Node.whole, None),
        reasoning=fields.take("reasoning", _Node.whole, 0),
        cached=fields.take("cached", _Node.whole, 0),
    )


def _mishap(fields: _Fields) -> Mishap | None:
    given = [name for name in _MISHAPS if name in fields]
    if len(given) > 1:
        raise BadValue(field=fields.place, expected="one of status, cut, truncate, silence", got=" and ".join(given))
    if "status" not in fields and ("retry_after" in fields or "body" in fields):
        raise BadValue(field=fields.place, expected="a status", got="retry_after or body alone")
    if "after" in fields and "silence" not in fields:
        raise BadValue(field=fields.place, expected="a silence", got="after alone")
    match given:
        case ["status"]:
            return _refusal(fields)
        case ["cut"]:
            return Cut(after=fields.need("cut").whole())
        case ["truncate"]:
            return Cut(after=fields.need("truncate").whole(), clean=True)
        case ["silence"]:
            return _silence(fields)
    return None


def _refusal(fields: _Fields) -> Refusal:
    status = fields.need("status")
    if not 400 <= status.whole() <= 599:
        raise BadValue(field=status.place, expected="400 to 599", got=status.value)
    return Refusal(
        status=status.whole(),
        retry_after=fields.take("retry_after", _Node.seconds, None),
        body=fields.take("body", _Node.text, None),
    )


def _silence(fields: _Fields) -> Silence:
    node = fields.need("silence")
    seconds = None if node.value is True else node.seconds()
    return Silence(seconds=seconds, after=fields.take("after", _Node.whole, 0))
