"""The source of Muster as data: what the architecture tests read."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One file: its dotted name, its path as people write it, and its text."""

    name: str
    path: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        return self.name if self.path.endswith("__init__.py") else self.name.rpartition(".")[0]

    def at(self, line: int) -> str:
        return f"{self.path}:{line}"


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the product."""
    return tuple(_read(path) for path in sorted((SOURCE / "muster").rglob("*.py")))


def snippet(name: str, text: str) -> Module:
    """A made-up module, for feeding a check something that it must refuse."""
    text = dedent(text)
    return Module(name=name, path=f"src/{name.replace('.', '/')}.py", text=text, tree=ast.parse(text))


def functions(module: Module) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    for node in ast.walk(module.tree):
        if isinstance(node, Function):
            yield node


def length(function: Function) -> int:
    """Lines from `def` to the end, docstring included."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def within(name: str, package: str) -> bool:
    """Whether a dotted name is a package or something inside it."""
    return name == package or name.startswith(f"{package}.")


def imported(module: Module) -> Iterator[tuple[int, str, str]]:
    """Every import, at the top or inside a function: line, dotted name, and the name it is bound to.

    `from a.b import c` gives `a.b.c`, whether `c` is a module or not. Of `__import__` and `import_module` the
    constant ones are read; a computed one gives `?`.
    """
    for node in ast.walk(module.tree):
        match node:
            case ast.Import(names=names):
                for each in names:
                    yield node.lineno, each.name, each.asname or each.name
            case ast.ImportFrom(names=names):
                for each in names:
                    yield node.lineno, f"{_origin(module, node)}.{each.name}", each.asname or each.name
            case ast.Call(func=function, args=[first, *_]) if dotted(function).endswith(
                ("import_module", "__import__")
            ):
                yield node.lineno, str(first.value) if isinstance(first, ast.Constant) else "?", ""


def dotted(node: ast.expr) -> str:
    """`a.b.c` for such a chain of attributes, empty for anything else."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name) if chain := dotted(value):
            return f"{chain}.{name}"
    return ""


def _origin(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parents = module.package.split(".")
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])


def _read(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    parts = path.relative_to(SOURCE).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name=name, path=str(path.relative_to(REPOSITORY)), text=text, tree=ast.parse(text))


def checkpoints() -> set[str]:
    """The names of all places where a crash test may let the hub die."""
    calls = (node for module in modules() for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    return {ast.literal_eval(call.args[0]) for call in calls if dotted(call.func) == "checkpoint"}
