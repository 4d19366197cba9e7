"""An agent's worktree that was made to harm runs nothing and leads nowhere, whatever is done to it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from muster.errors import GitFailed
from muster.git import snapshots, worktrees
from muster.git.keeping import kept
from muster.git.project import in_progress, open_project
from unit.git.agents import REF, Agent
from unit.git.repositories import repository


@pytest.fixture
def agent(tmp_path) -> Agent:
    agent = Agent(repository(tmp_path, {"a": "1", "b": "2", "sub/c": "3"}))
    agent.take()
    return agent


@pytest.fixture
def trap(tmp_path) -> Path:
    """A program that leaves a trace when somebody runs it."""
    program = tmp_path / "trap"
    program.write_text(f'#!/bin/sh\necho "$0 $@" >> {tmp_path}/sprung\ncat\n')
    program.chmod(0o755)
    return program


def everything(agent: Agent, tmp_path: Path) -> None:
    """Every public function, where the agent has something new."""
    agent.write({"a": "mine", "new": "n", "deep/er": "d"})
    worktrees.create(agent.wish)
    checkout = worktrees.checkout_of(agent.project, agent.folder)
    taken = snapshots.take(checkout, REF, agent.keep, "idle")
    assert agent.files(taken.commit)["a"] == "mine"
    snapshots.history(checkout, REF)
    snapshots.restore(checkout, taken.commit, folder=tmp_path / "restored")
    snapshots.restore(checkout, taken.commit, branch="restored")
    snapshots.restore(kept(agent.keep), taken.commit, folder=tmp_path / "again")
    worktrees.base_of(agent.project, dirty=True)
    worktrees.owned(agent.project, agent.state)
    in_progress(checkout)
    snapshots.drop(checkout, REF, agent.keep)
    worktrees.remove(checkout, told=True)
    worktrees.create(agent.wish)


def configured(*settings: tuple[str, str]) -> Callable[[Agent, Path], None]:
    def configure(agent: Agent, trap: Path) -> None:
        for key, value in settings:
            agent.git("config", key, value.format(trap=trap))

    return configure


def hooks(agent: Agent, trap: Path) -> None:
    names = (
        "applypatch-msg", "post-checkout", "post-commit", "post-index-change", "pre-auto-gc", "pre-commit",
        "reference-transaction", "update", "post-update", "pre-receive", "post-receive", "fsmonitor-watchman",
    )  # fmt: skip
    for folder in (agent.on.top / ".git/hooks", agent.folder / "hooks"):
        folder.mkdir(exist_ok=True)
        for name in names:
            shutil.copy(trap, folder / name)


def drivers(agent: Agent, trap: Path) -> None:
    told = f"""
[filter "evil"]
\tclean = {trap}
\tsmudge = {trap}
\tprocess = {trap}
\trequired = true
[merge "evil"]
\tdriver = {trap}
[diff "evil"]
\ttextconv = {trap}
\tcommand = {trap}
"""
    (agent.folder / "more").write_text(told)
    attributes = "* filter=evil merge=evil diff=evil\n"
    agent.write({".gitattributes": attributes})
    (agent.on.top / ".git/info").mkdir(exist_ok=True)
    (agent.on.top / ".git/info/attributes").write_text(attributes)


def included(agent: Agent, trap: Path) -> None:
    drivers(agent, trap)
    agent.git("config", "include.path", str(agent.folder / "more"))


def included_for_its_folder(agent: Agent, trap: Path) -> None:
    drivers(agent, trap)
    agent.git("config", "includeIf.gitdir:**.path", str(agent.folder / "more"))


def included_for_its_branch(agent: Agent, trap: Path) -> None:
    drivers(agent, trap)
    agent.git("config", "includeIf.onbranch:muster/**.path", str(agent.folder / "more"))


def configured_for_the_worktree_alone(agent: Agent, trap: Path) -> None:
    drivers(agent, trap)
    agent.git("config", "extensions.worktreeConfig", "true")
    shutil.copy(agent.folder / "more", agent.checkout.git_dir / "config.worktree")


def redirected(agent: Agent, trap: Path) -> None:
    other = agent.folder / "other"
    agent.on.git("init", "--quiet", str(other), at=agent.folder)
    agent.on.git("config", "core.fsmonitor", str(trap), at=other)
    (agent.folder / ".git").write_text(f"gitdir: {other}/.git\n")


def replaced_by_a_folder(agent: Agent, trap: Path) -> None:
    (agent.folder / ".git").unlink()
    agent.on.git("init", "--quiet", at=agent.folder)
    agent.on.git("config", "core.fsmonitor", str(trap), at=agent.folder)
    agent.on.git("config", "filter.evil.clean", str(trap), at=agent.folder)
    agent.write({".gitattributes": "* filter=evil\n"})


def deleted(agent: Agent, trap: Path) -> None:
    (agent.folder / ".git").unlink()


def linked(agent: Agent, trap: Path) -> None:
    (agent.folder / ".git").unlink()
    (agent.folder / ".git").symlink_to(agent.on.top / ".git")


def embedded(agent: Agent, trap: Path) -> None:
    """A repository inside, which the agent's own index takes for a submodule."""
    inner = agent.folder / "inner"
    agent.on.git("init", "--quiet", str(inner), at=agent.folder)
    agent.on.commit({"x": "1"}, at=inner)
    agent.git("add", "inner")
    for key in ("core.fsmonitor", "filter.evil.clean", "core.sshCommand", "core.alternateRefsCommand"):
        agent.on.git("config", key, str(trap), at=inner)
    agent.on.write({"x": "2", ".gitattributes": "* filter=evil\n"}, at=inner)
    agent.write({".gitmodules": f'[submodule "a"]\n\tpath = inner\n\turl = ext::{trap}\n\tupdate = !{trap}\n'})


def submodule_that_is_elsewhere(agent: Agent, trap: Path) -> None:
    told = "".join(f'[submodule "{at}"]\n\tpath = {at}\n\turl = -x\n' for at in ("../..", "/etc", ".git", "link/x"))
    agent.write({".gitmodules": told + f"[include]\n\tpath = {agent.folder}/more\n"})
    (agent.folder / "link").symlink_to("/etc")


HOSTILE = [
    hooks,
    configured(("core.fsmonitor", "{trap}"), ("core.hooksPath", "hooks")),
    configured(("core.sshCommand", "{trap}"), ("core.gitProxy", "{trap}"), ("core.askPass", "{trap}")),
    configured(("core.alternateRefsCommand", "{trap}"), ("uploadpack.packObjectsHook", "{trap}")),
    configured(("diff.external", "{trap}"), ("core.pager", "{trap}"), ("core.editor", "{trap}")),
    configured(("gpg.program", "{trap}"), ("commit.gpgSign", "true"), ("credential.helper", "{trap}")),
    configured(("alias.add", "!{trap}"), ("alias.worktree", "!{trap}"), ("alias.ls-files", "!{trap}")),
    configured(("core.attributesFile", "/etc/passwd"), ("core.splitIndex", "true"), ("core.untrackedCache", "true")),
    configured(("submodule.recurse", "true"), ("status.submoduleSummary", "true"), ("fetch.recurseSubmodules", "true")),
    included,
    included_for_its_folder,
    included_for_its_branch,
    configured_for_the_worktree_alone,
    redirected,
    replaced_by_a_folder,
    deleted,
    linked,
    embedded,
    submodule_that_is_elsewhere,
]


@pytest.mark.parametrize("harm", HOSTILE)
def test_nothing_of_a_hostile_worktree_runs(agent, trap, tmp_path, harm):
    harm(agent, trap)
    everything(agent, tmp_path)
    assert not (tmp_path / "sprung").exists(), (tmp_path / "sprung").read_text()


def test_the_trap_would_spring(agent, trap, tmp_path):
    """Or the tests above show nothing."""
    drivers(agent, trap)
    agent.git("config", "include.path", str(agent.folder / "more"))
    subprocess.run(["git", "-C", str(agent.folder), "add", "--all"], capture_output=True)
    assert (tmp_path / "sprung").exists()


def test_worktree_replaced_by_a_link_is_made_again_and_what_it_leads_to_stays(agent, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("p")
    shutil.rmtree(agent.folder)
    agent.folder.symlink_to(tmp_path / "elsewhere")
    for refused in (lambda: worktrees.checkout_of(agent.project, agent.folder), agent.take):
        with pytest.raises(GitFailed):
            refused()
    worktrees.create(agent.wish)
    assert agent.files(agent.take().commit) == {"a": "1", "b": "2", "sub/c": "3"}
    worktrees.remove(agent.checkout)
    assert (tmp_path / "elsewhere" / "precious").read_text() == "p"


def test_link_in_place_of_a_folder_brings_nothing_from_elsewhere(agent, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "c").write_text("secret")
    shutil.rmtree(agent.folder / "sub")
    (agent.folder / "sub").symlink_to(tmp_path / "elsewhere")
    taken = agent.take()
    assert agent.files(taken.commit) == {"a": "1", "b": "2", "sub": str(tmp_path / "elsewhere")}


def test_flags_of_the_agents_index_hide_nothing(agent):
    agent.git("update-index", "--assume-unchanged", "a")
    agent.git("update-index", "--skip-worktree", "b")
    agent.write({"a": "hidden", "b": "hidden too"})
    assert agent.files(agent.take().commit) == {"a": "hidden", "b": "hidden too", "sub/c": "3"}


@pytest.mark.parametrize("setting", ["core.worktree=/etc", "core.bare=true"])
def test_project_whose_settings_point_elsewhere_is_not_opened(agent, setting):
    agent.git("config", *setting.split("="))
    with pytest.raises(GitFailed):
        open_project(agent.on.top)
    agent.write({"a": "mine"})
    assert agent.files(agent.take().commit)["a"] == "mine"
