"""Promise P4, whatever users, agents and crashes do: a merge touches its paths alone, and can be taken back."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from unit.git.storm import storm


# A seed is a whole case, and a smaller one is not a simpler one. `make chaos` tries ten times as many.
@pytest.mark.parametrize("part", range(4))  # for as many workers
@settings(max_examples=50, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64))
def test_merges_change_their_paths_alone_and_lose_nothing_and_undo_restores(part, seed):
    storm(seed)
