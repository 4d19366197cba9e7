"""One connection for each generation of a server, and never one of an earlier generation."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from muster.hosts.contract import ServerWish
from muster.hosts.scripted import ScriptedHost
from muster.model.ids import ServerId
from muster.model.server import Server, ServerState
from muster.reconcilers.connections import Connections
from unit.stage import refused

pytestmark = pytest.mark.anyio

FIRST = Server(
    id=ServerId("srv_1"),
    host="scripted",
    generation=1,
    state=ServerState.READY,
    pid=1,
    pid_started_at=1.0,
    port=1,
    changed_at=datetime(2026, 1, 1, tzinfo=UTC),
)
SECOND = replace(FIRST, generation=2)


def wish(server: Server) -> ServerWish:
    folder = Path(server.id)
    return ServerWish(
        id=server.id,
        generation=server.generation,
        folder=folder,
        log=folder / "log",
        hub_file=folder / "hub.json",
        password="p",
        token="t",
    )


@pytest.fixture
async def connections():
    async with ScriptedHost({}) as host:
        yield Connections({host.name: host}, wish)


async def test_generation_has_one_connection_and_the_next_another(connections):
    first = await connections.to(FIRST)
    assert await connections.to(FIRST) is first
    assert await connections.to(SECOND) is not first


async def test_generation_that_was_replaced_is_away_and_leaves_the_newer_connection_alone(connections):
    await connections.to(FIRST)
    second = await connections.to(SECOND)
    with refused("host_away"):
        await connections.to(FIRST)
    assert await connections.to(SECOND) is second


async def test_many_who_ask_at_once_for_the_next_generation_get_the_same(connections):
    await connections.to(FIRST)
    given = []

    async def ask():
        given.append(await connections.to(SECOND))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(ask)
    assert len({id(connection) for connection in given}) == 1


@pytest.mark.parametrize("state", [ServerState.STARTING, ServerState.STOPPED])
async def test_server_that_is_not_ready_is_away(connections, state):
    with refused("host_away"):
        await connections.to(replace(FIRST, state=state))
