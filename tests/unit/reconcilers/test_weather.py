"""In any weather each message stands once in a conversation and ends seen, or its sender hears why not."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from muster.reconcilers import deliveries as deliveries_module
from muster.reconcilers import hosts as hosts_module
from muster.reconcilers import queue as queue_module
from muster.reconcilers import runs as runs_module
from unit.reconcilers import weather
from unit.reconcilers.weather import DEEDS, Weather

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(deliveries_module, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(hosts_module, "TEND_SECONDS", 0.05)
    monkeypatch.setattr(hosts_module, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(queue_module, "RESYNC_SECONDS", 0.05)
    monkeypatch.setattr(queue_module, "FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(queue_module, "LAST_BACKOFF", 0.05)


# What happens at once is not the same twice, so a shorter example would prove nothing. `make chaos` tries hundreds.
@settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(deeds=st.lists(DEEDS, min_size=5, max_size=30))
async def test_each_message_is_seen_once_or_its_sender_hears_why_not(deeds):
    with tempfile.TemporaryDirectory() as folder:
        await Weather(folder=Path(folder), verbs=weather).pass_over(deeds)
