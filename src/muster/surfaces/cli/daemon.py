"""The hub as a process: started, ended, looked at."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from muster.config import state_folder
from muster.errors import HubRunning, HubWillNotStart, MusterError, NoHub, Unavailable
from muster.home import Home
from muster.surfaces.cli.output import Json, json_option, show
from muster.surfaces.cli.text import counts, table
from muster.surfaces.client import Address, Hub, rebuilt

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LOOK_SECONDS = 0.03
LOG_BYTES = 64 * 1024  # of the log's end, where the reason for a failed start stands

port_option = click.option("--port", type=click.IntRange(0, 65535), help="The hub's port; 0 takes any free one.")


@click.command()
@port_option
@click.option("--json", is_flag=True, expose_value=False, help="Say errors as JSON.")
def serve(*, port: int | None) -> None:
    """Be the hub, in the foreground, until SIGTERM or Ctrl-C."""
    from muster.hub import run  # noqa: PLC0415 - half a second of imports that only the hub itself needs

    run(port)


@click.command()
@port_option
@json_option
def up(*, port: int | None, as_json: bool) -> None:
    """Start the hub in the background and wait until it answers."""
    home = Home(folder=state_folder())
    home.prepare()
    with home.locked():
        pass  # nobody is the hub here, or this raises who is
    log = home.logs / "hub.log"
    address = _started(home, log, [] if port is None else ["--port", str(port)])
    show({"url": address.url, "pid": address.pid}, as_json=as_json, text=lambda answer: str(answer["url"]))


@click.command()
@json_option
def down(*, as_json: bool) -> None:
    """End the hub and every process that it started. Agents at work go on at the next start."""
    home = Home(folder=state_folder())
    pid = _pid_of_the_hub(home)
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        _wait_until_gone(home, pid)
    answer = {"ended": pid is not None, "pid": pid}
    show(
        answer, as_json=as_json, text=lambda _: "No hub was running." if pid is None else f"The hub (pid {pid}) ended."
    )


@click.command()
@json_option
def status(*, as_json: bool) -> None:
    """Show the hub, its host servers, and the agents on the way."""
    hub = Hub.find()
    address = hub.address()
    told = {"url": address.url, "pid": address.pid} | hub.ask("hub.status")
    show(told, as_json=as_json, text=lambda answer: _status_text(answer, address))


def _status_text(answer: Json, address: Address) -> str:
    rows = [
        [server[name] for name in ("server_id", "host", "version", "state", "pid", "agents")]
        for server in answer["servers"]
    ]
    servers = (
        table(["SERVER", "HOST", "VERSION", "STATE", "PID", "AGENTS"], rows) if rows else "No host server is awake."
    )
    agents = counts(answer["agents"]) if answer["agents"] else "none on the way"
    return f"hub     {address.url}  version {answer['version']}  pid {address.pid}\nagents  {agents}\n\n{servers}"


# ── starting ─────────────────────────────────────────────────────────────────────────────────────


def _started(home: Home, log: Path, options: list[str]) -> Address:
    """Start `muster serve` in a session of its own; its output goes to a file, which outlives whoever reads it."""
    with log.open("ab") as output:
        begun = output.tell()
        process = subprocess.Popen(
            # -P: a folder called muster where the caller stands is not our package.
            [sys.executable, "-P", "-m", "muster", "serve", "--json", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=home.folder,
            env=_environment(home),
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(NoHub):
            address = Address.read(home.folder)  # written once the hub answers
            if address.pid == process.pid:
                return address
        time.sleep(LOOK_SECONDS)
    process.terminate()
    raise _reason(log, begun)


def _environment(home: Home) -> dict[str, str]:
    """The caller's, without who the caller is: a hub that carried an agent's run would end with it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUSTER_")}
    settings = {name: value for name, value in os.environ.items() if name.startswith("MUSTER_CFG_")}
    return kept | settings | {"MUSTER_HOME": str(home.folder)}


def _reason(log: Path, begun: int) -> MusterError:
    """What the hub said last, as the error that it was."""
    with log.open("rb") as file:
        file.seek(max(begun, log.stat().st_size - LOG_BYTES))
        lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    for line in reversed(lines):
        with suppress(ValueError, KeyError, TypeError):
            return rebuilt(json.loads(line)["error"])
    said = lines[-1] if lines else f"it did not answer within {START_SECONDS:.0f} s"
    return HubWillNotStart(why=said, log=str(log))


# ── ending ───────────────────────────────────────────────────────────────────────────────────────


def _pid_of_the_hub(home: Home) -> int | None:
    """The process that holds the state folder's lock; hub.json alone could name one of another life. None: nobody."""
    deadline = time.monotonic() + STOP_SECONDS
    while not _is_free(home):
        with suppress(NoHub):
            pid = Address.read(home.folder).pid
            if _is_muster(pid):
                return pid
        if time.monotonic() > deadline:
            raise Unavailable(why=f"A hub holds {home.folder}, but hub.json does not say which process it is.")
        time.sleep(LOOK_SECONDS)
    return None


def _wait_until_gone(home: Home, pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while not (_is_free(home) and not _is_muster(pid)):
        if time.monotonic() > deadline:
            raise Unavailable(why=f"The hub (pid {pid}) was told to end, and still runs after {STOP_SECONDS:.0f} s.")
        time.sleep(LOOK_SECONDS)


def _is_free(home: Home) -> bool:
    if not home.folder.is_dir():
        return True
    try:
        with home.locked():
            return True
    except HubRunning:
        return False


def _is_muster(pid: int) -> bool:
    """Whether that process lives and is a hub by its command line; one that nobody has reaped yet has none."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except FileNotFoundError:
        if Path("/proc/self").exists():
            return False
        told = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        words = told.stdout
    return "muster" in words and "serve" in words
