"""Every place at which the hub can be made to die is a place at which a test lets it die."""

from architecture.source import checkpoints
from e2e.test_kill_points import CASES


def test_every_checkpoint_in_the_source_has_its_case():
    assert checkpoints() == CASES.keys()
