"""Git repositories of a user's, made and looked at with git itself."""

import os
import subprocess
from pathlib import Path

USER = {
    "GIT_AUTHOR_NAME": "u",
    "GIT_AUTHOR_EMAIL": "u@example.org",
    "GIT_COMMITTER_NAME": "u",
    "GIT_COMMITTER_EMAIL": "u@example.org",
}


def say(folder: Path, *arguments: str) -> str:
    """What git prints there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env=kept | USER, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def commit(folder: Path, says: str = "work", **files: str) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    say(folder, "add", "--all")
    say(folder, "commit", "--quiet", "--allow-empty", "-m", says)
    return say(folder, "rev-parse", "HEAD")


def repository(folder: Path, **files: str) -> str:
    """One with a first commit on `main`. Returns that."""
    folder.mkdir(parents=True, exist_ok=True)
    say(folder, "init", "--quiet", "--initial-branch", "main")
    return commit(folder, "first", **({"README": "hello\n"} | files))


def seen(folder: Path, name: str, file: str) -> str:
    """A file as a commit or a ref has it."""
    return say(folder, "show", f"{name}:{file}")


def users_own(folder: Path) -> tuple[str, ...]:
    """All of a checkout that nobody but its user may change: HEAD, branch, index, stash, and each file's content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    contents = [f"{path.relative_to(folder)}\0{path.read_bytes()!r}" for path in files]
    return (
        say(folder, "rev-parse", "HEAD"),
        say(folder, "branch", "--show-current"),
        say(folder, "ls-files", "--stage"),
        say(folder, "stash", "list"),
        *contents,
    )
