"""What every host tells of that which was given to a session: whether it stands there, and whether it was read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contract.hosts.stages import FAIL, HOLD, Served, settled
from contract.hosts.test_hosts import ENDED, opened, turn_wish
from muster.errors import SessionLost
from muster.hosts.contract import ArrivalsWish, TurnWish
from muster.model.delivery import Arrival
from muster.model.ids import SessionId, TurnId

pytestmark = pytest.mark.anyio


async def arrival(served: Served, turn: TurnWish, named: str | None = None) -> Arrival:
    id = TurnId(named or turn.id)
    wish = ArrivalsWish(session=turn.session, directory=turn.directory, turns=(id,))
    return (await served.connection.arrivals(wish))[id]


async def test_prompt_is_absent_before_it_is_sent_stands_while_it_is_worked_on_and_is_seen_with_the_answer(
    served: Served, directory: Path
) -> None:
    turn = await opened(served, directory, HOLD)
    assert await arrival(served, turn) is Arrival.ABSENT
    await served.connection.send(turn)
    await served.stage.held()
    assert await arrival(served, turn) is Arrival.STANDS
    served.stage.release()
    await settled(served.connection, turn, *ENDED)
    assert await arrival(served, turn) is Arrival.SEEN
    assert await arrival(served, turn, "trn_other") is Arrival.ABSENT


async def test_prompt_whose_request_failed_stands_and_was_not_seen(served: Served, directory: Path) -> None:
    turn = await opened(served, directory, FAIL)
    await served.connection.send(turn)
    await settled(served.connection, turn, *ENDED)
    assert await arrival(served, turn) is Arrival.STANDS


async def test_prompt_far_back_in_the_conversation_is_seen(served: Served, directory: Path) -> None:
    first = await opened(served, directory, "number 0")
    for number in range(1, 8):
        turn = turn_wish(first.session, directory, f"number {number}", turn=f"trn_{number}")
        await served.connection.send(turn)
        await settled(served.connection, turn, *ENDED)
    assert await arrival(served, first, "trn_1") is Arrival.SEEN
    assert await arrival(served, first, "trn_0") is Arrival.ABSENT


async def test_what_was_taken_at_a_moment_is_seen_once_a_step_began_after_it(served: Served, directory: Path) -> None:
    turn = await opened(served, directory, "hello")
    await served.connection.send(turn)
    await settled(served.connection, turn, *ENDED)
    hour, now = timedelta(hours=1), datetime.now(UTC)
    wish = ArrivalsWish(
        session=turn.session, directory=turn.directory, moments={"before": now - hour, "after": now + hour}
    )
    assert await served.connection.arrivals(wish) == {"before": Arrival.SEEN, "after": Arrival.STANDS}


async def test_call_that_nobody_knows_is_absent_from_a_session_at_rest(served: Served, directory: Path) -> None:
    turn = await opened(served, directory, "hello")
    await served.connection.send(turn)
    await settled(served.connection, turn, *ENDED)
    wish = ArrivalsWish(session=turn.session, directory=turn.directory, calls=("msg_none:call_none",))
    assert await served.connection.arrivals(wish) == {"msg_none:call_none": Arrival.ABSENT}


async def test_arrivals_in_a_lost_session_say_so(served: Served, directory: Path) -> None:
    wish = ArrivalsWish(session=SessionId("ses_00000000000000000000000000"), directory=str(directory), turns=())
    with pytest.raises(SessionLost):
        await served.connection.arrivals(wish)
