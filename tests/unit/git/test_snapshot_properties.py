"""Whatever an agent does, in whatever order: after a snapshot nothing that stood there or was committed is lost."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from unit.git.agents import REF, Agent
from unit.git.crashes import Lines
from unit.git.repositories import VARIABLES, repository

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

PATHS = ("a", "b", "dir/c", "dir/d", "dir", "x.log", "deep/er/e", "inner/i", "inner/x.log", "ü ñ\n'", "\udcff\udcfe")
paths = st.sampled_from(PATHS)
contents = st.sampled_from(("1", "2", "3", "x", "", "a longer one\n", "crlf\r\n"))
lines = st.integers(1, 300)


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Worktree(RuleBasedStateMachine):
    """An agent at work, and what it would be a loss to lose."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        on = repository(self.folder, {"a": "1", "b": "1", "dir/c": "1", ".gitignore": "*.log\n"})
        self.agent = Agent(on)
        self.commits: set[str] = set()

    @rule(path=paths, content=contents)
    def write(self, path: str, content: str) -> None:
        place = self.agent.folder / path
        for above in (*place.parents, place):
            if above != self.agent.folder and above.is_relative_to(self.agent.folder) and _in_the_way(above, place):
                above.unlink() if above.is_symlink() or above.is_file() else shutil.rmtree(above)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode())

    @rule(path=paths)
    def delete(self, path: str) -> None:
        place = self.agent.folder / path
        if place.is_symlink() or place.is_file():
            place.unlink()

    @rule(path=paths)
    def make_executable(self, path: str) -> None:
        if (self.agent.folder / path).is_file():
            (self.agent.folder / path).chmod(0o755)

    @rule(path=st.sampled_from(("a", "dir", "link")), to=st.sampled_from(("b", "/etc", "nowhere", "deep")))
    def link(self, path: str, to: str) -> None:
        place = self.agent.folder / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.symlink_to(to)

    @rule(path=paths, force=st.booleans())
    def stage(self, path: str, force: bool) -> None:
        self.agent.git("add", *(["--force"] if force else []), "--", path, fails=True)

    @rule(path=paths)
    def untrack(self, path: str) -> None:
        self.agent.git("rm", "--cached", "-r", "--quiet", "--", path, fails=True)

    @rule()
    def commit(self) -> None:
        self.agent.git("commit", "--quiet", "--allow-empty", "--message", "work", fails=True)
        self._remember()

    @rule()
    def amend(self) -> None:
        self.agent.git("commit", "--quiet", "--amend", "--allow-empty", "--message", "better", fails=True)
        self._remember()

    @rule(mode=st.sampled_from(("--soft", "--mixed", "--hard")))
    def reset(self, mode: str) -> None:
        self.agent.git("reset", "--quiet", mode, "HEAD~1", fails=True)

    @rule(name=st.sampled_from(("other", "third")))
    def switch(self, name: str) -> None:
        if self.agent.git("switch", "--quiet", name, fails=True):
            return
        self.agent.git("switch", "--quiet", "--create", name, fails=True)

    @rule()
    def switch_back_and_forget_the_branches(self) -> None:
        self.agent.git("switch", "--quiet", "muster/flt_1/ada", fails=True)
        self.agent.git("branch", "-D", "other", "third", fails=True)

    @rule()
    def detach(self) -> None:
        self.agent.git("checkout", "--quiet", "--detach", fails=True)

    @rule(name=st.sampled_from(("other", "third")))
    def merge(self, name: str) -> None:
        self.agent.git("merge", "--quiet", name, fails=True)
        self._remember()

    @rule(name=st.sampled_from(("other", "third")))
    def rebase(self, name: str) -> None:
        self.agent.git("rebase", "--quiet", "--autostash", name, fails=True)

    @rule()
    def stash(self) -> None:
        self.agent.git("stash", "push", "--quiet", fails=True)
        if self.agent.git("branch", "--show-current") == "muster/flt_1/ada":
            self.commits.update(self.agent.git("rev-parse", "--quiet", "--verify", "refs/stash", fails=True).split())

    @rule()
    def forget_the_past(self) -> None:
        """A new history, before its first commit."""
        self.agent.git("checkout", "--quiet", "--orphan", "anew", fails=True)

    @rule(content=contents)
    def embed(self, content: str) -> None:
        inner = self.agent.folder / "inner"
        if inner.is_symlink() or inner.is_file():
            inner.unlink()
        inner.mkdir(exist_ok=True)
        self.agent.on.git("init", "--quiet", at=inner)
        (inner / "i").write_text(content)

    @rule()
    def commit_in_the_embedded(self) -> None:
        if (self.agent.folder / "inner/.git").is_dir():
            self.agent.on.git("add", "--all", at=self.agent.folder / "inner", fails=True)
            self.agent.on.git("commit", "--quiet", "-m", "i", at=self.agent.folder / "inner", fails=True)

    @rule(what=st.sampled_from(("*.log\n", "b\n", "dir/\n", "", "!x.log\n")))
    def ignore(self, what: str) -> None:
        (self.agent.folder / ".gitignore").write_text(what)

    @rule()
    def lock(self) -> None:
        """As a git that was killed leaves it."""
        lock = self.agent.checkout.git_dir / "index.lock"
        lock.unlink() if lock.exists() else lock.touch()

    @rule(flag=st.sampled_from(("--assume-unchanged", "--skip-worktree")), path=paths)
    def hide(self, flag: str, path: str) -> None:
        self.agent.git("update-index", flag, "--", path, fails=True)

    @rule()
    @precondition(lambda self: hasattr(self, "agent"))
    def collect_garbage(self) -> None:
        self.agent.on.git("gc", "--quiet", "--prune=now", fails=True)

    @rule(line=lines)
    def die_while_a_snapshot_is_taken(self, line: int) -> None:
        Lines(line).run(self.agent.take)

    @rule()
    def take(self) -> None:
        standing, indexed = self._standing(), self._indexed()
        before = self._untouched()
        taken = self.agent.take()
        assert self._untouched() == before
        for place in (self.agent.on.top, self.agent.keep):
            reached = {line[:40] for line in self.agent.on.git("rev-list", "--objects", REF, at=place).splitlines()}
            assert self.commits <= reached
            assert set(standing.values()) <= reached
            assert indexed <= reached
        names = self.agent.on.git("ls-tree", "-r", "-z", "--name-only", taken.commit).split("\0")
        assert sorted(name for name in names if name) == sorted(standing)
        assert not self.agent.take().is_new

    @invariant()
    def users_own_is_as_it_was(self) -> None:
        if hasattr(self, "agent"):
            assert self.agent.on.status() == ""

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def _remember(self) -> None:
        self.commits.update(self.agent.git("rev-parse", "--quiet", "--verify", "HEAD", fails=True).split())

    def _untouched(self) -> tuple[object, ...]:
        """What is the agent's alone."""
        index = self.agent.checkout.git_dir / "index"
        head = (self.agent.checkout.git_dir / "HEAD").read_bytes()
        return (index.read_bytes() if index.exists() else None, head, self._standing())

    def _standing(self) -> dict[str, str]:
        """Blob of each file that is tracked or ignored by nobody, whichever repository it is in."""
        others = self._others("")
        ignored = set(self._ask("check-ignore", "-z", "--stdin", stdin="\0".join(others)).split("\0"))
        tracked = filter(None, self.agent.git("ls-files", "-z").split("\0"))
        found = {*(path for path in others if path not in ignored), *filter(self._is_file, tracked)}
        return {path: _blob_of(self.agent.folder / path) for path in found}

    def _is_file(self, path: str) -> bool:
        place = self.agent.folder / path
        is_elsewhere = any((self.agent.folder / above).is_symlink() for above in Path(path).parents)
        return not is_elsewhere and (place.is_symlink() or place.is_file())

    def _others(self, inside: str) -> list[str]:
        told = self._ask("ls-files", "-z", "--others", "--exclude-standard", inside=inside).split("\0")
        found = [inside + path for path in told if path]
        inner = [path for folder in found if folder.endswith("/") for path in self._others(folder)]
        return [path for path in found if not path.endswith("/")] + inner

    def _ask(self, *arguments: str, inside: str = "", stdin: str = "") -> str:
        """Git, to which no file is tracked."""
        at = self.agent.folder / inside
        place = [f"--git-dir={self.agent.checkout.git_dir}", f"--work-tree={at}"]
        environment = dict(os.environ) | VARIABLES | {"GIT_INDEX_FILE": str(self.folder / "nothing")}
        done = subprocess.run(
            ["git", *place, *arguments], cwd=at, env=environment, input=os.fsencode(stdin), capture_output=True
        )
        return os.fsdecode(done.stdout)

    def _indexed(self) -> set[str]:
        """Blobs that the agent's index holds, whatever stage they are in."""
        entries = self.agent.git("ls-files", "-s", "-z").split("\0")
        return {entry.split()[1] for entry in entries if entry and not entry.startswith("160000")}


def _in_the_way(above: Path, place: Path) -> bool:
    if above == place:
        return above.is_symlink() or above.is_dir()
    return above.is_symlink() or above.is_file()


def _blob_of(place: Path) -> str:
    return blob(os.fsencode(place.readlink()) if place.is_symlink() else place.read_bytes())


@pytest.mark.timeout(600)
class TestWorktree(Worktree.TestCase):
    settings = settings(
        max_examples=int(os.environ.get("MUSTER_EXAMPLES", "6")),
        stateful_step_count=25,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
