"""Git, called so that nothing in a repository runs by itself and nothing in the environment decides.

Above it: what knows worktrees, snapshots and merges. Below it: the `git` command. Everything in an agent's worktree,
its `.git` file included, may have been written to harm: so each call names the folder of the checkout and its files,
and none of the commands that a repository's own configuration brings is run.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muster.errors import GitFailed

SECONDS = 300.0  # a bound for the largest repositories, not a wish
TOLD = 400  # characters of git's own words
DRIVERS = r"^(filter\..*\.(clean|smudge|process)|merge\..*\.driver)$"
WORDS = (b"[filter", b"[merge", b"[include")  # without any of them a file configures no driver

ALWAYS = (
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
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
        raise GitFailed(what=arguments[0], why=_words(err) or f"exit {code}")
    return out


def ask(
    checkout: Checkout,
    *arguments: str,
    stdin: bytes = b"",
    index: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, bytes, bytes]:
    """Exit code, output and errors, for calls whose exit code is an answer. Raises GitFailed where git cannot run."""
    command = ["git", f"--git-dir={checkout.git_dir}", f"--work-tree={checkout.work_tree}", *arguments]
    variables = _environment(index) | _settings([*ALWAYS, *_disarmed(checkout)]) | dict(environment or {})
    return _run(command, variables, stdin, checkout.work_tree)


def _run(command: Sequence[str], variables: Mapping[str, str], stdin: bytes, cwd: Path) -> tuple[int, bytes, bytes]:
    at = cwd if cwd.is_dir() else Path("/")
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, env=dict(variables), cwd=at, timeout=SECONDS, check=False
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
    found = []
    for file in (checkout.common / "config", checkout.git_dir / "config.worktree"):
        if not _may_configure_drivers(file):
            continue
        command = ["git", "config", "--file", str(file), "--includes", "--null", "--get-regexp", DRIVERS]
        code, out, err = _run(command, _environment(None), b"", Path("/"))
        if code not in (0, 1):  # 1: there is none
            raise GitFailed(what="config", why=_words(err))
        entries = out.decode(errors="surrogateescape").split("\0")
        found += [(key, value) for key, _, value in (entry.partition("\n") for entry in entries) if key]
    return found


def _may_configure_drivers(file: Path) -> bool:
    """Asking git takes longer than most of what it is asked for."""
    try:
        told = file.read_bytes().lower()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise GitFailed(what="config", why=str(error)) from error
    return any(word in told.replace(b" ", b"") for word in WORDS)


def _words(err: bytes) -> str:
    return err.decode(errors="replace").strip().removeprefix("fatal: ")[:TOLD]
