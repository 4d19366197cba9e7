"""Who may import whom. The table is the one of the design; the rest of this file applies it."""

import ast
from collections.abc import Iterator

import pytest

from architecture.source import Module, dotted, imported, modules, snippet, within

SURFACE = {"errors", "model", "config", "verbs", "engine", "prompts"}
OUTSIDE = {"errors", "model", "config"}
SCREEN = {"errors", "config", "home", "logs", "surfaces.client", "visible"}
EVERYTHING = {"*"}

# Layer → layers it may import. A module belongs to the longest name that fits. Itself is always allowed.
ALLOWED: dict[str, set[str]] = {
    "": {"errors", "surfaces.client"},  # muster/__init__.py: the public names
    "__main__": {"errors", "config", "home", "hub", "surfaces.cli", "surfaces.stdio"},
    "errors": set(),
    "model": {"errors"},
    "config": {"errors", "model"},
    "verbs": {"errors", "model", "store"},  # for the types of a transaction and a reading: decision 0002
    "routing": {"errors", "model"},
    "store": {"errors", "model", "routing"},  # outcomes are found by the words of what they are about
    "commands": {
        "errors",
        "model",
        "store",
        "verbs",
        "routing",
        "templates",
        "prompts",
        "visible",
    },  # a turn is written whole: decision 0002
    "views": {"errors", "model", "store", "verbs", "routing", "templates"},
    "engine": {"errors", "model", "store", "verbs"},
    "hosts": OUTSIDE,
    "git": OUTSIDE,
    "prompts": OUTSIDE | {"visible"},
    "roster": OUTSIDE,
    "templates": {"errors", "model"},  # data, and as pure as routing's words: it changes with Muster alone
    "rehearsal": OUTSIDE,
    "facts": {"errors", "model", "engine", "git", "hosts", "reconcilers", "routing"},  # the readers: decision 0002
    "home": {"errors", "replacing"},
    "checkpoints": set(),  # where a crash test lets the hub die
    "replacing": {"errors"},
    "trust": {"errors", "model", "config", "home", "git", "replacing"},
    "terms": {"model", "config", "home", "trust"},
    "doctor": {
        "errors",
        "model",
        "config",
        "home",
        "hosts",
        "store",
        "installation",
        "surfaces",
        "trust",
    },  # decision 0004
    "installation": {"errors", "home", "hosts", "replacing"},  # decision 0004
    "ledger": {"errors", "model", "store"},  # a file, audited without a hub
    "logs": set(),
    "watcher": set(),  # a program of its own, which must stay small
    "visible": set(),  # how foreign text is shown, in a terminal, a log, a prompt and an answer
    "reconcilers": {"errors", "model", "config", "engine", "prompts", "hosts", "git", "checkpoints"},
    "surfaces": SURFACE | {"surfaces.toolkits", "visible"},
    "surfaces.client": SURFACE | {"home"},  # whether a hub sleeps stands in the state folder
    "surfaces.toolkits": {"errors", "model", "config", "engine", "prompts", "verbs"},  # a tool names its verb
    "surfaces.stdio": set(),
    # The roster is shown, installed and linted without a hub: it is files.
    "surfaces.cli": SCREEN | {"hub", "installation", "doctor", "ledger", "trust", "rehearsal", "roster"},
    "surfaces.tui": SCREEN,
    "hub": EVERYTHING,
}

# These may name commands and views, for `engine.execute(tasks.claim, …)`, but never call one.
REFERS: dict[str, set[str]] = {
    "reconcilers": {"commands", "views"},
    "facts": {"commands", "views"},
    "surfaces.toolkits": {"commands", "views"},
}

# Everybody may read `muster.__version__`.
PUBLIC = {"muster.__version__"}


def layer_of(name: str) -> str | None:
    """The layer of a dotted name in muster, or None where the table does not know it."""
    inner = name.removeprefix("muster").removeprefix(".")
    fits = [layer for layer in ALLOWED if layer and within(inner, layer)]
    return max(fits, key=len) if fits else ("" if not inner else None)


def unlisted(module: Module) -> Iterator[str]:
    if layer_of(module.name) is None:
        yield f"{module.at(1)}: {module.name} belongs to no layer. Give it a row in ALLOWED, or a better place."


def forbidden(module: Module) -> Iterator[str]:
    layer = layer_of(module.name) or ""
    allowed = ALLOWED[layer] | REFERS.get(layer, set())
    for line, name, _ in imported(module):
        if name == "?" and layer != "hub":
            yield f"{module.at(line)}: imports a computed name; only the hub may. Allowed here: {_listed(allowed)}."
        if not within(name, "muster") or name in PUBLIC:
            continue
        target = layer_of(name)
        if target not in {layer, *allowed} and allowed != EVERYTHING:
            yield f"{module.at(line)}: {layer or 'muster'} imports {name}. Allowed here: {_listed(allowed)}."


def called(module: Module) -> Iterator[str]:
    referred = REFERS.get(layer_of(module.name) or "", set())
    names = _references(module, referred)
    for node in ast.walk(module.tree):
        spoken = dotted(node.func) if isinstance(node, ast.Call) else ""
        if any(within(spoken, name) for name in names):
            yield f"{module.at(node.lineno)}: calls {spoken}. Hand it over: engine.execute({spoken}, …)."


def _references(module: Module, layers: set[str]) -> set[str]:
    names = {bound for _, name, bound in imported(module) if within(name, "muster") and layer_of(name) in layers}
    for node in ast.walk(module.tree):
        match node:
            case ast.Assign(targets=[ast.Name(id=alias)], value=value) if any(within(dotted(value), n) for n in names):
                names.add(alias)
    return names


def _listed(allowed: set[str]) -> str:
    return ", ".join(sorted(allowed)) or "nothing of muster"


CHECKS = (unlisted, forbidden, called)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_module_keeps_to_its_layer(check):
    findings = [finding for module in modules() for finding in check(module)]
    assert not findings, "\n".join(findings)


def test_nobody_imports_the_hub_but_the_two_that_start_it():
    assert {layer for layer, allowed in ALLOWED.items() if "hub" in allowed} == {"__main__", "surfaces.cli"}


@pytest.mark.parametrize(
    ("check", "name", "text"),
    [
        (unlisted, "muster.helpers", ""),
        (unlisted, "muster.misc.things", ""),
        (forbidden, "muster.model.task", "from muster.store import database"),
        (forbidden, "muster.model.task", "from ..store import database"),
        (forbidden, "muster.model.task", "def late():\n    import muster.engine"),
        (forbidden, "muster.model.task", "import importlib\nimportlib.import_module('muster.engine')"),
        (forbidden, "muster.model.task", "import importlib\nimportlib.import_module(name)"),
        (forbidden, "muster.git.run", "from muster import hosts"),
        (forbidden, "muster.git.run", "from muster.store.schema import agents"),
        (forbidden, "muster.git.run", "from muster import something_public"),
        (forbidden, "muster.surfaces.http", "from muster.commands import tasks"),
        (forbidden, "muster.surfaces.http", "from muster import hub"),
        (forbidden, "muster.surfaces.stdio", "from muster import errors"),
        (forbidden, "muster.surfaces.cli.tasks", "from muster.engine import Engine"),
        (forbidden, "muster.surfaces.tui", "from muster import hub"),
        (forbidden, "muster.commands.tasks", "from muster.views import board"),
        (called, "muster.reconcilers.runs", "from muster.commands import runs\nruns.start(tx)"),
        (called, "muster.reconcilers.runs", "from muster.commands import runs as verbs\nverbs.start(tx)"),
        (called, "muster.reconcilers.runs", "from muster.commands.runs import start\nstart(tx)"),
        (called, "muster.reconcilers.runs", "import muster.commands.runs\nmuster.commands.runs.start(tx)"),
        (called, "muster.reconcilers.runs", "from muster.commands import runs\nbegin = runs.start\nbegin(tx)"),
        (called, "muster.surfaces.toolkits.mesh", "from muster.views import board\nboard.show(tx)"),
    ],
)
def test_a_breach_is_found_with_its_line(check, name, text):
    module = snippet(name, text)
    assert [finding.partition(": ")[0] for finding in check(module)] == [module.at(text.count("\n") + 1)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("muster.model.task", "from dataclasses import replace\nfrom muster.errors import Conflict"),
        ("muster.model.task", "from .agent import AgentId"),
        ("muster.surfaces.http", "from muster import __version__"),
        ("muster.reconcilers.runs", "from muster.commands import runs\nengine.execute(runs.start, run=1)"),
        ("muster.reconcilers.runs", "from muster.hosts.contract import Host\nHost()"),
        ("muster.hub", "from muster.commands import runs\nimport muster.store.database"),
        ("muster.surfaces.cli", "def up():\n    from muster.hub import serve"),
    ],
)
def test_what_the_table_allows_passes(name, text):
    assert [finding for check in CHECKS for finding in check(snippet(name, text))] == []
