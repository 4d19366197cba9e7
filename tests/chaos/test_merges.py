"""Minutes of merges, undone and dying at moments that nobody chose, over what users do to a checkout."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from unit.git.storm import storm


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(10))
@settings(max_examples=200, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**64))
def test_merges_change_their_paths_alone_and_lose_nothing_and_undo_restores(part, seed):
    storm(seed)
