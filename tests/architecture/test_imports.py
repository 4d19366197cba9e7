"""What importing Muster does: nothing. And what the quick doors load: little."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

import pytest

from architecture.source import SOURCE, modules, within

AUDIT = Path(__file__).with_name("audit.py")

# Alembic alone can import its scripts.
LOADED_BY_OTHERS = "muster.store.migrations"
# Optional extras: what needs one that is not installed here is left out, and shows up as skipped.
EXTRAS = {"muster.surfaces.tui": "textual", "muster.hosts.acp": "acp"}
# What is imported only when it is asked for; a hub that routes by words alone pays nothing for it.
LATE = {"muster_minilm", "numpy", "onnxruntime"}

QUICK = ("muster.__main__", "muster.surfaces.cli", "muster.surfaces.client")
HEAVY = {"alembic", "mcp", "pydantic", "sqlalchemy", "starlette", "uvicorn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One import in a process of its own. `did` names every act, `made` every new file, `said` every word."""

    did: list[str]
    made: list[str]
    said: str
    loaded: set[str]


def import_apart(folder: Path, names: list[str], home: Path) -> Import:
    """Import modules from a source folder in a new process with an empty home."""
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-B", "-X", "utf8", str(AUDIT), str(folder), *names],
        env={"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(folder)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, _, report = done.stdout.rstrip("\n").rpartition("\n")
    told = json.loads(report)
    made = [str(path.relative_to(home)) for path in sorted(home.rglob("*"))]
    return Import(did=told["did"], made=made, said=said + done.stderr, loaded=set(told["loaded"]))


def importable() -> list[str]:
    names = [module.name for module in modules() if not within(module.name, LOADED_BY_OTHERS)]
    absent = [name for name, extra in EXTRAS.items() if find_spec(extra) is None]
    return [name for name in names if not any(within(name, package) for package in absent)]


def heavy_parts(found: Import) -> set[str]:
    return {name.partition(".")[0] for name in found.loaded} & HEAVY


def test_importing_everything_does_nothing(tmp_path):
    found = import_apart(SOURCE, importable(), tmp_path / "home")
    assert (found.did, found.made, found.said) == ([], [], "")


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_nothing_is_left_out_for_want_of_an_extra(extra):
    there = any(within(module.name, extra) for module in modules())
    if there and find_spec(EXTRAS[extra]) is None:
        pytest.skip(f"{extra} NOT CHECKED: {EXTRAS[extra]} is not installed")


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_door_loads_no_heavy_library(name, tmp_path):
    if name not in {module.name for module in modules()}:
        pytest.skip(f"{name} is not written yet")
    assert heavy_parts(import_apart(SOURCE, [name], tmp_path / "home")) == set()


def test_a_hub_starts_without_the_sentence_model(tmp_path):
    found = import_apart(SOURCE, ["muster.hub", "muster.routing.semantic"], tmp_path / "home")
    assert {name.partition(".")[0] for name in found.loaded} & LATE == set()


def test_a_heavy_library_would_be_noticed(tmp_path):
    (tmp_path / "door.py").write_text("def start(): ...\nimport pydantic\n")
    assert heavy_parts(import_apart(tmp_path, ["door"], tmp_path / "home")) == {"pydantic"}


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("from pathlib import Path\nPath.home().joinpath('.muster').mkdir()", "os.mkdir"),
        ("from pathlib import Path\nPath('made').write_text('')", "open"),
        ("from pathlib import Path\nPath(__file__).with_name('words.txt').read_text()", "open"),
        ("import threading\nthreading.Thread(target=print, args=('',)).start()", "thread"),
        ("import subprocess\nsubprocess.run(['true'])", "subprocess.Popen"),
        ("import sqlite3\nsqlite3.connect(':memory:').close()", "sqlite3.connect"),
    ],
)
def test_an_import_that_acts_is_found(text, act, tmp_path):
    (tmp_path / "words.txt").write_text("words")
    (tmp_path / "door.py").write_text(text)
    found = import_apart(tmp_path, ["door"], tmp_path / "home")
    assert act in {line.split()[1] for line in found.did}


def test_an_import_that_leaves_files_or_words_is_found(tmp_path):
    (tmp_path / "door.py").write_text(
        dedent("""
        import os, sys
        os.close(os.open("made", os.O_CREAT | os.O_WRONLY))
        print("one")
        print("two", file=sys.stderr)
        """)
    )
    found = import_apart(tmp_path, ["door"], tmp_path / "home")
    assert (found.made, found.said.split()) == (["made"], ["one", "two"])
