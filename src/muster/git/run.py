"""Git, called so that nothing in a repository runs by itself and nothing in the environment decides.

Above it: what knows worktrees, snapshots and merges. Below it: the `git` command. Everything in an agent's worktree,
its `.git` file included, may have been written to harm: so each call names the folder of the checkout and its files,
and none of the commands that a repository's own configuration brings is run.
"""

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from muster.errors import GitFailed

SECONDS = 300.0  # a bound for the largest repositories, not a wish
TOLD = 400  # characters of git's own words
PAUSE_SECONDS = 0.05
DRIVERS = r"^(filter\..*\.(clean|smudge|process)|merge\..*\.driver)$"
WORDS = (b"[filter", b"[merge", b"[include")  # without any of them a file configures no driver

ALWAYS = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.alternateRefsCommand", "true"),  # told nothing
    ("core.splitIndex", "false"),  # an index of ours is one file, and leaves none beside the user's
    ("core.pager", "cat"),
    ("core.quotePath", "false"),
    ("advice.detachedHead", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("protocol.allow", "never"),
    ("protocol.file.allow", "always"),
    ("commit.gpgSign", "false"),
    ("submodule.recurse", "false"),
)
_held: ContextVar[tuple[int, ...]] = ContextVar("held", default=())  # locks that a command inherits

LFS = {  # drivers that `git lfs install --local` writes: the only ones of a repository's own that are let through
    "clean": "git-lfs clean -- %f",
    "smudge": "git-lfs smudge -- %f",
    "process": "git-lfs filter-process",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """One checkout of a repository, named whole.

    `common` is the repository's own folder, with its objects and refs. `git_dir` is this checkout's folder, with its
    HEAD and index: `common` itself, or one under `common/worktrees`. `work_tree` holds its files.
    """

    common: Path
    git_dir: Path
    work_tree: Path


def git(
    checkout: Checkout,
    *arguments: str,
    stdin: bytes = b"",
    index: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> bytes:
    """What git prints. `index` is used in place of the checkout's own. Raises GitFailed, with git's own words."""
    code, out, err = ask(checkout, *arguments, stdin=stdin, index=index, environment=environment)
    if code:
        raise GitFailed(what=_verb(arguments), why=_words(err) or f"exit {code}")
    return out


def ask(
    checkout: Checkout,
    *arguments: str,
    stdin: bytes = b"",
    index: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors, for calls whose exit code is an answer. Raises GitFailed where git cannot run."""
    variables = _environment(index) | _settings([*ALWAYS, *_disarmed(checkout)]) | dict(environment or {})
    return _run([*_named(checkout), *arguments], variables, stdin, checkout.work_tree)


def discover(directory: Path, *arguments: str) -> bytes:
    """What git prints of the repository that it finds from a folder upwards.

    For the user's own folders, whose `.git` is believed. Raises GitFailed, where there is none too.
    """
    if not directory.is_dir():
        raise GitFailed(what=arguments[0], why=f"{directory} is not a folder")
    code, out, err = _run(["git", *arguments], _environment(None) | _settings(ALWAYS), b"", directory)
    if code:
        raise GitFailed(what=arguments[0], why=_words(err) or f"exit {code}")
    return out


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """Waits until nobody else works under this lock file: neither in this process nor in another.

    The git commands begun meanwhile hold it too, so that one which outlives a killed hub is waited for. False: who had
    it took the file away, so it locks nothing any more.
    """
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise GitFailed(what="lock", why=str(error)) from error
    try:
        _lock(handle, lock)
        _held.set((*_held.get(), handle))
        try:
            yield lock.exists() and lock.stat().st_ino == os.fstat(handle).st_ino
        finally:  # no token: a landing is taken up in one thread and ended in another
            _held.set(tuple(held for held in _held.get() if held != handle))
    finally:
        os.close(handle)


def _lock(handle: int, lock: Path) -> None:
    until = time.monotonic() + SECONDS
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > until:
                raise GitFailed(what="lock", why=f"{lock} has been held for {SECONDS:.0f} s") from error
            time.sleep(PAUSE_SECONDS)


def _named(checkout: Checkout) -> list[str]:
    return ["git", f"--git-dir={checkout.git_dir}", f"--work-tree={checkout.work_tree}"]


def _run(command: Sequence[str], variables: Mapping[str, str], stdin: bytes, cwd: Path) -> tuple[int, bytes, bytes]:
    at = cwd if cwd.is_dir() else Path("/")
    try:
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            env=dict(variables),
            cwd=at,
            timeout=SECONDS,
            check=False,
            pass_fds=_held.get(),
        )
    except FileNotFoundError as error:
        raise GitFailed(what="itself", why="there is no git on the PATH") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GitFailed(what=command[-1], why=str(error)[:TOLD]) from error
    return done.returncode, done.stdout, done.stderr


def _environment(index: Path | None) -> dict[str, str]:
    """The user's, without what steers git."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    fixed = {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_EDITOR": "false",
        "LC_ALL": "C",
    }
    return kept | fixed | ({} if index is None else {"GIT_INDEX_FILE": str(index)})


def _settings(settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Configuration as variables, over that of every file: on the command line a name with `=` would be cut there."""
    told = {"GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings):
        told |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return told


def _disarmed(checkout: Checkout) -> list[tuple[str, str]]:
    """Settings that take their commands from the drivers that the repository itself configures.

    An agent's shell can write them there. Those of the user's own configuration stay: they are the user's word.
    """
    settings = []
    for key, value in _own_drivers(checkout):
        kind, _, rest = key.partition(".")
        name, _, verb = rest.rpartition(".")
        if kind == "filter" and LFS.get(verb) != value:
            settings += [(f"filter.{name}.{verb}", ""), (f"filter.{name}.required", "false")]
        elif kind == "merge":
            settings.append((f"merge.{name}.driver", "false"))  # what it would have merged is a conflict
    return settings


def _own_drivers(checkout: Checkout) -> list[tuple[str, str]]:
    """Key and value of those that stand in the repository's own files, with what these include."""
    if not any(map(_may_configure_drivers, (checkout.common / "config", checkout.git_dir / "config.worktree"))):
        return []
    # Asked as git itself reads it: whether an `includeIf` holds depends on the checkout.
    command = [*_named(checkout), "config", "--show-scope", "--null", "--get-regexp", DRIVERS]
    code, out, err = _run(command, _environment(None), b"", checkout.work_tree)
    if code not in (0, 1):  # 1: there is none
        raise GitFailed(what="config", why=_words(err))
    told = iter(out.decode(errors="surrogateescape").split("\0"))
    entries = [(scope, entry.partition("\n")) for scope, entry in zip(told, told, strict=False)]
    return [(key, value) for scope, (key, _, value) in entries if scope in ("local", "worktree")]


def _may_configure_drivers(file: Path) -> bool:
    """Asking git takes longer than most of what it is asked for."""
    try:
        told = file.read_bytes().lower()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise GitFailed(what="config", why=str(error)) from error
    return any(word in told.replace(b" ", b"") for word in WORDS)


def _verb(arguments: Sequence[str]) -> str:
    """What git is asked to do, behind the settings of this one call."""
    named = iter(arguments)
    return next((word for word in named if word != "-c" or not next(named, "")), "")


def _words(err: bytes) -> str:
    return err.decode(errors="replace").strip().removeprefix("fatal: ")[:TOLD]
