"""Real repositories for tests of git/: a user's, and the commits of agents on it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from muster.git.landing import Landed, Outcome, land, undo
from muster.git.merging import Landing, Merged, compute, ours
from muster.git.obstacles import obstacles
from muster.git.run import Checkout

VARIABLES = {
    **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "somebody@localhost" for who in ("AUTHOR", "COMMITTER")},
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
}
Files = dict[str, str | bytes | None]


@dataclass
class Repository:
    """A user's checkout, with `files` committed at first."""

    top: Path

    @property
    def checkout(self) -> Checkout:
        return Checkout(common=self.top / ".git", git_dir=self.top / ".git", work_tree=self.top)

    def git(self, *arguments: str, at: Path | None = None, fails: bool = False) -> str:
        done = subprocess.run(
            ["git", "-C", str(at or self.top), *arguments],
            env=dict(os.environ) | VARIABLES,
            capture_output=True,
            text=True,
            errors="surrogateescape",
        )
        assert fails or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def fed(self, words: str, *arguments: str) -> str:
        command = ["git", "-C", str(self.top), *arguments]
        done = subprocess.run(command, input=words, env=os.environ | VARIABLES, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, files: Files, *, at: Path | None = None) -> None:
        for path, content in files.items():
            place = (at or self.top) / path
            if content is None:
                place.unlink()
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: Files, *, at: Path | None = None) -> str:
        self.write(files, at=at)
        self.git("add", "--all", "--force", at=at)
        self.git("commit", "--quiet", "--allow-empty", "--message", "change", at=at)
        return self.git("rev-parse", "HEAD", at=at)

    def worktree(self, name: str, base: str = "HEAD") -> Path:
        """A checkout of an agent's own."""
        place = self.top.parent / "agents" / name
        if not place.exists():
            self.git("worktree", "add", "--quiet", "-b", f"muster/{name}", str(place), base)
        return place

    def agent(self, name: str, files: Files) -> str:
        """What an agent commits in its worktree, made from HEAD at its first commit."""
        return self.commit(files, at=self.worktree(name))

    def status(self) -> str:
        return self.git("status", "--porcelain=v1", "--untracked-files=all", "--no-renames")

    def read(self, path: str) -> str:
        return (self.top / path).read_bytes().decode()


def repository(folder: Path, files: Files | None = None, *, form: str = "sha1") -> Repository:
    made = Repository(folder / "project")
    made.top.mkdir()
    made.git("init", "--quiet", "--initial-branch=main", f"--object-format={form}")
    if files is not None:
        made.commit(files)
    return made


def merge(on: Repository, tip: str, landings: list[Landing]) -> list[Landed]:
    """All of it; the merge must be clean and nothing in the way. It is added to the landings."""
    mine = ours(on.checkout, landings)
    merged = compute(on.checkout, tip, mine)
    assert isinstance(merged, Merged), merged
    assert obstacles(on.checkout, merged.changes) == []
    landed = list(land(on.checkout, merged.changes))
    assert {each.outcome for each in landed} <= {Outcome.WRITTEN}, landed
    landings.append(Landing(tip, merged.changes))
    return landed


def take_back(on: Repository, landings: list[Landing]) -> list[Landed]:
    """The newest landing."""
    return list(undo(on.checkout, landings.pop().changes))
