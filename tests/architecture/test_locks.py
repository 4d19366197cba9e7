"""The locked versions are those that pyproject.toml asks for, each with its hashes and without an address."""

import re
import tomllib
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from architecture.source import REPOSITORY

LOCKS = ("run", "dev", "semantic", "environment", "model")
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^ ;\\]+)", re.MULTILINE)


def text_of(name: str) -> str:
    return (REPOSITORY / "requirements" / name).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, str]:
    return {pin["name"]: pin["version"] for pin in PIN.finditer(lock)}


def unmet(wanted: list[str], lock: str) -> Iterator[str]:
    """Every requirement that the lock does not answer."""
    pinned = pins(lock)
    for requirement in map(Requirement, wanted):
        version = pinned.get(re.sub(r"[-_.]+", "-", requirement.name).lower())
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement}: locked is {version}. Run make lock."


def loose(lock: str) -> Iterator[str]:
    """Every pin without a hash, and every address."""
    for entry in re.split(r"\n(?=[a-z0-9])", lock):
        if PIN.match(entry) and "--hash=sha256:" not in entry:
            yield f"{entry.splitlines()[0]}: has no hash."
    yield from (f"{line}: names an address." for line in lock.splitlines() if "://" in line or "-url" in line)


def listed(name: str) -> list[str]:
    return [line for line in text_of(name).splitlines() if line and not line.startswith("#")]


def project(*extras: str) -> list[str]:
    table = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table["dependencies"] + [each for extra in extras for each in table["optional-dependencies"][extra]]


def test_the_locks_answer_what_the_project_asks_for():
    findings = [
        *unmet(project(), text_of("run.txt")),
        *unmet([*project("dev"), *listed("tools.in")], text_of("dev.txt")),
        *unmet(project("semantic"), text_of("semantic.txt")),
        *unmet(listed("model.in"), text_of("model.txt")),
    ]
    assert not findings, "\n".join(findings)


def test_users_get_the_versions_that_were_tested():
    run, dev, semantic = (pins(text_of(f"{name}.txt")) for name in ("run", "dev", "semantic"))
    assert run.items() <= dev.items()
    assert run.items() <= semantic.items()


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_a_hash_and_no_address(name):
    assert pins(text_of(f"{name}.txt"))
    assert list(loose(text_of(f"{name}.txt"))) == []


@pytest.mark.parametrize("lock", ["click==7.0 \\\n    --hash=sha256:0", "anyio==4.16.0 \\\n    --hash=sha256:0"])
def test_a_stale_lock_is_found(lock):
    assert len(list(unmet(["click>=8.5,<9"], lock))) == 1


@pytest.mark.parametrize("lock", ["click==8.5.1\n    # via x", "--index-url https://example.org/simple"])
def test_a_loose_lock_is_found(lock):
    assert len(list(loose(lock))) == 1
