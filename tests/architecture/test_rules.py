"""Rules of the house that a reader would have to check in every file, so a machine does."""

import ast
import re
from collections.abc import Iterator

import pytest

from architecture.source import Module, dotted, functions, imported, length, modules, snippet, within

MODULE_LINES = 400
DOOR_LINES = 440  # the stdio door is one file, whatever it knows (docs/decisions/0009)
FUNCTION_LINES = 60
# A migration is history: a list of what was created then, which nobody edits again.
UNMEASURED = "muster.store.migrations"

# Where a command or a transition could wait, act or be surprised.
IMPURE = {
    "anyio", "asyncio", "concurrent", "http", "httpx2", "multiprocessing", "os", "psutil", "random", "secrets",
    "select", "shutil", "signal", "socket", "subprocess", "tempfile", "threading", "time", "urllib", "uuid",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}

# The reconciler guard, the surface's last resort, main; and the store's threads, which hand every error to who waits.
CATCHES_ALL = {
    *("muster.reconcilers.queue", "muster.surfaces.http", "muster.__main__"),
    *("muster.store.readers", "muster.store.writer"),
}

NO_IDEA = {
    "manager", "managers", "helper", "helpers", "util", "utils", "common", "misc", "service", "services",
    "handler", "handlers", "core", "shared", "base", "info",
}  # fmt: skip
# Names given from outside: the base of a merge or a branch, in git's words.
FOREIGN_NAMES = {"merge_base", "base_of"}

DATABASES = {"sqlalchemy", "alembic", "sqlite3", "psycopg"}
SQL = re.compile(
    r"^\s*(select\s.+\sfrom\s|insert\s+(or\s+\w+\s+)?into\s|update\s+\S+\s+set\s|delete\s+from\s|pragma\s+\w+"
    r"|(create|alter|drop)\s+(unique\s+)?(table|index|trigger|view)\s|begin\s+(immediate|exclusive|deferred)"
    r"|savepoint\s|rollback\s+to\s|release\s+savepoint\s)",
    re.DOTALL,
)

STDIO = {
    "__future__", "_json", "_random", "_socket", "_thread", "errno", "fcntl", "json", "os", "posix", "select",
    "signal", "socket", "sys", "time",
}  # fmt: skip


def waiting_commands(module: Module) -> Iterator[str]:
    """A command cannot await, so it causes no effect."""
    if not within(module.name, "muster.commands"):
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{module.at(node.lineno)}: a command is synchronous. Let a reconciler do what has to wait."


def impure_decisions(module: Module) -> Iterator[str]:
    """Commands and transitions know no clock, no chance and no outside: `now` and ids are handed in."""
    if not any(within(module.name, layer) for layer in ("muster.model", "muster.commands")):
        return
    for line, name, _ in imported(module):
        if name.partition(".")[0] in IMPURE:
            yield f"{module.at(line)}: imports {name}. What it needs of the outside is read before and handed in."
    for node in ast.walk(module.tree):
        spoken = dotted(node.func) if isinstance(node, ast.Call) else ""
        if spoken.split(".")[0] in {"datetime", "date"} and spoken.rpartition(".")[2] in CLOCKS:
            yield f"{module.at(node.lineno)}: reads the clock with {spoken}. Take `now` as an argument."


def loose_records(module: Module) -> Iterator[str]:
    """A record is frozen, has slots, and is built by keyword."""
    if not within(module.name, "muster.model"):
        return
    for node in ast.walk(module.tree):
        for mark in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            name = dotted(mark.func if isinstance(mark, ast.Call) else mark)
            given = {word.arg for word in mark.keywords if _true(word.value)} if isinstance(mark, ast.Call) else set()
            if name.endswith("dataclass") and (absent := {"frozen", "slots", "kw_only"} - given):
                yield f"{module.at(node.lineno)}: {node.name} lacks {', '.join(sorted(absent))} = True."


def broad_catches(module: Module) -> Iterator[str]:
    """Few places may catch what they cannot name; undoing something and raising on is no catch."""
    if module.name in CATCHES_ALL:
        return
    for node in ast.walk(module.tree):
        match node:
            case ast.ExceptHandler(body=[*_, ast.Raise(exc=None)]):
                continue
            case ast.ExceptHandler(type=kind) if kind is None or _everything(kind):
                yield f"{module.at(node.lineno)}: catches everything. Only {', '.join(sorted(CATCHES_ALL))} may."
            case ast.Call(func=function, args=args) if dotted(function).endswith("suppress") and any(
                map(_everything, args)
            ):
                yield f"{module.at(node.lineno)}: suppresses everything. Name the exception."


def empty_names(module: Module) -> Iterator[str]:
    """A name that says nothing belongs to a thing that has no idea of its own yet."""
    own = module.name.rpartition(".")[2]
    if _words(own) & NO_IDEA:
        yield f"{module.at(1)}: the module's name says nothing ({', '.join(sorted(_words(own) & NO_IDEA))})."
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if (said := _words(node.name) & NO_IDEA) and node.name.strip("_") not in FOREIGN_NAMES:
            yield f"{module.at(node.lineno)}: {node.name} says nothing ({', '.join(sorted(said))})."


def stray_sql(module: Module) -> Iterator[str]:
    """All SQL is behind one door."""
    if within(module.name, "muster.store"):
        return
    for line, name, _ in imported(module):
        if name.partition(".")[0] in DATABASES:
            yield f"{module.at(line)}: imports {name}. Only muster.store speaks to a database."
    parts = {id(part) for node in ast.walk(module.tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(module.tree):
        if id(node) not in parts and SQL.match(_lower_keywords(_text(node))):
            yield f"{module.at(getattr(node, 'lineno', 1))}: holds SQL. It belongs in muster.store."


def heavy_stdio(module: Module) -> Iterator[str]:
    """The stdio door is one file that starts in milliseconds, without site-packages."""
    if module.name != "muster.surfaces.stdio":
        return
    for line, name, _ in imported(module):
        if name.partition(".")[0] not in STDIO and line not in _for_the_checker_alone(module):
            yield f"{module.at(line)}: imports {name}. Allowed here: {', '.join(sorted(STDIO))}."


def long_modules(module: Module) -> Iterator[str]:
    lines = len(module.text.splitlines())
    most = DOOR_LINES if module.name == "muster.surfaces.stdio" else MODULE_LINES
    if lines > most and not within(module.name, UNMEASURED):
        yield f"{module.at(lines)}: {lines} lines, at most {most}. Something wants to be its own idea."


def long_functions(module: Module) -> Iterator[str]:
    for function in functions(module):
        lines = length(function)
        if lines > FUNCTION_LINES and not within(module.name, UNMEASURED):
            yield f"{module.at(function.lineno)}: {function.name} has {lines} lines, at most {FUNCTION_LINES}."


def _for_the_checker_alone(module: Module) -> set[int]:
    """Lines that never run: the body of `if TYPE_CHECKING`."""
    checks = [node for node in module.tree.body if isinstance(node, ast.If) and dotted(node.test) == "TYPE_CHECKING"]
    return {statement.lineno for check in checks for statement in check.body}


def _true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _everything(node: ast.expr) -> bool:
    kinds = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(dotted(kind).rpartition(".")[2] in {"Exception", "BaseException"} for kind in kinds)


def _words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def _text(node: ast.AST) -> str:
    match node:
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "x" for part in parts)
        case ast.Constant(value=str(text)):
            return text
    return ""


def _lower_keywords(text: str) -> str:
    """Keywords are all upper or all lower case; `Select one from the list` is a sentence."""
    return re.sub(r"\b[A-Z]+\b", lambda word: word[0].lower(), text)


CHECKS = (
    waiting_commands,
    impure_decisions,
    loose_records,
    broad_catches,
    empty_names,
    stray_sql,
    heavy_stdio,
    long_modules,
    long_functions,
)

BREACHES = [
    (waiting_commands, "muster.commands.tasks", "async def claim(): ..."),
    (waiting_commands, "muster.commands.tasks", "claimed = await claim()"),
    (impure_decisions, "muster.model.task", "import time"),
    (impure_decisions, "muster.commands.tasks", "from os import environ"),
    (impure_decisions, "muster.commands.tasks", "made = datetime.now(UTC)"),
    (loose_records, "muster.model.task", "@dataclass(frozen=True, slots=True)\nclass Task: ..."),
    (loose_records, "muster.model.task", "@dataclass\nclass Task: ..."),
    (broad_catches, "muster.engine", "try: ...\nexcept Exception: ..."),
    (broad_catches, "muster.engine", "try: ...\nexcept (OSError, BaseException): ..."),
    (broad_catches, "muster.engine", "try: ...\nexcept: ..."),
    (broad_catches, "muster.engine", "try: ...\nexcept Exception as e: raise Broken from e"),
    (broad_catches, "muster.engine", "with contextlib.suppress(Exception): ..."),
    (empty_names, "muster.store.helpers", ""),
    (empty_names, "muster.engine", "class TaskManager: ..."),
    (empty_names, "muster.engine", "def get_info(): ..."),
    (empty_names, "muster.engine", "async def HTTPHandler(): ..."),
    (stray_sql, "muster.engine", "import sqlite3"),
    (stray_sql, "muster.engine", "from sqlalchemy import select"),
    (stray_sql, "muster.engine", "rows = run('SELECT id FROM agents')"),
    (stray_sql, "muster.engine", "rows = run('delete from agents')"),
    (stray_sql, "muster.engine", "rows = run(f'INSERT INTO {table} VALUES (1)')"),
    (stray_sql, "muster.engine", "run('PRAGMA journal_mode=WAL')"),
    (heavy_stdio, "muster.surfaces.stdio", "import asyncio"),
    (heavy_stdio, "muster.surfaces.stdio", "def late():\n    import mcp"),
    (heavy_stdio, "muster.surfaces.stdio", "if TYPE_CHECKING: ...\nelse:\n    import typing"),
    (long_modules, "muster.engine", "pass\n" * 400 + "pass"),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_source_keeps_the_rule(check):
    findings = [finding for module in modules() for finding in check(module)]
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize(("check", "name", "text"), BREACHES)
def test_a_breach_is_found_with_its_line(check, name, text):
    module = snippet(name, text)
    assert [finding.partition(": ")[0] for finding in check(module)] == [module.at(text.count("\n") + 1)]


def test_a_long_function_is_found():
    module = snippet("muster.engine", "def run():\n" + "    step()\n" * 60)
    assert [finding.partition(": ")[0] for finding in long_functions(module)] == [module.at(1)]


def test_every_rule_has_a_breach_that_it_finds():
    assert {check for check, _, _ in BREACHES} | {long_functions} == set(CHECKS)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("muster.commands.tasks", "from datetime import timedelta\ndef claim(tx): return tx.now + timedelta(1)"),
        ("muster.model.task", "@dataclass(frozen=True, slots=True, kw_only=True)\nclass Task: ..."),
        ("muster.reconcilers.queue", "try: ...\nexcept Exception: ..."),
        ("muster.store.database", "try: ...\nexcept BaseException:\n    undo()\n    raise"),
        ("muster.git.merging", "def merge_base(): ...\nclass Database: ...\nlog.info('said')"),
        ("muster.errors", "says = 'Select one model from the list.'\nnext = 'Update it, set a name.'"),
        ("muster.store.database", "import sqlalchemy\nrun('BEGIN IMMEDIATE')"),
        ("muster.surfaces.stdio", "import _socket, json, os, sys"),
        ("muster.surfaces.stdio", "if TYPE_CHECKING:\n    from typing import Any"),
        ("muster.engine", "def run():\n" + "    step()\n" * 59),
        ("muster.engine", "pass\n" * 400),
    ],
)
def test_what_the_rules_allow_passes(name, text):
    assert [finding for check in CHECKS for finding in check(snippet(name, text))] == []
