"""A worktree moves only along its own lines, and what is owed of it is paid by a snapshot begun after that."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from muster.model.errand import Errand, ErrandKind, ErrandState
from muster.model.worktree import Beginning, Occasion, Presence, Snapshot, Worktree, WorktreeState
from unit.stage import refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
WORKTREE = Worktree(
    id="wkt_1",
    agent="agt_1",
    fleet="flt_1",
    project="/p",
    folder="/w/flt_1/ann",
    subfolder="",
    branch="muster/flt_1/ann",
    ref="refs/muster/flt_1/ann",
    begins_as=Beginning.HEAD,
    setup=(),
    copy=(),
    link=(),
    created_at=NOW,
)
SNAPSHOT = Snapshot(
    id="snp_1",
    worktree="wkt_1",
    agent="agt_1",
    fleet="flt_1",
    commit="c1",
    tree="t1",
    tip="a1",
    why=Occasion.IDLE,
    taken_at=LATER,
)


@pytest.mark.parametrize("state", WorktreeState)
@pytest.mark.parametrize("wanted", Presence)
def test_report_about_a_worktree_that_has_moved_on_is_refused(state, wanted):
    row = replace(WORKTREE, state=state, wanted=wanted)
    asked = state is WorktreeState.ASKED and wanted is Presence.PRESENT
    leaving = state is not WorktreeState.REMOVED and wanted is Presence.ABSENT
    for move, lawful in (
        (lambda: row.ready(), asked),
        (lambda: row.fail("no"), asked),
        (lambda: row.remove(LATER), leaving),
    ):
        if lawful:
            assert move()[0] != row
        else:
            with refused("stale"):
                move()


def test_worktree_is_usable_once_ready_and_only_while_it_is_wanted():
    ready, _ = WORKTREE.ready()
    unwanted, _ = ready.unwant()
    assert (WORKTREE.is_usable, ready.is_usable, unwanted.is_usable) == (False, True, False)
    with refused("conflict"):
        unwanted.unwant()
    removed, _ = unwanted.remove(LATER)
    assert removed.recall()[0] == WORKTREE


def test_snapshot_pays_what_was_owed_before_it_began_and_no_more():
    owing = WORKTREE.owe(NOW)
    assert owing.awaits_snapshot
    paid, told = owing.keep(SNAPSHOT, owed=NOW)
    assert (paid.owed_since, paid.snapshot, told.commit) == (None, "c1", "c1")
    late, _ = owing.owe(LATER).keep(SNAPSHOT, owed=NOW)
    assert late.owed_since == LATER
    assert paid.keep(SNAPSHOT, owed=None)[1] is None


def test_snapshot_that_failed_is_told_once_and_holds_nobody_up_until_more_is_owed():
    missed, told = WORKTREE.owe(NOW).miss("disk full")
    again, silent = missed.miss("disk full")
    assert (told.error, silent, again.awaits_snapshot, again.owed_since) == ("disk full", None, False, NOW)
    assert missed.owe(LATER).awaits_snapshot
    assert missed.keep(SNAPSHOT, owed=NOW)[0].snapshot_error is None


@pytest.mark.parametrize(("error", "state"), [(None, ErrandState.DONE), ("no", ErrandState.FAILED)])
def test_errand_ends_once(error, state):
    errand = Errand(
        id="ern_1",
        worktree="wkt_1",
        agent="agt_1",
        fleet="flt_1",
        kind=ErrandKind.DROP,
        commit="c1",
        asked_at=NOW,
    )
    ended, _ = errand.end(error, LATER)
    assert (ended.state, ended.error) == (state, error)
    with refused("stale"):
        ended.end(None, LATER)
