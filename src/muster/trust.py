"""What a project's own `.muster/config.toml` may say, and what of it counts.

The file lies in the repository: whoever can push there can write it. What asks for less than the user's own settings
counts at once. What asks for more counts only after `muster trust`, and only while the file is as it was then.
Above it: the reader of places, the command line. Below it: the project's file, and `trust.json` in the state folder.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # settings by their names

from muster.config import Settings, load_project, project_file
from muster.errors import StateNotWritable
from muster.git.project import top_level
from muster.home import Home
from muster.model.ask import OnAsk
from muster.model.worktree import Beginning, Isolation
from muster.replacing import replace_file

UNTRUSTED = (
    "{file} asks for more than your own settings allow ({keys}): that is not in force. "
    "Look at it, then let it count with `muster trust {project}`."
)


LEAVE = (OnAsk.REFUSE, OnAsk.OPERATOR, OnAsk.ALLOW)  # the later asks for more
Value = int | OnAsk | Isolation | Beginning | str | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One setting of a project: a ceiling, where 0 means no limit, a policy, or how worktrees are made.

    `own` is the user's.
    """

    key: str
    value: Value
    own: Value

    @property
    def is_more(self) -> bool:
        match self.value, self.own:
            case OnAsk(), OnAsk():
                return LEAVE.index(self.value) > LEAVE.index(self.own)
            case Isolation(), Isolation():  # who works in the user's own checkout
                return self.value is Isolation.NEVER and self.own is not Isolation.NEVER
            case Beginning(), Beginning():
                return False
            case bool(value), bool(own):  # whether anything is written to the user's files unasked
                return value and not own
            case int(value), int(own):
                return own != 0 and (value == 0 or value > own)
            case tuple(), tuple() if self.key == "worktree_copy":  # what agents can read anyway
                return False
            case tuple(value), tuple(own):  # what is run, and what a worktree's agent writes through to
                return not set(value) <= set(own)
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    """What a project asks for, and whether the user trusts the file as it is."""

    project: Path
    wishes: tuple[Wish, ...]
    digest: str | None
    is_trusted: bool

    @property
    def file(self) -> Path:
        return project_file(self.project)

    @property
    def withheld(self) -> tuple[str, ...]:
        return () if self.is_trusted else tuple(wish.key for wish in self.wishes if wish.is_more)

    @property
    def granted(self) -> dict[str, Any]:
        return {wish.key: wish.value for wish in self.wishes if wish.key not in self.withheld}

    def over(self, own: Settings) -> Settings:
        """The settings in force there."""
        return replace(own, **self.granted)

    def note(self) -> str | None:
        """What the spawner must hear of."""
        if not self.withheld:
            return None
        return UNTRUSTED.format(file=self.file, keys=", ".join(self.withheld), project=self.project)


def project_of(directory: Path) -> Path:
    """The git top level above a directory, else the directory."""
    resolved = directory.resolve()
    return top_level(resolved) or resolved


def settings_of(project: Path, own: Settings, fixed: frozenset[str], home: Home) -> ProjectSettings:
    """`fixed` are the keys that the environment sets: they stand over the project's. Raises UnknownSetting."""
    content, values = load_project(project_file(project))
    wishes = tuple(
        Wish(key=key, value=value, own=getattr(own, key)) for key, value in values.items() if key not in fixed
    )
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    trusted = digest is not None and _trusted(home).get(str(project)) == digest
    return ProjectSettings(project=project, wishes=wishes, digest=digest, is_trusted=trusted)


def trust(home: Home, project: Path, digest: str) -> None:
    """Let the project's file count as it is now. Raises StateNotWritable."""
    _remember(home, {**_trusted(home), str(project): digest})


def distrust(home: Home, project: Path) -> bool:
    """False: it was not trusted. Raises StateNotWritable."""
    trusted = dict(_trusted(home))
    was = trusted.pop(str(project), None)
    if was is not None:
        _remember(home, trusted)
    return was is not None


def _trusted(home: Home) -> Mapping[str, str]:
    """Project → digest. Raises StateNotWritable: nobody is trusted, or trusted no longer, by an accident."""
    try:
        told = json.loads(_file(home).read_text(encoding="utf-8"))
        return {str(project): str(digest) for project, digest in told["projects"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateNotWritable(path=str(_file(home)), why=f"it cannot be read ({error})") from error


def _remember(home: Home, trusted: Mapping[str, str]) -> None:
    home.prepare()
    replace_file(_file(home), json.dumps({"projects": dict(trusted)}, indent=1).encode())


def _file(home: Home) -> Path:
    return home.folder / "trust.json"
