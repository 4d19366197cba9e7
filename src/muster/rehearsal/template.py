r"""Values that a step takes from the conversation.

    ${spawn_fleet.fleet_id}      a path into the latest result of a tool, found by name or its end
    ${list.items[0].id}          lists by index, -1 is the last
    ${bash}                      the whole result: JSON if it is JSON, else text
    ${user}                      the latest user message
    ${user ~ msg_(\w+)}          the first group (else the match) of a regular expression; no `}` in it
    $${                          a plain `${`

A string that is one reference keeps the value's JSON type; inside other text a value is written out.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from muster.errors import InvalidInput
from muster.rehearsal.conversation import Conversation
from muster.rehearsal.scenario import Json

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}")
_FORM = re.compile(r"\s*([\w-]+)((?:\.[\w-]+|\[-?\d+\])*)\s*(?:~\s*(.+?)\s*)?")
_KEY = re.compile(r"\.([\w-]+)|\[(-?\d+)\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    words: str
    source: str
    path: tuple[str, ...]
    pattern: str | None


def check(value: Json, place: str) -> None:
    """Refuse references that are malformed, before anything is played."""
    match value:
        case str():
            _check_text(value, place)
        case list():
            for item in value:
                check(item, place)
        case dict():
            for key, item in value.items():
                check(item, f"{place}.{key}")


def fill(value: Json, conversation: Conversation) -> Json:
    """The value with its references resolved; `InvalidInput` if one has nothing to refer to."""
    match value:
        case str():
            whole = _REFERENCE.fullmatch(value)
            if whole and whole[1] is not None:
                return _resolve(_parse(whole[1], "step"), conversation)
            return fill_text(value, conversation)
        case list():
            return [fill(item, conversation) for item in value]
        case dict():
            return {key: fill(item, conversation) for key, item in value.items()}
    return value


def fill_text(text: str, conversation: Conversation) -> str:
    """The text with its references written out."""

    def written(found: re.Match[str]) -> str:
        if found[1] is None:
            return "${"
        return _written(_resolve(_parse(found[1], "step"), conversation))

    return _REFERENCE.sub(written, text)


def matching(name: str, offered: Sequence[str]) -> list[str]:
    """The names that `name` may mean: itself, else those that end in it after an underscore (MCP prefixes)."""
    if name in offered:
        return [name]
    return sorted({each for each in offered if each.endswith(f"_{name}")})


def _check_text(text: str, place: str) -> None:
    for found in _REFERENCE.finditer(text):
        if found[1] is not None:
            _parse(found[1], place)
    if "${" in _REFERENCE.sub("", text):
        raise InvalidInput(why=f"{place}: a ${{ is not closed; write $${{ for the characters themselves")


def _parse(words: str, place: str) -> _Reference:
    found = _FORM.fullmatch(words)
    if found is None:
        raise InvalidInput(
            why=f"{place}: ${{{words}}} is not a reference such as ${{tool.path[0]}} or ${{user ~ regex}}"
        )
    if found[3] is not None:
        _compiled(found[3], place)
    path = tuple(name or index for name, index in _KEY.findall(found[2]))
    return _Reference(words=words, source=found[1], path=path, pattern=found[3])


def _compiled(pattern: str, place: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as exc:
        raise InvalidInput(why=f"{place}: {pattern} is not a regular expression: {exc}") from exc


def _resolve(reference: _Reference, conversation: Conversation) -> Json:
    if reference.source == "user":
        texts = conversation.users[::-1]
    else:
        texts = _results(reference, conversation)
    if not texts:
        raise _unresolved(reference, "nothing of that name stands in the conversation yet")
    if reference.pattern is None:
        return _at_path(texts[0], reference)
    return _searched(texts if reference.source == "user" else texts[:1], reference)


def _results(reference: _Reference, conversation: Conversation) -> tuple[str, ...]:
    names = matching(reference.source, [name for name, _ in conversation.results])
    if len(names) > 1:
        raise _unresolved(reference, f"it may mean {', '.join(names)}")
    return tuple(text for name, text in reversed(conversation.results) if name in names)


def _searched(texts: Sequence[str], reference: _Reference) -> str:
    pattern = _compiled(reference.pattern or "", "step")
    for text in texts:
        found = pattern.search(_written(_at_path(text, reference)))
        if found:
            return str(found[1] if pattern.groups else found[0])
    raise _unresolved(reference, f"no match in {_short(texts[0])}")


def _at_path(text: str, reference: _Reference) -> Json:
    if not reference.path:
        return text if reference.source == "user" else _value(text)
    value = _value(text)
    if isinstance(value, str):
        value = _embedded(value)
    for key in reference.path:
        value = _below(value, key, reference)
    return value


def _below(value: Json, key: str, reference: _Reference) -> Json:
    match value:
        case dict() if key in value:
            return value[key]
        case list() if key.lstrip("-").isdecimal() and -len(value) <= int(key) < len(value):
            return value[int(key)]
    raise _unresolved(reference, f"there is no {key} in {_short(_written(value))}")


def _value(text: str) -> Json:
    """A result as JSON, out of its MCP wrapping; else the text."""
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    match value:
        case {"structuredContent": dict() as content}:
            return content
        case {"content": [{"type": "text", "text": str() as inner}, *_]}:
            return _value(inner)
    return value


def _embedded(text: str) -> Json:
    """The first JSON object within prose; else the text."""
    decoder = json.JSONDecoder()
    for brace in re.finditer(r"[{\[]", text):
        try:
            value: Json = decoder.raw_decode(text, brace.start())[0]
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return text


def _written(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return repr(text if len(text) <= 200 else text[:200] + "…")


def _unresolved(reference: _Reference, why: str) -> InvalidInput:
    return InvalidInput(why=f"${{{reference.words}}} cannot be resolved: {why}")
