"""A folder and an index of our own, which end with what they were made for."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from muster.git.run import Checkout, alone, git
from muster.model import filename
from muster.model.change import Content

ABSENT = b"0 " + b"0" * 40


@contextmanager
def alone_for(project: Checkout, purpose: str) -> Iterator[Path]:
    """A folder beside the checkout's index, for something of which there is one at a time.

    What one that died left is removed before.
    """
    ours = project.git_dir / "muster"
    ours.mkdir(mode=0o700, exist_ok=True)
    with alone(ours / f"{purpose}.lock"):
        for left in ours.glob(f"{purpose}-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=f"{purpose}-", dir=ours) as folder:
            yield Path(folder)


def enter(project: Checkout, index: Path, entries: Mapping[str, Content | None]) -> None:
    """Put these into an index; None takes out what stands there. Git refuses a path that it would not check out."""
    lines = [_line(path, content) for path, content in entries.items()]
    git(project, "update-index", "-z", "--index-info", stdin=b"".join(lines), index=index)


def _line(path: str, content: Content | None) -> bytes:
    what = ABSENT if content is None else f"{content.mode} {content.blob}".encode()
    return what + b"\t" + filename.raw(path) + b"\0"
