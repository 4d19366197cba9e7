"""What is done to worktrees, snapshots and errands, and the check that finds it."""

TAMPERINGS: list[tuple[str, str, str]] = [
    # check, subject (SQL), tampering
    ("worktree.half_made", "id FROM worktrees", "UPDATE worktrees SET base = NULL"),
    (
        "run.outside_of_its_worktree",
        "id FROM runs WHERE agent IN (SELECT agent FROM worktrees)",
        "UPDATE worktrees SET state = 'asked'; "
        "UPDATE runs SET state = 'working' WHERE agent IN (SELECT agent FROM worktrees)",
    ),
    ("worktree.half_snapshotted", "id FROM worktrees", "UPDATE worktrees SET snapshot_tree = NULL"),
    ("worktree.snapshot_unknown", "id FROM worktrees", "UPDATE worktrees SET snapshot = 'none'"),
    ("snapshot.without_worktree", "id FROM snapshots", "UPDATE snapshots SET worktree = 'wkt_none'"),
    ("errand.without_worktree", "id FROM errands", "UPDATE errands SET worktree = 'wkt_none'"),
    ("errand.half_ended", "id FROM errands", "UPDATE errands SET ended_at = NULL"),
]
