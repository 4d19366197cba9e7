"""`muster up`, `down`, `serve`, `status`: a hub as a background process, and how its start can fail."""

import os
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from e2e.programs import MUSTER, WITHIN_SECONDS, machine, until
from muster.hosts.opencode.environment import BRIDGE


def test_up_answers_with_the_url_of_a_hub_in_a_session_of_its_own_and_down_ends_it(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        up = on.muster("up")
        hub, told = on.hub, on.hub_json
        status = on.muster("status")

        assert (up.code, up.out, up.err) == (0, f"{told['url']}\n", "")
        assert (os.getsid(hub.pid), hub.cwd()) == (on.watcher.pid, str(on.home))
        assert (status.code, told["url"] in status.out) == (0, True)
        assert told["token"] not in up.out + status.out + " ".join(hub.cmdline())

        down = on.muster("down", "--json")
        assert (down.code, down.json) == (0, {"ended": True, "pid": hub.pid})
        assert not (on.home / "hub.json").exists()
        assert not hub.is_running() or hub.status() == psutil.STATUS_ZOMBIE
        assert on.muster("down").code == 0
        assert on.muster("status", "--json").error["code"] == "no_hub"


def test_hub_renews_the_bridge_that_init_has_put_into_the_state_folder(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        on.muster("down")
        assert not (on.home / "bridge.js").exists()
        (on.home / "bridge.js").write_text("an older one")
        on.muster("up")
        assert (on.home / "bridge.js").read_bytes() == BRIDGE.read_bytes()


def test_second_hub_on_a_state_folder_is_a_conflict_that_names_the_first(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        told = on.hub_json
        for words in (["up"], ["serve"], ["serve", "--port", "0"]):
            refused = on.muster(*words, "--json")
            assert (refused.code, refused.out, refused.error["code"]) == (4, "", "hub_running")
            facts = refused.error["facts"]
            assert (facts["home"], facts["pid"], facts["url"]) == (str(on.home), told["pid"], told["url"])
        assert on.hub_json == told


def test_port_that_is_taken_is_said_by_up_as_by_serve(tmp_path: Path) -> None:
    with machine(tmp_path) as on, socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words in (["up"], ["serve"]):
            refused = on.muster(*words, "--port", port, "--json")
            assert (refused.code, refused.out, refused.error["code"]) == (4, "", "port_taken")
            assert refused.error["facts"]["port"] == int(port)
        assert on.muster("status").code == 5


def test_port_that_nobody_chose_and_another_program_has_is_no_obstacle_and_is_said(tmp_path: Path) -> None:
    with machine(tmp_path) as on, socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # whoever has it already does as well
            taken.bind(("127.0.0.1", 4747))
            taken.listen()
        del on.env["MUSTER_CFG_PORT"]
        up = on.muster("up", "--json")
        assert (up.code, up.json["url"] != "http://127.0.0.1:4747") == (0, True)
        assert "another program has port 4747" in up.err
        assert on.muster("status").code == 0


def test_wrong_setting_stops_the_start_and_is_named(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        refused = on.muster("up", "--json", MUSTER_CFG_PORT="many")
        assert (refused.code, refused.error["code"], refused.error["facts"]["key"]) == (2, "bad_setting", "port")


def test_state_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.home.write_text("a file stands here")
        for words in (["up"], ["serve"]):
            refused = on.muster(*words, "--json")
            assert (refused.code, refused.error["code"]) == (5, "state_not_writable")
        on.home.unlink()


def test_stale_hub_file_misleads_nobody_and_ends_no_stranger(tmp_path: Path) -> None:
    with machine(tmp_path) as on, subprocess.Popen(["sleep", "60"]) as stranger:
        on.muster("up")
        on.kill_hub()
        text = (on.home / "hub.json").read_text().replace(f'"pid": {on.hub_json["pid"]}', f'"pid": {stranger.pid}')
        (on.home / "hub.json").write_text(text)

        assert on.muster("status").code == 5
        assert on.muster("down").out == "No hub was running.\n"
        assert stranger.poll() is None
        assert on.muster("up").code == 0
        assert on.hub_json["pid"] != stranger.pid
        stranger.kill()


def test_hub_that_an_agent_would_start_carries_nothing_of_the_agent(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up", MUSTER_AGENT_TOKEN="secret", MUSTER_RUN="run_1", MUSTER_SERVER="srv_1", PROVIDER_KEY="kept")
        given = on.hub.environ()
        told = {name for name in given if name.startswith("MUSTER_")}
        assert told == {name for name in on.env if name.startswith("MUSTER_")}
        assert given["PROVIDER_KEY"] == "kept"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_hub_in_the_foreground_ends_by_a_signal_with_exit_0(tmp_path: Path, ending: signal.Signals) -> None:
    with machine(tmp_path) as on:
        with subprocess.Popen([*MUSTER, "serve"], env=on.env, stderr=subprocess.DEVNULL) as hub:
            until((on.home / "hub.json").exists)
            hub.send_signal(ending)
            assert hub.wait(10) == 0
        assert not (on.home / "hub.json").exists()


def test_down_ends_a_hub_in_the_foreground_too(tmp_path: Path) -> None:
    with machine(tmp_path) as on, subprocess.Popen([*MUSTER, "serve"], env=on.env, stderr=subprocess.DEVNULL) as hub:
        until((on.home / "hub.json").exists)
        assert on.muster("down").code == 0
        assert hub.wait(5) == 0


def test_folder_called_muster_where_the_caller_stands_is_not_taken_for_the_package(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        trap = tmp_path / "muster.py"
        trap.write_text("raise SystemExit('trapped')\n")
        command = [str(Path(MUSTER[0]).with_name("muster")), "up"]
        done = subprocess.run(
            command, env=on.env, cwd=tmp_path, capture_output=True, timeout=WITHIN_SECONDS, check=False
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_reader_that_goes_away_ends_the_program_without_a_word(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        with subprocess.Popen(
            [*MUSTER, "events", "--follow"], env=on.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as following:
            assert following.stdout is not None
            assert following.stderr is not None
            following.stdout.close()
            for number in range(20):
                on.muster("fleet", "spawn", f"role{number}=x")
                if following.poll() is not None:
                    break
            assert following.wait(10) == 141
            assert following.stderr.read() == b""
        assert on.muster("down").code == 0


def test_terminal_that_knows_no_unicode_gets_escapes(tmp_path: Path) -> None:
    with machine(tmp_path) as on:
        on.muster("up")
        on.muster("fleet", "spawn", "rôle=x", "--name", "日本")
        listed = on.muster("fleet", "list", PYTHONIOENCODING="latin-1")
        assert (listed.code, "\\u65e5\\u672c" in listed.out) == (0, True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="SKIPPED FOR WANT OF /dev/full")
def test_answer_that_cannot_be_written_is_an_error_and_no_bug(tmp_path: Path) -> None:
    with machine(tmp_path) as on, Path("/dev/full").open("w") as full:
        on.muster("up")
        for words in (["inspect"], ["status", "--json"]):
            done = subprocess.run(
                [*MUSTER, *words], env=on.env, stdout=full, stderr=subprocess.PIPE, text=True, timeout=WITHIN_SECONDS
            )
            assert (done.returncode, "could not be written" in done.stderr) == (5, True)
            assert "Traceback" not in done.stderr
