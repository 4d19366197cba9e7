"""Calls that are made beside each other fail as one of them alone would."""

import anyio
import pytest

from muster.errors import SessionLost
from muster.hosts.opencode.client import together

pytestmark = pytest.mark.anyio


async def answer() -> str:
    await anyio.lowlevel.checkpoint()
    return "here"


async def refuse() -> str:
    await anyio.lowlevel.checkpoint()
    raise SessionLost(host="opencode", session="ses_gone")


async def fail() -> str:
    await anyio.lowlevel.checkpoint()
    raise ValueError("a bug")


async def test_answers_come_in_the_order_of_the_calls():
    assert await together(answer, answer) == ["here", "here"]


async def test_refusal_of_one_comes_out_by_itself():
    with pytest.raises(SessionLost):
        await together(answer, refuse, refuse)


async def test_bug_is_not_hidden_behind_a_refusal():
    with pytest.raises(ExceptionGroup):
        await together(refuse, fail)
