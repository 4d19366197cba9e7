"""`init.json` in the state folder: which of the user's files were changed, and how.

It is written before the change that it tells of. What was recorded and never done is found undone, and is no harm.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any  # the record is JSON

from muster.errors import StateNotWritable
from muster.home import Home
from muster.hosts.opencode.entries import Addition
from muster.replacing import replace_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change of one file. `before` and `after` are digests of its content; `before` None: it was made."""

    file: str
    before: str | None
    after: str
    backup: str | None
    added: tuple[Addition, ...]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def edits(home: Home) -> list[Edit]:
    """Every change so far, oldest first. Raises StateNotWritable where that cannot be known."""
    file = _file(home)
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        return [_edit(one) for one in told["edits"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateNotWritable(path=str(file), why=f"it cannot be read ({error})") from error


def remember(home: Home, changes: Sequence[Edit]) -> None:
    told = {"edits": [asdict(change) for change in changes]}
    replace_file(_file(home), json.dumps(told, indent=1).encode())


def forget(home: Home) -> None:
    _file(home).unlink(missing_ok=True)


def _file(home: Home) -> Path:
    return home.folder / "init.json"


def _edit(told: dict[str, Any]) -> Edit:
    return Edit(**{**told, "added": tuple(_addition(one) for one in told["added"])})


def _addition(told: dict[str, Any]) -> Addition:
    made = told["made"]
    return Addition(**{**told, "at": tuple(told["at"]), "made": None if made is None else tuple(made)})
