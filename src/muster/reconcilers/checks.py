"""Tries what comes of merges before it lands: the command of the user's, on the very files that would come of it.

Merges that wait with the same command are tried together, as if all had landed. Where that fails the first half of them
is tried, until what passes is found, or one that fails alone: the others land, that one does not.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from muster.commands import merges as merge_commands
from muster.engine import Engine
from muster.errors import GitFailed
from muster.git.project import open_project
from muster.git.run import Checkout
from muster.git.trying import clear, lay_out
from muster.model.actor import SYSTEM
from muster.model.ids import MergeId
from muster.model.merge import LandAs, MergeFacts
from muster.model.worktree import Worktree
from muster.reconcilers.fitting import Fits, fit, has_nothing_new
from muster.reconcilers.furnishing import bring
from muster.reconcilers.shell import Verdict, run
from muster.views import merges as merge_views
from muster.views.merges import MergeWork

RED = "with it, the check {how}."
MEND = "Mend it on the branch {branch}; then `muster merge {agent}` tries it again."
MOST_AT_ONCE = 16
OURS = ("MUSTER_", "OPENCODE_", "GIT_")
SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|(API|ACCESS|AUTH|SIGNING)_?KEY|_KEY$|_PAT$|_DSN$")

Snapshotted = Callable[[MergeWork], Awaitable[Worktree]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A merge with what comes of it after those before it."""

    work: MergeWork
    commit: str
    tree: str

    @property
    def id(self) -> MergeId:
        return self.work.merge.id


class Checks:
    """`command_at` says what holds in a project; `root` is where their results are laid out."""

    def __init__(
        self,
        engine: Engine,
        *,
        root: Path,
        seconds: float,
        environment: Mapping[str, str],
        command_at: Callable[[Path], str],
    ) -> None:
        self._engine = engine
        self._root = root
        self._seconds = seconds
        self._variables = {name: value for name, value in environment.items() if not _is_withheld(name)}
        self._command_at = command_at

    async def command_of(self, work: MergeWork) -> str:
        """What it must pass; empty: nothing. Raises UnknownSetting."""
        if work.merge.check is not None:
            return work.merge.check
        return await anyio.to_thread.run_sync(self._command_at, Path(work.merge.project))

    async def judge(self, work: MergeWork, fits: Fits, command: str, snapshotted: Snapshotted) -> None:
        """Find out, and report, what of those that wait passes. Raises GitFailed, OSError."""
        candidates = [Candidate(work=work, commit=fits.commit, tree=fits.plan.tree)]
        candidates += await self._others(candidates[0], command, snapshotted)
        while True:
            verdict = await self._try(candidates[-1], command)
            if verdict.how is None:
                passed = [(candidate.id, candidate.tree) for candidate in candidates]
                await self._engine.execute(merge_commands.pass_check, SYSTEM, merges=passed)
                return
            if len(candidates) == 1:
                facts = _red(work, command, verdict)
                await self._engine.execute(merge_commands.fail_check, SYSTEM, merge=work.merge.id, facts=facts)
                return
            candidates = candidates[: len(candidates) // 2]

    async def _others(self, first: Candidate, command: str, snapshotted: Snapshotted) -> Sequence[Candidate]:
        """Those behind it that must pass the same, and fit after it: what does not has its answer when it is first."""
        found: list[Candidate] = []
        after = first.commit
        for work in await self._engine.query(merge_views.line, SYSTEM, project=first.work.merge.project):
            if len(found) == MOST_AT_ONCE - 1:
                break
            terms = {first.work.merge.land_as, work.merge.land_as}
            if work.merge.id == first.id or terms != {LandAs.WORKING_TREE} or await self.command_of(work) != command:
                continue
            worktree = await snapshotted(work)
            fits = await anyio.to_thread.run_sync(partial(_fits_after, work, worktree, after))
            if fits is not None:
                found.append(Candidate(work=work, commit=fits.commit, tree=fits.plan.tree))
                after = fits.commit
        return found

    async def _try(self, candidate: Candidate, command: str) -> Verdict:
        project = await anyio.to_thread.run_sync(open_project, Path(candidate.work.merge.project))
        place = self._root / hashlib.sha256(str(project.common).encode()).hexdigest()[:16]
        folder = place / "tree"
        try:
            await anyio.to_thread.run_sync(_lay_out, project, candidate, folder)
            return await run(command, folder, self._variables, place=place, seconds=self._seconds)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(clear, project, folder)


def _is_withheld(name: str) -> bool:
    """What is tried was written by agents: it sees nothing of ours and nothing that opens a door."""
    return name.startswith(OURS) or SECRET.search(name.upper()) is not None


def _fits_after(work: MergeWork, worktree: Worktree, after: str) -> Fits | None:
    try:
        if worktree.snapshot_error is not None or has_nothing_new(work, worktree):
            return None
        answer = fit(work, worktree, after=after)
    except GitFailed:
        return None
    return answer if isinstance(answer, Fits) else None


def _lay_out(project: Checkout, candidate: Candidate, folder: Path) -> None:
    """With the files that git does not hold, as the agent's own worktree has them."""
    lay_out(project, candidate.commit, folder)
    bring(replace(candidate.work.worktree, folder=str(folder)))


def _red(work: MergeWork, command: str, verdict: Verdict) -> MergeFacts:
    return MergeFacts(
        why=RED.format(how=verdict.how),
        next=MEND.format(branch=work.worktree.branch, agent=work.merge.agent),
        check=command,
        output=verdict.output or None,
    )
