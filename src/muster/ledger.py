"""A ledger in a file, audited where it lies: no hub is asked, and not a byte of it changes.

Above it: the command line, where no hub runs or a copy is to be looked at. Below it: the store.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any  # JSON

from muster.errors import BadValue, DatabaseForeign, NotFound, StateNotWritable, Unavailable
from muster.model.audit import Head
from muster.store.audit import audit
from muster.store.database import look_into


def audit_file(path: Path, head: str | None) -> dict[str, Any]:
    """What `ledger.verify` answers. Raises NotFound, BadValue, DatabaseDamaged, DatabaseFromTheFuture, Unavailable."""
    noted = None if head is None else _noted(head)
    if not path.is_file():
        raise NotFound(kind="file", id=str(path), hint="Name a muster.db, or a copy of one.")
    try:
        with look_into(path, lambda: datetime.now(UTC)) as reading:
            return asdict(audit(reading, noted))
    except DatabaseForeign as error:
        raise BadValue(field="FILE", expected="a database of Muster's", got=str(path)) from error
    except StateNotWritable as error:
        raise Unavailable(why=f"{path} cannot be read: {error.facts['why']}.") from error


def _noted(text: str) -> Head:
    try:
        return Head.parse(text)
    except ValueError as error:
        raise BadValue(field="head", expected=str(error), got=text[:60]) from error
