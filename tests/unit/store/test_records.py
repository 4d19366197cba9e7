"""Ids are never the same, and those of one time stand together."""

import re

import pytest

from muster.model.actor import SYSTEM
from muster.model.message import Message
from muster.store.database import open_database

pytestmark = pytest.mark.anyio

SHAPE = "msg_[0-9a-hjkmnp-tv-z]{12}"


async def test_ids_of_one_moment_begin_alike_and_differ_from_each_other_and_from_later_ones(tmp_path, clock):
    with open_database(tmp_path / "muster.db", clock) as database:
        now = await database.write(SYSTEM, lambda tx: [tx.new_id(Message) for _ in range(1000)])
        clock.advance(minutes=10)
        later = await database.write(SYSTEM, lambda tx: tx.new_id(Message))
    assert len({*now}) == 1000
    assert {id[:6] for id in now} != {later[:6]}
    assert len({id[:6] for id in now}) == 1
    assert all(re.fullmatch(SHAPE, id) for id in [*now, later])
