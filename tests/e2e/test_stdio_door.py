"""`muster mcp` and the real hub: the door starts it, outlives it, and finds it again."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.programs import MUSTER, Machine, machine
from unit.surfaces.stdio_door import Door, door

SPAWN = {"agents": [{"role": "one", "prompt": "Do it."}]}


@contextmanager
def mcp(on: Machine, **environment: str) -> Iterator[Door]:
    """As a client starts it that has only the command."""
    with door(on.home, command=[*MUSTER, "mcp"], cwd=on.folder, **{**on.env, **environment}) as client:
        yield client


def call(client: Door, name: str, id: int = 1, **arguments: Any) -> Any:
    return client.ask("tools/call", id, name=name, arguments=arguments)["result"]["structuredContent"]


def error_of(told: Any) -> Any:
    return told["error"]["data"]["error"]


def test_first_message_starts_a_hub_that_outlives_the_door(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        with mcp(on) as client:
            welcome = client.hello()
            spawned = call(client, "spawn_fleet", **SPAWN)
            client.hang_up()

        assert welcome["result"]["serverInfo"]["name"] == "muster"
        (fleet,) = on.muster("fleet", "list", "--json").json["fleets"]
        assert (fleet["fleet_id"], fleet["project"]) == (spawned["fleet_id"], str(tmp_path.resolve()))


def test_doors_that_open_together_start_one_hub(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        welcomes: list[Any] = []

        def open_one() -> None:
            with mcp(on) as client:
                welcomes.append(client.hello())

        openers = [threading.Thread(target=open_one) for _ in range(4)]
        for opener in openers:
            opener.start()
        for opener in openers:
            opener.join()

        assert ["result" in welcome for welcome in welcomes] == [True] * 4
        assert (on.home / "logs" / "hub.log").read_text().count("hub.ready") == 1


def test_hub_that_cannot_start_is_an_answer_with_the_reason(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on, MUSTER_CFG_PORT="many") as client:
        error = error_of(client.ask("initialize", 1))
        assert (error["code"], error["facts"]["key"]) == ("bad_setting", "port")


def test_killed_hub_that_is_started_again_answers_the_waiting_request(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on) as client:
        client.hello()
        on.kill_hub()

        client.send("tools/call", 7, name="ping", arguments={})
        on.muster("up")
        told = client.receive()

        assert (told["id"], told["result"]["structuredContent"]["ok"]) == (7, True)


def test_waiting_call_goes_on_with_the_next_hub(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on) as client:
        client.hello()
        fleet = call(client, "spawn_fleet", **SPAWN)["fleet_id"]
        client.send("tools/call", 7, name="wait_fleet", arguments={"fleet_id": fleet, "timeout_seconds": 60})
        client.ask("ping", 8)
        on.kill_hub()
        on.muster("up")
        on.muster("fleet", "cancel", fleet)
        assert client.receive()["result"]["structuredContent"]["settled"] is True


def test_hub_that_was_ended_on_purpose_is_not_started_again(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on) as client:
        client.hello()
        on.muster("down")
        began = time.monotonic()
        told = call(client, "ping")
        took = time.monotonic() - began

        assert told["error"]["code"] == "unavailable"
        assert "muster up" in told["error"]["next"]
        assert 9 < took < 15
        assert not (on.home / "hub.json").exists()


def test_hub_that_went_to_sleep_is_woken(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on) as client:
        client.hello()
        on.muster("down")
        (on.home / "hub.json").write_text('{"asleep": true}')
        assert call(client, "ping")["ok"] is True


def test_door_below_a_host_server_starts_no_hub(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on, MUSTER_SERVER="srv_1") as client:
        assert error_of(client.ask("initialize", 1))["code"] == "denied"
        assert not on.home.exists() or not (on.home / "hub.json").exists()


def test_end_of_input_ends_the_door_while_it_starts_a_hub(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on) as client:
        client.send("initialize", 1)
        assert client.hang_up() < 2  # an interpreter and half a second
        on.muster("up")
