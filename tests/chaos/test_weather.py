"""Minutes of bad weather over messages: whatever may happen to a fleet, in hundreds of orders."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from unit.reconcilers import weather
from unit.reconcilers.test_weather import quick as quick
from unit.reconcilers.weather import DEEDS, Weather

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]


# What happens at once is not the same twice, so a shorter example would prove nothing.
@settings(max_examples=300, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(deeds=st.lists(DEEDS, min_size=5, max_size=40))
async def test_each_message_is_seen_once_or_its_sender_hears_why_not_in_any_weather(deeds):
    with tempfile.TemporaryDirectory() as folder:
        await Weather(folder=Path(folder), verbs=weather).pass_over(deeds)
