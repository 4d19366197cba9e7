"""A merge has one answer, and is undone only where that is wanted."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from muster.model.merge import (
    MOST_FILES,
    NOTHING_TOLD,
    UNDERWAY,
    LandedPath,
    Merge,
    MergeFacts,
    MergeState,
    PathNote,
    PathState,
    Plan,
)
from unit.stage import refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MERGE = Merge(
    id="mrg_1",
    agent="agt_1",
    fleet="flt_1",
    project="/p",
    run="run_1",
    by_itself=False,
    include_uncommitted=False,
    requested_by="operator",
    requested_at=NOW,
)
PATH = LandedPath(
    id="mrg_1:0",
    merge="mrg_1",
    project="/p",
    position=0,
    path="a",
    old_blob=None,
    old_mode=None,
    new_blob="b",
    new_mode="100644",
)
PLAN = Plan(tip="t", ours="o", head="h", tree="tree")


@pytest.mark.parametrize("state", MergeState)
@pytest.mark.parametrize(
    ("move", "lawful"),
    [
        (lambda merge: merge.compute(PLAN, 1, NOW), {MergeState.REQUESTED}),
        (lambda merge: merge.land(NOTHING_TOLD, NOW), {MergeState.COMPUTED}),
        (lambda merge: merge.conflict(NOTHING_TOLD, NOW), {MergeState.REQUESTED}),
        (lambda merge: merge.find_nothing(NOW), {MergeState.REQUESTED}),
        (lambda merge: merge.refuse(NOTHING_TOLD, NOW), set(UNDERWAY)),
    ],
    ids=["compute", "land", "conflict", "find_nothing", "refuse"],
)
def test_merge_moves_only_from_the_states_that_it_may(state, move, lawful):
    merge = replace(MERGE, state=state)
    if state in lawful:
        moved, event = move(merge)
        assert moved.state is not state
        assert event.merge == merge.id
    else:
        with refused("stale"):
            move(merge)


def test_undo_is_for_a_merge_with_an_answer_and_tells_what_it_kept():
    with refused("conflict"):
        MERGE.ask_undo()
    computed, _ = MERGE.compute(PLAN, 1, NOW)
    landed, _ = computed.land(NOTHING_TOLD, NOW)
    with refused("stale"):
        landed.undo([], NOW)
    asked, _ = landed.ask_undo()
    undone, told = asked.undo([PathNote(path="a", why="changed")], NOW)
    assert (undone.state, undone.undo_wanted, told.kept) == (MergeState.UNDONE, False, 1)
    assert undone.facts.kept == (PathNote(path="a", why="changed"),)
    again, _ = undone.ask_undo()
    assert again.facts.kept == ()


def test_undo_that_cannot_be_now_leaves_the_merge_standing():
    computed, _ = MERGE.compute(PLAN, 1, NOW)
    asked, _ = computed.land(NOTHING_TOLD, NOW)[0].ask_undo()
    kept, _ = asked.keep("a rebase")
    assert (kept.state, kept.undo_wanted, kept.facts.undo_why) == (MergeState.LANDED, False, "a rebase")


@pytest.mark.parametrize("state", PathState)
def test_path_is_written_or_stuck_once_and_undone_only_where_it_was_written(state):
    path = replace(PATH, state=state)
    for move, before in (
        (path.write, PathState.PLANNED),
        (path.stop, PathState.PLANNED),
        (path.undo, PathState.WRITTEN),
    ):
        if state is before:
            assert move().state is not state
        else:
            with refused("stale"):
                move()


def test_answer_names_a_bounded_number_of_files_and_counts_the_rest():
    facts = MergeFacts().naming([str(number) for number in range(MOST_FILES + 3)])
    assert (len(facts.files), facts.more) == (MOST_FILES, 3)
