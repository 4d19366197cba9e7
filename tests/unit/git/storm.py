"""A user, agents and crashes, in any order, over one real repository; and what must hold after each of their deeds.

The user does whatever people do to a checkout. Agents' work is landed and taken back as the reconciler does it: a
journal says what is to be done, so that whoever dies on the way is followed by another that reads it. What is checked
does not ask git: contents are compared with the names that git must give them.
"""

import hashlib
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import BinaryIO

from muster.git.landing import Landed, Outcome, land, undo
from muster.git.merging import Conflicted, Landing, compute, keep, ours
from muster.git.obstacles import SPARE, Obstacle, obstacles
from muster.git.project import in_progress
from muster.git.run import Checkout
from muster.model import filename
from muster.model.change import Content, PathChange
from unit.git.repositories import VARIABLES

DIED = 9
FAILED = 1
AGENTS = 3
PATHS = [
    *(b"a", b"a/b", b"b.txt", b"c.txt", b"d", b"d/x", b"d/y.txt", b"d/e/z", b"link", b"run.sh", b"x.log", b"d/e/y.log"),
    *("ü.txt".encode(), b"\xff\xfe.bin", b"sub dir/f f", b"new\nline", b"-dash", b":colon", b"st*r", b'q"uote\\'),
]
ATTRIBUTES = [b"", b"*.txt text eol=crlf\n", b"* text=auto\n", b"*.bin binary\n*.sh text eol=lf\n"]
Entry = tuple[str, bytes]  # git's mode, and the content or the symlink's target
Tree = dict[bytes, Entry]


# ── what people and agents write ─────────────────────────────────────────────────────────────────


def fresh(chance: Random, old: Entry | None = None) -> Entry:
    """Something new for a path, most often a text with another line."""
    mode = old[0] if old else "100644"
    roll = chance.random()
    if roll < 0.1:
        return "120000", chance.choice([b"a", b"../outside/f", b"d", b"nowhere", b"../outside"])
    if roll < 0.2:
        return "100644", bytes(chance.randrange(256) for _ in range(chance.randrange(40)))
    if roll < 0.3 and old and mode != "120000":
        return ("100755" if mode == "100644" else "100644"), old[1]
    text = old[1] if old and mode != "120000" and b"\0" not in old[1] else b"".join(b"%d\n" % n for n in range(12))
    lines = text.split(b"\n")
    lines[chance.randrange(len(lines))] = b"%x" % chance.getrandbits(32)
    return ("100644" if mode == "120000" else mode), b"\n".join(lines)


def plant(tree: Tree, path: bytes, entry: Entry) -> None:
    """A file takes the place of a folder, and a folder that of a file."""
    for other in [other for other in tree if other.startswith(path + b"/") or path.startswith(other + b"/")]:
        del tree[other]
    tree[path] = entry


def worked_on(tree: Tree, chance: Random, times: int, *, plain: bool) -> Tree:
    made = dict(tree)
    for _ in range(times):
        path = chance.choice(PATHS)
        roll = chance.random()
        if roll < 0.15 and path in made:
            del made[path]
        elif roll < 0.3 and path in made:
            plant(made, chance.choice(PATHS), made.pop(path))
        elif roll < 0.35 and not plain:
            plant(made, b".gitattributes", ("100644", chance.choice(ATTRIBUTES)))
        else:
            plant(made, path, fresh(chance, made.get(path)))
    return made


def imported(commits: Sequence[tuple[str, int | None, Tree]]) -> bytes:
    """Branch, parent and tree of each, as `git fast-import` reads them."""
    out = []
    for mark, (ref, parent, tree) in enumerate(commits, start=1):
        out.append(b"commit %s\nmark :%d\ncommitter S <s@localhost> %d +0000\ndata 0\n" % (ref.encode(), mark, 10**9))
        out.append(b"" if parent is None else b"from :%d\n" % parent)
        out.append(b"deleteall\n")
        for path, (mode, content) in tree.items():
            quoted = b"".join(b"\\%03o" % byte for byte in path)
            out.append(b'M %s inline "%s"\ndata %d\n%s\n' % (mode.encode(), quoted, len(content), content))
    return b"".join(out)


# ── what stands ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class File:
    mode: int
    content: bytes
    modified: int
    inode: int


Files = dict[bytes, File]
World = tuple[Files, dict[bytes, bytes]]


def files_below(top: Path, *leaving_out: str) -> Files:
    found = {}
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        folders[:] = [name for name in folders if str((here / name).relative_to(top)) not in leaving_out]
        for file in [here / name for name in [*files, *(name for name in folders if (here / name).is_symlink())]]:
            told = file.lstat()
            content = os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes()
            path = os.fsencode(file.relative_to(top))
            found[path] = File(told.st_mode, content, told.st_mtime_ns, told.st_ino)
    return found


@dataclass
class Journal:
    """What the rows of a merge say."""

    answer: str = "requested"
    changes: tuple[PathChange, ...] = ()
    outcomes: list[Landed] = field(default_factory=list)
    in_the_way: list[Obstacle] = field(default_factory=list)


def read(journal: Path) -> Journal:
    try:
        return pickle.loads(journal.read_bytes())
    except FileNotFoundError:
        return Journal()


def write(journal: Path, told: Journal) -> None:
    draft = journal.with_suffix(".draft")
    draft.write_bytes(pickle.dumps(told))
    draft.replace(journal)


# ── dying ────────────────────────────────────────────────────────────────────────────────────────

MORTAL = ["rename", "link", "unlink", "symlink", "mkdir", "rmdir", "fsync", "open", "fchmod"]


def died(step: Callable[[], None], left: int) -> bool:
    """Do it in a process that ends, without another word, before or after one of what it asks of git or of the disk.
    Whether it did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads stand still in the child
        child = os.fork()
    if child == 0:
        _mortally(step, left)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, DIED), f"the step failed, exit {code}: its words are above"
    return code == DIED


def _mortally(step: Callable[[], None], left: int) -> None:
    count = iter(range(left, -1, -1))

    def tick() -> None:
        if next(count, 0) == 0:
            os._exit(DIED)

    try:
        for name in MORTAL:
            setattr(os, name, _fatal(getattr(os, name), tick))
        subprocess.run = _fatal(subprocess.run, tick)
        shutil.copyfileobj = _torn(tick)
        step()
    finally:
        failed = sys.exc_info()[0] is not None
        if failed:
            traceback.print_exc()
        os._exit(FAILED if failed else 0)


def _fatal(real: Callable[..., object], tick: Callable[[], None]) -> Callable[..., object]:
    def call(*arguments: object, **named: object) -> object:
        tick()
        done = real(*arguments, **named)
        tick()
        return done

    return call


def _torn(tick: Callable[[], None]) -> Callable[..., None]:
    def copy(source: BinaryIO, target: BinaryIO, *_: object) -> None:
        content = source.read()
        target.write(content[: len(content) // 2])
        target.flush()
        tick()
        target.write(content[len(content) // 2 :])

    return copy


# ── the storm ────────────────────────────────────────────────────────────────────────────────────


class Storm:
    """`plain`: no attribute or setting turns line ends, so that a file's content is its blob's, byte for byte.

    `calm`: the user has done nothing since the last landing. `untouched`: nothing at all.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = Random(seed)
        self.plain = self.chance.random() < 0.6
        self.calm = self.untouched = True
        self.folder, self.top, self.outside = folder, folder / "project", folder / "outside"
        self.outside.mkdir()
        (self.outside / "f").write_bytes(b"outside\n")
        self.standing: list[tuple[int, Landing]] = []  # the agent, and what was landed of it
        self.merges = 0
        self.answers: list[str] = []
        self._begin()

    def _begin(self) -> None:
        chance = self.chance
        base: Tree = {b".gitignore": ("100644", b"*.log\n")}
        if not self.plain:
            base[b".gitattributes"] = ("100644", chance.choice(ATTRIBUTES))
        for path in PATHS:
            if chance.random() < 0.5 and not path.endswith(b".log"):
                plant(base, path, fresh(chance))
        commits: list[tuple[str, int | None, Tree]] = [("refs/heads/main", None, base)]
        commits.append(
            ("refs/heads/other", 1, worked_on(base, chance, 3, plain=self.plain) | {b"b.txt": ("100644", b"other\n")})
        )
        for agent in range(AGENTS):
            first = worked_on(base, chance, chance.randrange(1, 5), plain=self.plain)
            commits.append((f"refs/heads/agents/{agent}", 1, first))
            parent = len(commits) if chance.random() < 0.7 else 1  # or an amended commit
            later = worked_on(first, chance, chance.randrange(4), plain=self.plain)
            commits.append((f"refs/heads/agents/{agent}-later", parent, later))
        shutil.copytree(empty_repository(), self.top)
        marks = self.folder / "marks"
        self.git("fast-import", "--quiet", f"--export-marks={marks}", stdin=imported(commits))
        told = dict(line.split() for line in marks.read_text().splitlines())
        self.tips = [(told[f":{3 + 2 * agent}"], told[f":{4 + 2 * agent}"]) for agent in range(AGENTS)]
        if not self.plain and chance.random() < 0.5:
            self.git("config", "core.autocrlf", chance.choice(["true", "input"]))
        self.git("reset", "-q", "--hard", "main")

    @property
    def checkout(self) -> Checkout:
        return Checkout(common=self.top / ".git", git_dir=self.top / ".git", work_tree=self.top)

    def git(self, *arguments: str, stdin: bytes = b"") -> None:
        """Whatever comes of it: users are refused too."""
        command = ["git", "-C", str(self.top), "-c", "core.safecrlf=false", *arguments]
        subprocess.run(command, input=stdin, capture_output=True, env=os.environ | VARIABLES, check=False)

    def world(self) -> World:
        """The user's files, those beside the repository too; and what git keeps for the user."""
        files = files_below(self.top, ".git")
        files |= {b"../outside/" + path: file for path, file in files_below(self.outside).items()}
        git = {path: file.content for path, file in files_below(self.top / ".git", *OURS).items()}
        if packed := git.get(b"packed-refs"):
            git[b"packed-refs"] = b"\n".join(line for line in packed.split(b"\n") if b" refs/muster/" not in line)
        return files, git

    def do(self, deed: str) -> None:
        kind, _, which = deed.partition(" ")
        if kind == "land":
            self.land(int(which))
        elif kind == "undo":
            self.undo()
        else:
            with suppress(OSError):  # where the path is a folder, or is in none
                DEEDS[deed](self)
            self.calm = self.untouched = False

    def land(self, agent: int) -> None:
        tip = self.chance.choice(self.tips[agent])
        landings = [landing for _, landing in self.standing]
        since = next((landing.tip for by, landing in reversed(self.standing) if by == agent), None)
        self.merges += 1
        journal = self.folder / f"merge-{self.merges}"

        def step() -> None:
            told = read(journal)
            if told.answer == "requested":
                told = self._computed(tip, landings, since)
                write(journal, told)
            if told.answer == "computed":
                told.outcomes = list(land(self.checkout, told.changes))
                told.answer = "landed"
                write(journal, told)

        before, calm = self._finish(step)
        told = read(journal)
        self._check(told, told.changes, before, calm=calm)
        self.answers.append(told.answer)
        is_first = self.untouched and "landed" not in self.answers[:-1]
        assert not (is_first and self.plain) or told.answer not in ("refused", "busy"), told.in_the_way
        self.calm = calm and (self.calm or told.answer == "landed")
        if told.answer == "landed":
            changes = tuple(each.change for each in told.outcomes if each.outcome is not Outcome.BLOCKED)
            self.standing.append((agent, Landing(tip, changes)))

    def _computed(self, tip: str, landings: Sequence[Landing], since: str | None) -> Journal:
        if in_progress(self.checkout):
            return Journal("busy")
        mine = ours(self.checkout, landings)
        merged = compute(self.checkout, tip, mine, since=since)
        if isinstance(merged, Conflicted):
            assert merged.conflicts
            return Journal("conflicted")
        if in_the_way := obstacles(self.checkout, merged.changes):
            return Journal("refused", in_the_way=in_the_way)
        if not merged.changes:
            return Journal("empty")
        keep(self.checkout, f"refs/muster/merges/{self.merges}", merged, [mine, tip])
        return Journal("computed", changes=merged.changes)

    def undo(self) -> None:
        if not self.standing:
            return
        newest = len(self.standing) - 1
        at = self.chance.choice([newest, self.chance.randrange(len(self.standing))])
        _, landing = self.standing.pop(at)
        self.merges += 1
        journal = self.folder / f"undo-{self.merges}"

        def step() -> None:
            if read(journal).answer == "requested":
                write(journal, Journal("undone", outcomes=list(undo(self.checkout, landing.changes))))

        was_calm = self.calm
        before, calm = self._finish(step)
        told = read(journal)
        self._check(told, landing.changes, before, calm=calm and was_calm and at == newest, backwards=True)
        self.answers.append("undone")
        self.calm = self.calm and calm and at == newest

    def _finish(self, step: Callable[[], None]) -> tuple[World, bool]:
        """Run it until it is done, over crashes, and deeds of the user after them: the world as the user left it, and
        whether the user did nothing."""
        before, calm = self.world(), True
        while self.chance.random() < 0.5 and died(step, self.chance.choice([8, 40, 160])):
            if self.chance.random() < 0.2:
                with suppress(OSError):
                    DEEDS[self.chance.choice(FILE_DEEDS)](self)
                before, calm = (self.world()[0], before[1]), False
                self.untouched = False
        step()
        return before, calm

    def _check(
        self, told: Journal, planned: Sequence[PathChange], before: World, *, calm: bool, backwards: bool = False
    ) -> None:
        after = self.world()
        assert {path for path in after[0] if is_spare(path)} == set()
        paths = {filename.raw(change.path) for change in planned}
        assert rest(after[0], paths) == rest(before[0], paths)
        assert after[1] == before[1]
        for landed in told.outcomes:
            path, change = filename.raw(landed.change.path), landed.change.backwards() if backwards else landed.change
            stood, stands = before[0].get(path), after[0].get(path)
            if landed.outcome is Outcome.BLOCKED:
                assert not calm, f"{path!r}: {landed.why}"
                assert stands == stood, f"{path!r} was changed although it was blocked"
            else:
                assert {change.old, change.new} & self._contents(stood), f"{path!r} was overwritten: {stood}"
                assert change.new in self._contents(stands), f"{path!r} is {stands}"

    def _contents(self, file: File | None) -> set[Content | None]:
        """What git may keep of it: the bytes as they are, or with the ends of lines that Unix has."""
        if file is None:
            return {None}
        if stat.S_ISLNK(file.mode):
            return {Content(mode="120000", blob=blob_of(file.content))}
        mode = "100755" if file.mode & stat.S_IXUSR else "100644"
        bytes_of = {file.content} if self.plain else {file.content, file.content.replace(b"\r\n", b"\n")}
        return {Content(mode=mode, blob=blob_of(content)) for content in bytes_of}

    def end(self) -> None:
        """Each commit of an agent's, and each content that was landed or replaced, is there whatever was cleared."""
        self.git("gc", "--quiet", "--prune=now")
        known = {tip for tips in self.tips for tip in tips}
        for _, landing in self.standing:
            known |= {blob for change in landing.changes for blob in (change.old_blob, change.new_blob) if blob}
        command = ["git", "-C", str(self.top), "cat-file", "--batch-check"]
        told = subprocess.run(command, input="\n".join(known), capture_output=True, text=True, check=True).stdout
        assert " missing" not in told


OURS = ("objects", "muster", "refs/muster", "logs/refs/muster")


@cache
def empty_repository() -> Path:
    made = Path(tempfile.mkdtemp()) / "empty"
    subprocess.run(["git", "init", "-q", "-b", "main", str(made)], check=True, env=os.environ | VARIABLES)
    shutil.rmtree(made / ".git" / "hooks")
    with (made / ".git" / "config").open("a") as config:
        config.write("[user]\n\tname = User\n\temail = user@localhost\n[gc]\n\tauto = 0\n")
    return made


def blob_of(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_spare(path: bytes) -> bool:
    return SPARE.encode() in path


def rest(files: Files, paths: set[bytes]) -> Files:
    return {path: file for path, file in files.items() if path not in paths and not is_spare(path)}


# ── the user's deeds ─────────────────────────────────────────────────────────────────────────────


def place(storm: Storm) -> Path:
    return storm.top / os.fsdecode(storm.chance.choice(PATHS))


def existing(storm: Storm) -> str:
    """A path that stands there, for git; most often one."""
    found = sorted(files_below(storm.top, ".git"))
    return os.fsdecode(storm.chance.choice(found)) if found else "nowhere"


def edit(storm: Storm) -> None:
    file = storm.top / existing(storm)
    file.write_bytes(file.read_bytes() + b"%x\n" % storm.chance.getrandbits(64))


def create(storm: Storm) -> None:
    file = place(storm)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.is_symlink():
        file.write_bytes(b"the user's %x\n" % storm.chance.getrandbits(64))


def ignore(storm: Storm) -> None:
    (storm.top / storm.chance.choice(["x.log", "other.log"])).write_bytes(b"log %x\n" % storm.chance.getrandbits(64))


def remove(storm: Storm) -> None:
    (storm.top / existing(storm)).unlink()


def permit(storm: Storm) -> None:
    file = storm.top / existing(storm)
    if not file.is_symlink():
        file.chmod(storm.chance.choice([0o600, 0o644, 0o755, 0o700]))


def link(storm: Storm) -> None:
    file = place(storm)
    file.unlink(missing_ok=True)
    file.symlink_to(storm.chance.choice(["a", "../outside", "../outside/f", "nowhere"]))


def move_out(storm: Storm) -> None:
    """A folder becomes a symlink to one outside, with all that is in it."""
    folder = storm.top / storm.chance.choice(["d", "d/e", "sub dir"])
    target = storm.outside / f"moved-{storm.chance.getrandbits(32)}"
    if folder.is_dir() and not folder.is_symlink():
        folder.rename(target)
        folder.symlink_to(target)


def replace_by_folder(storm: Storm) -> None:
    file = place(storm)
    file.unlink()
    file.mkdir()
    if storm.chance.random() < 0.5:
        (file / "inside").write_bytes(b"inside\n")


def touch(storm: Storm) -> None:
    os.utime(storm.top / existing(storm), follow_symlinks=False)


def command(*arguments: str) -> Callable[[Storm], None]:
    return lambda storm: storm.git(*arguments)


def on_path(*arguments: str) -> Callable[[Storm], None]:
    return lambda storm: storm.git(*arguments, "--", f":(literal){existing(storm)}")


def commit_all(storm: Storm) -> None:
    storm.git("add", "--all")
    storm.git("commit", "-qm", "all")


def conflict(storm: Storm) -> None:
    """In the middle of a merge, with most of it resolved or nothing of it."""
    (storm.top / "b.txt").unlink(missing_ok=True)
    (storm.top / "b.txt").write_bytes(b"mine %x\n" % storm.chance.getrandbits(64))
    commit_all(storm)
    storm.git("merge", "-q", "-m", "merged", "other")
    if storm.chance.random() < 0.5:
        (storm.top / "b.txt").write_bytes(b"resolved by hand\n")


FILES: dict[str, Callable[[Storm], None]] = {
    deed.__name__: deed for deed in (edit, create, ignore, remove, permit, link, move_out, replace_by_folder, touch)
}
DEEDS: dict[str, Callable[[Storm], None]] = FILES | {
    "add": on_path("add"),
    "add by force": on_path("add", "-f"),
    "intend to add": on_path("add", "-N"),
    "unstage": command("reset", "-q"),
    "remove and stage": on_path("rm", "-qf"),
    "take one back": on_path("checkout", "-q", "HEAD"),
    "commit": command("commit", "-qm", "staged"),
    "commit all": commit_all,
    "amend": command("commit", "-qa", "--amend", "-m", "amended"),
    "reset": command("reset", "-q", "--hard"),
    "reset to the commit before": command("reset", "-q", "--hard", "HEAD~"),
    "stash": command("stash", "-q"),
    "stash pop": command("stash", "pop", "-q"),
    "switch away": command("checkout", "-q", "other"),
    "switch back": command("checkout", "-q", "main"),
    "detach": command("checkout", "-q", "--detach"),
    "merge": command("merge", "-q", "-m", "merged", "other"),
    "conflict": conflict,
    "abort": command("merge", "--abort"),
    "collect garbage": command("gc", "--quiet", "--prune=now"),
}
FILE_DEEDS = list(FILES)


def deeds(chance: Random) -> Iterator[str]:
    """Half of all that happens is landed or taken back; the user mostly edits, and comes to an end with merges."""
    for _ in range(chance.randrange(2, 14)):
        roll = chance.random()
        if roll < 0.5:
            yield "undo" if chance.random() < 0.3 else f"land {chance.randrange(AGENTS)}"
        else:
            deed = chance.choice(FILE_DEEDS if roll < 0.75 else list(DEEDS))
            yield deed
            if deed == "conflict":
                yield f"land {chance.randrange(AGENTS)}"
                yield "abort"


MEMORY = Path("/dev/shm")  # where it is, no disk is waited for


def storm(seed: int) -> list[str]:
    """One whole case; the answers that merges and undoings had."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        passing = Storm(Path(folder), seed)
        for deed in deeds(Random(seed)):
            passing.do(deed)
        passing.end()
        return passing.answers
