"""What an audit of the ledger found."""

import re
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"  # cannot come about through Muster
    WARNING = "warning"  # can, when something of the machine's is wrong, its clock for one


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`check` names what was looked at, `subject` the row or the entry, `detail` says in a sentence what is wrong."""

    severity: Severity
    check: str
    subject: str
    detail: str


HEAD = re.compile(r"(0):()|([1-9][0-9]{0,18}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """An entry of the journal and its hash, which stands for it and for all before it. Cursor 0: the empty journal."""

    cursor: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Head":
        """Raises ValueError."""
        found = HEAD.fullmatch(text)
        if found is None:
            raise ValueError("CURSOR:HASH, as an audit's `head` is noted")
        cursor, hash = (part for part in found.groups() if part is not None)
        return cls(cursor=int(cursor), hash=hash)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """`ok`: without errors. `findings` are the first of each check; `more` were found beside them.

    `head` is the journal's newest entry. Noted elsewhere, it shows to a later audit that nothing before it was changed.
    """

    ok: bool
    errors: int
    warnings: int
    counts: dict[str, int]
    head: Head
    findings: list[Finding]
    more: int
