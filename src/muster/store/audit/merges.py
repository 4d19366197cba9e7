"""Merges and the paths of their plans: what can stand beside what, and whether each answer is the one that was told."""

from sqlalchemy import and_, case, func, not_, or_, select

from muster.model.merge import ANSWERS, UNDERWAY, MergeState, PathState
from muster.store.audit.check import Wrong, error
from muster.store.audit.words import absent, last_entries
from muster.store.schema import landed_paths, merges

TOLD = {
    "merge.landed": MergeState.LANDED,
    "merge.conflicted": MergeState.CONFLICTED,
    "merge.refused": MergeState.REFUSED,
    "merge.emptied": MergeState.EMPTY,
}
POSSIBLE = {
    MergeState.COMPUTED: (PathState.PLANNED, PathState.WRITTEN),
    MergeState.LANDED: (PathState.WRITTEN, PathState.UNDONE),
    MergeState.REFUSED: (PathState.WRITTEN, PathState.STUCK, PathState.UNDONE),
    MergeState.UNDONE: (PathState.WRITTEN, PathState.STUCK, PathState.UNDONE),
}
"""The states in which a path of a merge in a state can be; of those that are not named there is none."""


@error
def merge_half_answered() -> Wrong:
    """Merge {id} is {state}, computed at {computed_at}, answered at {answered_at}: these do not go together."""
    m = merges.c
    underway = m.state.in_([state.value for state in UNDERWAY])
    planned = m.state.in_([MergeState.COMPUTED.value, MergeState.LANDED.value])
    never = m.state.in_([MergeState.REQUESTED.value, MergeState.CONFLICTED.value, MergeState.EMPTY.value])
    wrong = or_(
        underway != m.answered_at.is_(None),
        and_(planned, m.computed_at.is_(None)),
        and_(never, m.computed_at.is_not(None)),
        m.computed_at.is_(None) != m.tip.is_(None),
    )
    return select(m.id, m.state, m.computed_at, m.answered_at).where(wrong)


@error
def merge_half_undone() -> Wrong:
    """Merge {id} is {state}, undone at {undone_at}, its undo wanted: {undo_wanted}: these do not go together."""
    m = merges.c
    is_undone = (m.state == MergeState.UNDONE.value).self_group()
    underway = m.state.in_([state.value for state in UNDERWAY])
    wrong = or_(is_undone != m.undone_at.is_not(None), and_(underway, m.undo_wanted.is_(True)))
    return select(m.id, m.state, m.undone_at, m.undo_wanted).where(wrong)


@error
def merge_beside_another() -> Wrong:
    """In {project} {number} merges are being written; one is the most."""
    columns = (merges.c.project, func.count().label("number"))
    writing = select(*columns).where(merges.c.state == MergeState.COMPUTED.value)
    return writing.group_by(merges.c.project).having(func.count() > 1)


@error
def merge_answered_otherwise() -> Wrong:
    """Merge {id} is {state}, and what the journal told of its answer is {event} at {at}."""
    m = merges.c
    last = last_entries(*TOLD, by="merge")
    said = case(*((last.c.event == event, state.value) for event, state in TOLD.items()))
    wrong = or_(
        m.answered_at.is_distinct_from(last.c.at),
        and_(m.state.in_([state.value for state in ANSWERS]), m.state != func.coalesce(said, "")),
    )
    joined = merges.outerjoin(last, last.c.id == m.id)
    return select(m.id, m.state, last.c.event, last.c.at).select_from(joined).where(wrong)


@error
def merge_undone_otherwise() -> Wrong:
    """Merge {id} is {state}, its undo wanted: {undo_wanted}; what the journal told last of its undo is {event}."""
    m = merges.c
    last = last_entries("merge.undo_asked", "merge.undone", "merge.kept", by="merge")
    wanted = func.coalesce(last.c.event == "merge.undo_asked", 0)
    done = and_(last.c.event == "merge.undone", m.state != MergeState.UNDONE.value)
    joined = merges.outerjoin(last, last.c.id == m.id)
    columns = (m.id, m.state, m.undo_wanted, last.c.event)
    return select(*columns).select_from(joined).where(or_(m.undo_wanted != wanted, func.coalesce(done, 0) == 1))


@error
def path_without_merge() -> Wrong:
    """Path {id} is of merge {merge}, of which there is no row."""
    paths = landed_paths.c
    return select(paths.id, paths.merge).where(absent(paths.merge, merges))


@error
def path_unlike_its_merge() -> Wrong:
    """Path {id} is {state} in {project}, and its merge is {of} in {at}."""
    paths, m = landed_paths.c, merges.c
    possible = or_(
        *(
            and_(m.state == state.value, paths.state.in_([one.value for one in states]))
            for state, states in POSSIBLE.items()
        )
    )
    columns = (paths.id, paths.state, paths.project, m.state.label("of"), m.project.label("at"))
    joined = landed_paths.join(merges, m.id == paths.merge)
    return select(*columns).select_from(joined).where(or_(not_(possible), paths.project != m.project))


@error
def path_planned_twice() -> Wrong:
    """Merge {merge} has {number} paths {path}; one is the most."""
    paths = landed_paths.c
    columns = (paths.merge, paths.path, func.count().label("number"))
    return select(*columns).group_by(paths.merge, paths.path).having(func.count() > 1)


@error
def path_changes_nothing() -> Wrong:
    """Path {id} is blob {old_blob} with mode {old_mode} on both sides, or has one of the two only."""
    paths = landed_paths.c
    same = and_(
        paths.old_blob.is_not_distinct_from(paths.new_blob), paths.old_mode.is_not_distinct_from(paths.new_mode)
    )
    halves = or_(
        paths.old_blob.is_(None) != paths.old_mode.is_(None), paths.new_blob.is_(None) != paths.new_mode.is_(None)
    )
    return select(paths.id, paths.old_blob, paths.old_mode).where(or_(same, halves))
