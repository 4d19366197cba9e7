"""Which files run by themselves."""

import pytest

from muster.model.change import PathChange
from muster.model.trigger import gives_other_orders, is_package, is_trigger


def change(path: str) -> PathChange:
    return PathChange(path=path, old_blob=None, old_mode=None, new_blob="b", new_mode="100644")


@pytest.mark.parametrize(
    "path",
    [
        ".envrc", "sub/.envrc", ".husky/pre-commit", ".github/workflows/ci.yml", "AGENTS.md", "docs/agents.md",
        ".opencode/agent/x.md", ".muster/config.toml", ".gitattributes", "a/.gitattributes", ".VSCode/tasks.json",
        ".npmrc", ".gitlab-ci.yml", "Jenkinsfile", "opencode.json", ".claude/settings.json",
    ],
)  # fmt: skip
def test_path_that_a_program_obeys_unasked_runs_by_itself(path):
    assert is_trigger(change(path))


@pytest.mark.parametrize(
    "path", ["src/main.py", "README.md", "github/workflows/x", "workflows/ci.yml", "envrc", "Makefile"]
)
def test_path_that_somebody_has_to_call_does_not(path):
    assert not is_trigger(change(path))


def test_package_runs_by_itself_where_its_orders_change():
    assert is_package(change("web/package.json"))
    assert not is_package(change("package.jsonc"))
    old = b'{"scripts": {"test": "jest"}, "dependencies": {}}'
    assert not gives_other_orders(old, b'{"dependencies": {"left-pad": "1"}, "scripts": {"test": "jest"}}')
    assert gives_other_orders(old, b'{"scripts": {"test": "jest", "postinstall": "rm"}}')
    assert gives_other_orders(b"", b'{"scripts": {"a": "b"}}')
    assert not gives_other_orders(b"", b'{"name": "x"}')
    assert gives_other_orders(old, b"{")
    assert gives_other_orders(old, b"[]")
