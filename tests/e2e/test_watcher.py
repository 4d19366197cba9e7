"""A hub that dies is back; one that was ended stays away; one that has nothing to do sleeps until it is needed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from e2e.programs import MUSTER, Machine, machine, until
from e2e.test_stdio_door import SPAWN, call, mcp
from muster import Hub
from muster.logs import LOG_BYTES

SOON = {"MUSTER_CFG_HUB_IDLE_MINUTES": "0.02"}


def answers(on: Machine, than: int = 0) -> bool:
    """Whether a hub of another pid answers."""
    told = on.hub_json if (on.home / "hub.json").exists() else {}
    return told.get("pid", than) != than and on.muster("call", "hub.ping").code == 0


def asleep(on: Machine) -> bool:
    return (on.home / "hub.json").exists() and on.hub_json.get("asleep") is True


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


# ── the watcher ──────────────────────────────────────────────────────────────────────────────────


def test_hub_that_is_killed_is_back_within_seconds_and_status_says_so(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        first, watcher, began = on.hub.pid, on.watcher, time.monotonic()
        on.hub.kill()
        until(lambda: answers(on, than=first))
        took = time.monotonic() - began

        told = on.muster("status", "--json").json
        assert (told["pid"], told["watcher"]) == (on.hub.pid, {"pid": watcher.pid, "restarts": 1, "ended": -9})
        assert "restarted the hub 1 times" in on.muster("status").out
        assert took < 10, "about 2 s, and a busy machine"
        assert "watcher.restarts ended=-9" in on.log


def test_down_ends_hub_and_watcher_and_neither_comes_back(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        hub, watcher = on.hub, on.watcher
        assert on.muster("down", "--json").json == {"ended": True, "pid": hub.pid}
        assert (is_over(hub), is_over(watcher)) == (True, True)
        assert {path.name for path in on.home.iterdir()} & {"hub.json", "watcher.json"} == set()
        assert on.muster("down").out == "No hub was running.\n"


def test_down_ends_a_watcher_that_waits_to_start_the_hub_again(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        watcher = on.watcher
        for _ in range(3):  # the third pause is a second long
            until(lambda: answers(on))
            on.hub.kill()
            until(lambda: '"waiting"' in (on.home / "watcher.json").read_text())
        assert on.muster("down").code == 0
        assert is_over(watcher)


def test_hub_that_dies_again_and_again_is_given_up_and_status_says_so(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        watcher = on.watcher
        on.hub.kill()
        until(lambda: answers(on))
        (on.home / "muster.db").write_bytes(b"no database any more" * 1000)
        on.hub.kill()
        until(lambda: is_over(watcher))

        told = on.muster("status", "--json")
        assert (told.code, told.error["code"]) == (5, "hub_gave_up")
        assert "watcher.gave_up" in on.log
        assert on.muster("up", "--json").error["code"] == "database_foreign"


def test_watcher_that_is_killed_leaves_a_hub_that_works_on_and_up_says_so(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        on.watcher.kill()
        until(lambda: on.muster("status", "--json").json["watcher"] is None)
        refused = on.muster("up", "--json")
        assert (refused.code, refused.error["code"]) == (4, "hub_running")
        assert "gives it a watcher" in refused.error["next"]
        assert on.muster("down").code == 0


def test_hub_in_the_foreground_has_no_watcher(tmp_path: Path) -> None:
    with machine(tmp_path) as on, subprocess.Popen([*MUSTER, "serve"], env=on.env, stderr=subprocess.DEVNULL) as hub:
        until((on.home / "hub.json").exists)
        assert on.muster("status", "--json").json["watcher"] is None
        hub.kill()
        hub.wait()
        assert not (on.home / "watcher.json").exists()
        (on.home / "hub.json").unlink()


def test_watcher_is_small(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        assert on.watcher.memory_full_info().uss < 8 * 2**20


def test_mcp_client_does_not_notice_a_hub_that_died(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on) as client:
        client.hello()
        on.hub.kill()
        assert call(client, "ping")["ok"] is True


# ── sleep ────────────────────────────────────────────────────────────────────────────────────────


def test_idle_hub_sleeps_without_a_word_too_many_and_a_command_wakes_it(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up", **SOON)
        hub, watcher = on.hub, on.watcher
        until(lambda: asleep(on))
        until(lambda: is_over(hub) and is_over(watcher))

        assert set(on.hub_json) == {"asleep", "version"}
        assert on.muster("status", "--json").json["asleep"] is True
        assert asleep(on), "a look wakes nobody"
        assert "Traceback" not in on.log
        assert "WARNING" not in on.log

        listed = on.muster("fleet", "list")
        assert (listed.code, listed.out) == (0, "No fleets.\n")
        assert on.hub.pid != hub.pid


def test_door_of_an_mcp_client_keeps_no_hub_awake_and_wakes_it(tmp_path: Path) -> None:
    with machine(tmp_path) as on, mcp(on, **SOON) as client:
        client.hello()
        until(lambda: asleep(on))
        assert call(client, "ping")["ok"] is True


def test_open_stream_and_work_keep_the_hub_awake(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up", **SOON)
        on.muster("fleet", "spawn", "one=x")  # there is no OpenCode: it is tried three times, which takes seconds
        fleet = on.muster("fleet", "list", "--json").json["fleets"][0]
        assert not asleep(on)
        on.muster("fleet", "wait", fleet["fleet_id"])
        pid = on.hub.pid
        with pytest.raises(subprocess.TimeoutExpired):  # more than twice the time after which it would sleep
            subprocess.run([*MUSTER, "events", "--follow"], env=on.env, stdout=subprocess.DEVNULL, timeout=3)
        assert on.hub_json.get("pid") == pid
        until(lambda: asleep(on))


def test_program_that_holds_a_hub_wakes_it_by_its_next_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with machine(tmp_path) as on:
        on.muster("up", **SOON)
        for name, value in on.env.items():
            monkeypatch.setenv(name, value)
        with Hub.find(on.home) as hub:
            first = hub.ask("hub.status")
            until(lambda: asleep(on))
            assert hub.ask("hub.status") == first


def test_down_takes_a_sleeping_hubs_word_back(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up", **SOON)
        until(lambda: asleep(on))
        on.muster("down")
        assert not (on.home / "hub.json").exists()
        assert on.muster("fleet", "list").code == 5


def test_hub_bounds_the_logs_that_its_host_servers_write(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        log = on.home / "logs" / "srv_1.log"
        log.parent.mkdir(parents=True)
        with log.open("ab", buffering=0) as server:
            server.write(b"x" * (LOG_BYTES + 1))
            on.muster("up")
            until(log.with_name("srv_1.log.1").exists)
            until(lambda: log.stat().st_size == 0)
            server.write(b"more")
        assert log.read_bytes() == b"more"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_waiting_calls_and_streams_end_without_a_traceback_in_the_log(tmp_path: Path, ending: signal.Signals) -> None:
    with machine(tmp_path) as on, mcp(on) as client:
        client.hello()
        fleet = call(client, "spawn_fleet", **SPAWN)["fleet_id"]
        client.send("tools/call", 7, name="wait_fleet", arguments={"fleet_id": fleet, "timeout_seconds": 60})
        client.ask("ping", 8)
        with subprocess.Popen([*MUSTER, "events", "--follow"], env=on.env, stdout=subprocess.PIPE) as follower:
            assert follower.stdout is not None
            follower.stdout.readline()
            hub = on.hub
            os.kill(hub.pid, ending)
            until(lambda: is_over(hub))
            follower.kill()
        assert "hub.stopped" in on.log
        assert "Traceback" not in on.log
