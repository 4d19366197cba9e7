"""What somebody may do to templates; and by which check it is found, of which row."""

DELETED = "(SELECT id FROM templates WHERE deleted_at IS NOT NULL)"
STANDING = "(SELECT id FROM templates WHERE deleted_at IS NULL)"

TAMPERINGS: list[tuple[str, str, str]] = [
    ("row.told_otherwise", STANDING, f"UPDATE templates SET version = 9 WHERE id = {STANDING}"),
    ("row.told_otherwise", DELETED, f"UPDATE templates SET name = 'other' WHERE id = {DELETED}"),
    ("row.told_otherwise", DELETED, f"UPDATE templates SET deleted_at = NULL WHERE id = {DELETED}"),
    ("row.told_otherwise", STANDING, f"UPDATE templates SET deleted_at = 1 WHERE id = {STANDING}"),
]
