"""What somebody may do to merges and their paths; and by which check it is found, of which row."""

from muster.store.schema import landed_paths
from unit.store.audit.ledgers import copied

LANDED = "(SELECT id FROM merges WHERE state = 'landed')"
UNDONE = "(SELECT id FROM merges WHERE state = 'undone')"
PATH = f"(SELECT id FROM landed_paths WHERE merge = {LANDED})"


def merge(change: str, which: str = LANDED) -> str:
    return f"UPDATE merges SET {change} WHERE id = {which}"


def path(change: str) -> str:
    return f"UPDATE landed_paths SET {change} WHERE id = {PATH}"


TAMPERINGS: list[tuple[str, str, str]] = [
    ("merge.half_answered", LANDED, merge("answered_at = NULL")),
    ("merge.half_answered", LANDED, merge("tip = NULL")),
    ("merge.half_undone", UNDONE, merge("undone_at = NULL", UNDONE)),
    ("merge.half_undone", LANDED, merge("state = 'requested', undo_wanted = 1")),
    ("merge.beside_another", "project FROM merges LIMIT 1", "UPDATE merges SET state = 'computed'"),
    ("merge.answered_otherwise", LANDED, merge("state = 'empty'")),
    ("merge.undone_otherwise", LANDED, merge("undo_wanted = 1")),
    ("merge.undone_otherwise", UNDONE, merge("state = 'landed'", UNDONE)),
    ("path.without_merge", PATH, f"DELETE FROM merges WHERE id = {LANDED}"),
    ("path.unlike_its_merge", PATH, path("state = 'planned'")),
    ("path.unlike_its_merge", PATH, path("project = '/elsewhere'")),
    ("path.planned_twice", LANDED, copied(landed_paths, PATH)),
    ("path.changes_nothing", PATH, path("new_blob = old_blob, new_mode = old_mode")),
    ("path.changes_nothing", PATH, path("old_mode = NULL")),
    ("row.told_otherwise", LANDED, merge("computed_at = computed_at + 1")),
    ("row.out_of_order", UNDONE, merge("undone_at = answered_at - 1", UNDONE)),
]
