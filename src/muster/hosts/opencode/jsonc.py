"""JSON with comments, edited in place: what was not asked for keeps every byte.

Read as OpenCode reads its configuration: comments and trailing commas are allowed, of two equal keys the last one
counts. An edit adds, replaces or removes one value; removing what was added gives the text back as it was, but for
white space in a container that was empty.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn  # Any: the values are JSON, which has no finite type

TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+|\A\ufeff)"
    r"|(?P<comment>//[^\r\n]*|/\*.*?\*/)"
    r'|(?P<scalar>"(?:[^"\\\x00-\x1f]|\\.)*"|[-+.\w]+)'
    r"|(?P<sign>[{}\[\],:])",
    re.DOTALL,
)
CLOSES = {"{": "}", "[": "]"}
DEEPEST = 200  # OpenCode's own configuration needs six
WIDTH = 80  # a value that is longer takes several lines

Path = Sequence[str | int]
Span = tuple[int, int, str]  # from, to, and what stands there instead


class BrokenJson(ValueError):
    """Not JSON with comments, or not what was looked for in it."""

    def __init__(self, text: str, at: int, why: str) -> None:
        self.line = text.count("\n", 0, at) + 1
        self.why = why
        super().__init__(f"line {self.line}: {why}")


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it stands: `text[start:end]`."""

    start: int
    end: int
    value: Any
    items: tuple["Item", ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A member or an element. `start` is where its key begins, else its value; `comma` where the one behind it is."""

    key: str | None
    start: int
    node: Node
    comma: int | None


def parse(text: str) -> Any:
    """Raises BrokenJson."""
    return _Document(text).root.value


def put(text: str, path: Path, value: Any) -> str:
    """Set a member or an element: a new member goes to the end of its object, an old one is replaced where it is."""
    document = _Document(text)
    container = document.find(path[:-1])
    old = _item(container, path[-1])
    if old is None and not isinstance(container.value, dict):
        raise BrokenJson(text, container.start, "an object is wanted here")
    if old is None:
        return _applied(text, _addition(document, container, str(path[-1]), value))
    return _applied(text, [(old.node.start, old.node.end, _rendered(value, document, _indent(text, old.start)))])


def append(text: str, path: Path, value: Any) -> str:
    """Add an element to the end of the list that stands at `path`."""
    document = _Document(text)
    container = document.find(path)
    if not isinstance(container.value, list):
        raise BrokenJson(text, container.start, "a list is wanted here")
    return _applied(text, _addition(document, container, None, value))


def remove(text: str, path: Path) -> str:
    """Take a member or an element away, with its comma. Comments beside it stay."""
    document = _Document(text)
    container = document.find(path[:-1])
    item = _item(container, path[-1])
    if item is None:
        raise BrokenJson(text, container.start, f"there is no {path[-1]!r} to remove")
    return _applied(text, _removal(document, container, item))


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


class _Document:
    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        tokens = list(_tokens(text))
        self.solid = [(match.start(), match.end()) for match in tokens]  # all that is not white space
        self.unit = _unit(text)
        self._words = [match for match in tokens if match.lastgroup != "comment"]
        self._next = 0
        self.root = self._value(0)
        if self._next < len(self._words):
            self._fail("nothing may follow the value")

    def find(self, path: Path) -> Node:
        node = self.root
        for step in path:
            item = _item(node, step)
            if item is None:
                raise BrokenJson(self.text, node.start, f"there is no {step!r}")
            node = item.node
        return node

    def end_before(self, at: int) -> tuple[int, bool]:
        """Where the last thing before an offset ends, and whether it is a comment that ends with its line."""
        start, end = self.solid[bisect_right([end for _, end in self.solid], at) - 1]
        return end, self.text.startswith("//", start)

    def _value(self, depth: int) -> Node:
        if depth > DEEPEST:
            self._fail("this is nested too deeply")
        match = self._take("a value")
        if match.lastgroup == "scalar":
            return Node(match.start(), match.end(), self._scalar(match))
        if match[0] not in CLOSES:
            self._fail(f"a value is wanted, not {match[0]!r}", match.start())
        items = self._items(match[0], depth)
        value: Any = [item.node.value for item in items]
        if match[0] == "{":
            value = {item.key: item.node.value for item in items}
        return Node(match.start(), self._words[self._next - 1].end(), value, items)

    def _items(self, opener: str, depth: int) -> tuple[Item, ...]:
        items: list[Item] = []
        while self._peek() != CLOSES[opener]:
            start = self._words[self._next].start() if self._next < len(self._words) else len(self.text)
            key = self._key() if opener == "{" else None
            node = self._value(depth + 1)
            comma = None
            if self._peek() == ",":
                comma = self._take("a comma").start()
            elif self._peek() != CLOSES[opener]:
                self._fail(f"a comma or {CLOSES[opener]!r} is wanted")
            items.append(Item(key, start, node, comma))
        self._next += 1
        return tuple(items)

    def _key(self) -> str:
        match = self._take("a key")
        if not match[0].startswith('"'):
            self._fail("a key in double quotes is wanted", match.start())
        if self._peek() != ":":
            self._fail("a colon is wanted")
        self._next += 1
        return str(self._scalar(match))

    def _scalar(self, match: re.Match[str]) -> Any:
        try:
            return json.loads(match[0], parse_constant=_no_constant)
        except ValueError:
            self._fail(f"{match[0][:40]} is no value", match.start())

    def _peek(self) -> str | None:
        return self._words[self._next][0] if self._next < len(self._words) else None

    def _take(self, wanted: str) -> re.Match[str]:
        if self._next == len(self._words):
            self._fail(f"{wanted} is wanted")
        self._next += 1
        return self._words[self._next - 1]

    def _fail(self, why: str, at: int | None = None) -> NoReturn:
        if at is None:
            at = self._words[self._next].start() if self._next < len(self._words) else len(self.text)
        raise BrokenJson(self.text, at, why)


def _tokens(text: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise BrokenJson(text, at, f"{text[at]!r} does not belong here")
        if match.lastgroup != "space":
            yield match
        at = match.end()


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _item(container: Node, step: str | int) -> Item | None:
    if isinstance(step, int):
        return container.items[step] if step < len(container.items) else None
    return next((item for item in reversed(container.items) if item.key == step), None)


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


def _addition(document: _Document, container: Node, key: str | None, value: Any) -> list[Span]:
    text, closer = document.text, container.end - 1
    outer = _indent(text, container.start)
    at, _ = document.end_before(closer)
    inner = _indent(text, container.items[-1].start) if container.items else outer + document.unit
    several_lines = re.search(r"[\r\n]", text[container.start : closer]) is not None
    if several_lines and len(inner) <= len(outer) and container.items:
        inner = outer + document.unit  # the last one stands on the line that opens the container
    name = "" if key is None else _named(key)
    rendered = name + _rendered(value, document, inner if several_lines or not container.items else outer)
    if not container.items:
        close = "" if several_lines else document.newline + outer
        return [(at, at, document.newline + inner + rendered + close)]
    lead = document.newline + inner if several_lines else " "
    last = container.items[-1]
    if last.comma is not None:
        return [(at, at, f"{lead}{rendered},")]
    return [(last.node.end, last.node.end, ","), (at, at, lead + rendered)]


def _removal(document: _Document, container: Node, item: Item) -> list[Span]:
    text = document.text
    before, ends_line = document.end_before(item.start)
    after = text[item.node.end :] if item.comma is None else text[item.comma + 1 :]
    if ends_line and re.split(r"[\r\n]", after, maxsplit=1)[0].strip():
        before = item.start  # what follows would become part of that comment
    spans: list[Span] = [(before, item.node.end, "")]
    place = container.items.index(item)
    if item.comma is not None:
        spans.append((item.comma, item.comma + 1, ""))
    elif place and (comma := container.items[place - 1].comma) is not None:
        spans.append((comma, comma + 1, ""))
    return spans


def _applied(text: str, spans: list[Span]) -> str:
    """Spans that begin at one place are written in the order in which they are given."""
    parts: list[str] = []
    at = 0
    for start, end, instead in sorted(spans, key=lambda span: span[0]):
        parts += text[at:start], instead
        at = end
    return "".join(parts) + text[at:]


def _rendered(value: Any, document: _Document, indent: str) -> str:
    """On one line where it fits, else with each item on its own."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) <= WIDTH or not isinstance(value, dict | list):
        return flat
    inner = indent + document.unit
    joint = document.newline + inner
    if isinstance(value, dict):
        parts = [_named(key) + _rendered(item, document, inner) for key, item in value.items()]
    else:
        parts = [_rendered(item, document, inner) for item in value]
    opener, closer = "{}" if isinstance(value, dict) else "[]"
    return opener + joint + f",{joint}".join(parts) + document.newline + indent + closer


def _named(key: str) -> str:
    return f"{json.dumps(key, ensure_ascii=False)}: "


def _indent(text: str, at: int) -> str:
    """The white space that begins the line of an offset."""
    line = text[text.rfind("\n", 0, at) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """One step of indentation, as the first indented line has it."""
    found = re.search(r"^([ \t]+)[^\s/*]", text, re.MULTILINE)
    return found[1] if found else "  "
