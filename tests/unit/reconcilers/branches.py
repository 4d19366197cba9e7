"""What agents have in their worktrees, as snapshots would say it: the commits are real, made in one repository."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from muster.model.actor import SYSTEM, Actor
from muster.model.agent import Agent
from muster.model.ids import AgentId, SnapshotId, WorktreeId
from muster.model.worktree import Beginning, Occasion, Snapshot, Worktree
from muster.store.records import Transaction
from muster.verbs import System, command
from unit.stage import Stage


@command(by=System)
def keep(tx: Transaction, actor: Actor, agent: AgentId, project: str, base: str, commit: str, tree: str) -> None:
    """The agent's worktree was snapshotted."""
    row = tx.find(Worktree, agent=agent) or _begin(tx, tx.get(Agent, agent), project, base)
    snapshot = Snapshot(
        id=SnapshotId(tx.new_id(Snapshot)),
        worktree=row.id,
        agent=agent,
        fleet=row.fleet,
        commit=commit,
        tree=tree,
        tip=base,
        why=Occasion.WORK,
        taken_at=tx.now,
    )
    tx.add(snapshot)
    kept, event = row.keep(snapshot, row.owed_since)
    assert event is not None
    tx.save(kept)
    tx.record(event)


def _begin(tx: Transaction, agent: Agent, project: str, base: str) -> Worktree:
    asked = Worktree(
        id=WorktreeId(tx.new_id(Worktree)),
        agent=agent.id,
        fleet=agent.fleet,
        project=project,
        folder=f"/nowhere/{agent.name}",
        subfolder="",
        branch=f"muster/{agent.fleet}/{agent.name}",
        ref=f"refs/muster/{agent.fleet}/{agent.name}",
        begins_as=Beginning.HEAD,
        setup=(),
        copy=(),
        link=(),
        created_at=tx.now,
    )
    ready, event = asked.rest_on(base).ready()
    tx.add(ready)
    tx.record(asked.ask())
    tx.record(event)
    return ready


class Branches:
    """A repository of the user's, in which agents' snapshots are made as commits on its first one."""

    def __init__(self, folder: Path, files: Mapping[str, str]) -> None:
        self.folder = folder
        subprocess.run(["git", "init", "-q", str(folder)], check=True)
        self.base = self.commit(files)

    def run(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)
        self.run("add", "--all")
        self.run("commit", "-q", "--allow-empty", "-m", "work")
        return self.run("rev-parse", "HEAD")

    async def snapshot(self, stage: Stage, agent: str, files: Mapping[str, str]) -> None:
        """The agent has changed these files, and nothing else, since it began."""
        self.run("checkout", "-q", "--detach", self.base)
        commit = self.commit(files)
        tree = self.run("rev-parse", f"{commit}^{{tree}}")
        told = {"project": str(self.folder), "base": self.base, "commit": commit, "tree": tree}
        await stage.engine.execute(keep, SYSTEM, agent=AgentId(agent), **told)
