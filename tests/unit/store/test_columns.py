"""What is told of a merge is read as it was written."""

from muster.model.merge import NOTHING_TOLD, MergeFacts, PathNote, Sides
from muster.store.columns import Findings


def test_facts_of_a_merge_are_read_as_they_were_written_and_nothing_takes_no_room():
    kind = Findings()
    facts = MergeFacts(
        files=("a",),
        more=2,
        why="so",
        obstacles=(PathNote(path="a", why="yours"),),
        sides=(Sides(path="a", says="s", ours="1", theirs="2"),),
        kept=(PathNote(path="b", why="changed"),),
    )
    assert kind.process_result_value(kind.process_bind_param(facts, None), None) == facts
    assert kind.process_bind_param(NOTHING_TOLD, None) == "{}"
    assert kind.process_result_value("{}", None) == NOTHING_TOLD
