"""Git runs nothing of a repository's own, on real repositories."""

import subprocess
from pathlib import Path

import pytest

from muster.errors import GitFailed
from muster.git.run import Checkout, git


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    work_tree = tmp_path / "repository"
    subprocess.run(["git", "init", "-q", str(work_tree)], check=True)
    return Checkout(common=work_tree / ".git", git_dir=work_tree / ".git", work_tree=work_tree)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves a trace when somebody runs it."""
    program = tmp_path / "trap"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    program.chmod(0o755)
    return program


def configure(checkout: Checkout, key: str, value: str) -> None:
    subprocess.run(["git", "-C", str(checkout.work_tree), "config", key, value], check=True)


@pytest.mark.parametrize("name", ["evil", "e=vil", "e.vil", 'e"vil', "Evil Twin"])
@pytest.mark.parametrize("verb", ["clean", "process"])
def test_filter_of_the_repositorys_own_is_not_run(checkout, trap, tmp_path, name, verb):
    configure(checkout, f"filter.{name}.{verb}", str(trap))
    configure(checkout, f"filter.{name}.required", "true")
    quoted = name.replace('"', "") if " " in name or '"' in name else name
    (checkout.work_tree / ".gitattributes").write_text(f"* filter={quoted}\n")
    (checkout.work_tree / "file").write_text("content")
    git(checkout, "add", "--all")
    assert not (tmp_path / "sprung").exists()
    assert git(checkout, "show", ":file") == b"content"


def test_filter_of_an_included_file_is_not_run(checkout, trap, tmp_path):
    (tmp_path / "more").write_text(f'[filter "evil"]\n\tclean = {trap}\n')
    configure(checkout, "include.path", str(tmp_path / "more"))
    (checkout.work_tree / ".gitattributes").write_text("* filter=evil\n")
    (checkout.work_tree / "file").write_text("content")
    git(checkout, "add", "--all")
    assert not (tmp_path / "sprung").exists()


def test_monitor_hooks_and_variables_decide_nothing(checkout, trap, tmp_path, monkeypatch):
    configure(checkout, "core.fsmonitor", str(trap))
    configure(checkout, "core.hooksPath", str(tmp_path / "hooks"))
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "pre-commit").symlink_to(trap)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(trap))
    (checkout.work_tree / "file").write_text("content")
    git(checkout, "add", "--all")
    git(checkout, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first")
    (checkout.work_tree / "file").write_text("other")
    assert b"+other" in git(checkout, "diff", "HEAD")
    assert not (tmp_path / "sprung").exists()


def test_folder_that_a_worktrees_git_file_points_at_is_not_asked(checkout, trap, tmp_path):
    other = tmp_path / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    subprocess.run(["git", "-C", str(other), "config", "core.fsmonitor", str(trap)], check=True)
    worktree = tmp_path / "worktree"
    worktree.mkdir()
    (worktree / ".git").write_text(f"gitdir: {other}/.git\n")
    redirected = Checkout(common=checkout.common, git_dir=checkout.git_dir, work_tree=worktree)
    (worktree / "file").write_text("content")
    assert git(redirected, "status", "--porcelain") == b"?? file\n"
    assert not (tmp_path / "sprung").exists()


def test_what_git_refuses_is_told_in_its_words(checkout):
    with pytest.raises(GitFailed) as refused:
        git(checkout, "rev-parse", "--verify", "nowhere")
    assert "Needed a single revision" in refused.value.message
