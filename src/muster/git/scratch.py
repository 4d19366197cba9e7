"""Folders and indexes of our own inside a repository, which end with what they were made for."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from muster.git.run import Checkout, git
from muster.model import filename
from muster.model.change import Content

ABSENT = b"0 " + b"0" * 40


@contextmanager
def scratch(project: Checkout, purpose: str) -> Iterator[Path]:
    """A folder beside the checkout's index, so on the same disk and open to nobody else."""
    ours = project.git_dir / "muster"
    ours.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=ours) as folder:
        yield Path(folder)


def remove_leftovers(project: Checkout, purpose: str) -> None:
    """What a process that died left of such folders. For a purpose of which there is one at a time."""
    for folder in (project.git_dir / "muster").glob(f"{purpose}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def enter(project: Checkout, index: Path, entries: Mapping[str, Content | None]) -> None:
    """Put these into an index; None takes out what stands there. Git refuses a path that it would not check out."""
    lines = [_line(path, content) for path, content in entries.items()]
    git(project, "update-index", "-z", "--index-info", stdin=b"".join(lines), index=index)


def _line(path: str, content: Content | None) -> bytes:
    what = ABSENT if content is None else f"{content.mode} {content.blob}".encode()
    return what + b"\t" + filename.raw(path) + b"\0"
