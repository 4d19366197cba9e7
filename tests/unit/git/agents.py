"""An agent's worktree of ours in a real repository, for tests of git/."""

from dataclasses import dataclass, field
from pathlib import Path

from muster.git import snapshots, worktrees
from muster.git.project import open_project
from muster.git.run import Checkout
from muster.git.snapshots import Snapshot
from muster.git.worktrees import WorktreeWish
from unit.git.repositories import Files, Repository

REF = "refs/muster/flt_1/ada"


@dataclass
class Agent:
    """One that works on a user's repository."""

    on: Repository
    base: str = "HEAD"
    checkout: Checkout = field(init=False)

    def __post_init__(self) -> None:
        self.checkout = worktrees.create(self.wish)

    @property
    def state(self) -> Path:
        return self.on.top.parent / "state"

    @property
    def keep(self) -> Path:
        return self.state / "git" / "kept.git"

    @property
    def folder(self) -> Path:
        return self.state / "worktrees" / "flt_1" / "ada"

    @property
    def wish(self) -> WorktreeWish:
        base = self.on.git("rev-parse", self.base) if self.base else worktrees.base_of(self.project, dirty=False)
        return WorktreeWish(project=self.on.top, folder=self.folder, branch="muster/flt_1/ada", base=base)

    @property
    def project(self) -> Checkout:
        return open_project(self.on.top)

    def git(self, *arguments: str, fails: bool = False) -> str:
        return self.on.git(*arguments, at=self.folder, fails=fails)

    def write(self, files: Files) -> None:
        self.on.write(files, at=self.folder)

    def commit(self, files: Files) -> str:
        return self.on.commit(files, at=self.folder)

    def take(self, says: str = "idle") -> Snapshot:
        return snapshots.take(self.checkout, REF, self.keep, says)

    def files(self, commit: str) -> dict[str, str]:
        """Paths and contents of a commit's tree."""
        entries = [line.partition("\t") for line in self.on.git("ls-tree", "-r", "-z", commit).split("\0") if line]
        blobs = {path: head.split()[2] for head, _, path in entries if " blob " in head}
        return {path: self.on.git("cat-file", "blob", blob) for path, blob in blobs.items()}
