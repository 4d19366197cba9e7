"""Landing and undoing on real repositories."""

from muster.git.landing import Outcome, land
from unit.git.repositories import merge, repository, take_back


def test_two_agents_change_one_file_and_both_land_and_are_undone(tmp_path):
    on = repository(tmp_path, {"f": "1\n2\n3\n4\n5\n6\n7\n", "gone": "x\n", "d/e/x": "x\n"})
    alice = on.agent("alice", {"f": "one\n2\n3\n4\n5\n6\n7\n", "new/file": "new\n"})
    bob = on.agent("bob", {"f": "1\n2\n3\n4\n5\n6\nseven\n", "gone": None, "d/e/x": None})
    landings = []

    merge(on, alice, landings)
    merge(on, bob, landings)
    assert on.read("f") == "one\n2\n3\n4\n5\n6\nseven\n"
    assert on.status() == " D d/e/x\n M f\n D gone\n?? new/file".strip()
    assert not (on.top / "d").exists()

    take_back(on, landings)
    assert on.read("f") == "one\n2\n3\n4\n5\n6\n7\n"
    take_back(on, landings)
    assert on.status() == ""
    assert not (on.top / "new").exists()


def test_landing_twice_says_that_it_was_so_already(tmp_path):
    on = repository(tmp_path, {"f": "1\n"})
    alice = on.agent("alice", {"f": "2\n", "g": "g\n"})
    landings = []
    merge(on, alice, landings)
    again = list(land(on.checkout, landings[0].changes))
    assert [landed.outcome for landed in again] == [Outcome.ALREADY] * 2
