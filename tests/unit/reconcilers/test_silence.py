"""Only silence that was really watched counts."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from muster.model.ids import ServerId
from muster.model.server import Server, ServerState
from muster.reconcilers.silence import Silence

pytestmark = pytest.mark.anyio

SERVER = Server(
    id=ServerId("srv_1"),
    host="scripted",
    generation=1,
    state=ServerState.READY,
    changed_at=datetime(2026, 1, 1, tzinfo=UTC),
)


class Asked:
    """A server that takes so many seconds to answer or not; between two looks lie two more."""

    def __init__(self) -> None:
        self.now = 100.0
        self.silence = Silence(lambda: self.now)

    async def look(self, *, answers: bool = False, takes: float = 3.0, pause: float = 2.0) -> float:
        async def ask() -> bool:
            self.now += takes
            return answers

        self.now += pause
        return await self.silence.seconds(SERVER, ask)


async def test_unanswered_looks_add_up_with_the_pauses_between_them():
    asked = Asked()
    assert [await asked.look() for _ in range(3)] == [3.0, 8.0, 13.0]


async def test_connection_that_is_refused_at_once_adds_up_too():
    asked = Asked()
    seen = [await asked.look(takes=0.0) for _ in range(6)]
    assert seen[0] == 0.0
    assert [later - earlier for earlier, later in pairwise(seen)] == [2.0] * 5


async def test_one_answer_makes_good_all_that_was_not_answered():
    asked = Asked()
    await asked.look()
    await asked.look()
    assert await asked.look(answers=True, takes=0.1) == 0.0
    assert await asked.look() == 3.0


@pytest.mark.parametrize("gap", [{"pause": 60.0}, {"takes": 60.0}], ids=["between two looks", "within a look"])
async def test_hub_that_stood_still_begins_to_count_anew(gap):
    asked = Asked()
    await asked.look()
    await asked.look()
    assert await asked.look(**gap) == 0.0
    assert await asked.look() == 5.0
