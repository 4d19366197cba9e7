"""One file that is to be changed: shown as a difference first, then replaced whole."""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from muster.errors import ConfigurationBroken, Conflict, StateNotWritable
from muster.hosts.opencode.entries import Addition
from muster.hosts.opencode.jsonc import BrokenJson
from muster.replacing import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file as it is and as it shall be; None: not there.

    `backup` is where it is kept as it is; `spent` are older backups of what it will be again. `kept` says what of ours
    stays in it, and why.
    """

    file: Path
    before: bytes | None
    after: bytes | None
    added: tuple[Addition, ...] = ()
    backup: Path | None = None
    spent: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def is_needed(self) -> bool:
        return self.before != self.after

    def diff(self) -> str:
        """As `diff -u` has it."""
        old, new = (_lines(content) for content in (self.before, self.after))
        was, will_be = (str(self.file) if content is not None else "/dev/null" for content in (self.before, self.after))
        return "\n".join(difflib.unified_diff(old, new, was, will_be, lineterm=""))

    def make(self) -> None:
        """Raises StateNotWritable, and Conflict where the file is not what it was any more."""
        if not self.is_needed:
            return
        if content_of(self.file) != self.before:
            raise Conflict(why=f"{self.file} was changed by somebody else in this moment; nothing was written to it.")
        if self.after is None:
            self.file.unlink()
        else:
            replace_file(self.file, self.after, like=self.file)


def content_of(file: Path) -> bytes | None:
    """None: there is no such file. Raises StateNotWritable."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateNotWritable(path=str(file), why=str(error)) from error


def backup_beside(file: Path, content: bytes | None) -> Path | None:
    """A name that no older backup has; one that says the same serves again."""
    if content is None:
        return None
    number = 1
    while True:
        backup = file.with_name(f"{file.name}.before-muster" + (f".{number}" if number > 1 else ""))
        if content_of(backup) in (None, content):
            return backup
        number += 1


@contextmanager
def edited(file: Path) -> Iterator[None]:
    """Say in which file something is wrong."""
    try:
        yield
    except BrokenJson as error:
        raise ConfigurationBroken(file=str(file), line=error.line, why=error.why) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationBroken(file=str(file), line=line, why="this is not UTF-8") from error


def _lines(content: bytes | None) -> list[str]:
    return [] if content is None else content.decode(errors="replace").splitlines()
