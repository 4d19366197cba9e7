"""Looks at the whole of a store for what Muster cannot have written.

Above it: `views/ledger.py` for a live hub, `muster.ledger` for a file. Below it: SQLite. It changes nothing, and takes
no row for what it ought to be: a stranger's hand may have written anything. `check.py` says how to add a check.
"""

from collections.abc import Iterable
from types import ModuleType

from muster.model.audit import Audit, Finding, Head, Severity
from muster.store import statements
from muster.store.audit import agreement, chain, decisions, merges, messages, orders, orphans, standing, worktrees
from muster.store.audit.check import Bundle, Check
from muster.store.records import TABLES, Reading
from muster.store.schema import events

MODULES: tuple[ModuleType, ...] = (orphans, standing, messages, decisions, worktrees, merges, orders, agreement)
CHECKS = tuple(value for module in MODULES for value in vars(module).values() if isinstance(value, Check))
MOST = 100  # findings in an answer
MOST_OF_A_CHECK = 10


def audit(reading: Reading, noted: Head | None) -> Audit:
    """Everything that is wrong. `noted` is a head of this journal that was kept elsewhere."""
    connection = reading.connection
    bundles = [*_bundles(chain.walk(connection, noted)), *(check.look(reading, MOST_OF_A_CHECK) for check in CHECKS)]
    numbers = {severity: sum(one.number for one in bundles if one.severity is severity) for severity in Severity}
    shown = [
        finding for severity in Severity for one in bundles if one.severity is severity for finding in one.findings
    ]
    return Audit(
        ok=not numbers[Severity.ERROR],
        errors=numbers[Severity.ERROR],
        warnings=numbers[Severity.WARNING],
        counts={table.name: statements.count(connection, table, {}) for table in (*TABLES.values(), events)},
        head=chain.newest(connection),
        findings=shown[:MOST],
        more=sum(numbers.values()) - len(shown[:MOST]),
    )


def _bundles(findings: Iterable[Finding]) -> list[Bundle]:
    """What was found one after another, by check."""
    bundles: dict[str, Bundle] = {}
    for finding in findings:
        before = bundles.get(finding.check, Bundle(severity=finding.severity, findings=[], number=0))
        kept = before.findings if before.number >= MOST_OF_A_CHECK else [*before.findings, finding]
        bundles[finding.check] = Bundle(severity=finding.severity, findings=kept, number=before.number + 1)
    return list(bundles.values())
