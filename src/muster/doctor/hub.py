"""The hub: whether one answers, and whether one could."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any  # hub.json
from urllib.parse import urlsplit

from muster import __version__
from muster.config import Settings
from muster.doctor.finding import Case, Finding, broken, ok, warning
from muster.errors import HubRunning, PortTaken
from muster.home import Home
from muster.hosts.opencode.orphans import end_servers_of, servers_of
from muster.surfaces.sockets import listening

ANSWER_SECONDS = 5
NONE_RUNS = "none runs; `muster up` starts one, and so does whoever needs it"


def hub(case: Case) -> Finding:
    told = _told(case.home)
    if not case.home.is_free:
        return _of_one_that_runs(case, told)
    if told is None:
        return ok(NONE_RUNS)
    if told.get("asleep") is True:
        return ok("asleep; whoever needs it starts it again")
    if case.home.is_watched:
        return warning("it ended, and its watcher is about to start it again", "Look again in a moment.")
    return warning(
        f"hub.json names a hub that is gone (pid {told.get('pid')})",
        "`muster up`: agents go on where they were.",
        lambda: _forget(case.home),
    )


def port(case: Case) -> Finding:
    wanted = case.settings.port
    if not case.home.is_free:
        return ok("the hub has it")
    try:
        with listening(wanted):
            return ok("any free one" if wanted == 0 else f"{wanted} is free")
    except PortTaken as error:
        if wanted == Settings().port:
            return ok(f"{error.message} The hub will take any free one.")
        return broken(error.message, error.next_step)


def host_servers(case: Case) -> Finding:
    pids = sorted(servers_of(case.home.folder))
    if not pids:
        return ok("none runs")
    if not case.home.is_free or case.home.is_watched:
        return ok(f"{len(pids)} at work or resting")
    listed = ", ".join(map(str, pids))
    return warning(
        f"{len(pids)} without a hub (pid {listed})",
        "`muster up`, which takes them over instead of ending them.",
        lambda: _end_servers(case.home),
    )


def _of_one_that_runs(case: Case, told: Mapping[str, Any] | None) -> Finding:
    log = case.home.logs / "hub.log"
    if told is None or "url" not in told:
        return warning("one is starting or ending", f"Look again in a moment; if it stays so, read {log}.")
    where = f"{told['url']}, pid {told.get('pid')}"
    if not _answers(str(told["url"])):
        return broken(f"{where}: it holds {case.home.folder}, and does not answer", f"Read {log}; then `muster down`.")
    if told.get("version") != __version__:
        says = f"{where}: it is version {told.get('version')}, and this command is {__version__}"
        return warning(says, "`muster down`, then `muster up`: agents go on where they were.")
    if not case.home.is_watched:
        return ok(f"{where} (`muster serve`, or without a watcher)")
    return ok(where)


def _told(home: Home) -> Mapping[str, Any] | None:
    try:
        told = json.loads(home.hub_file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _answers(url: str) -> bool:
    try:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=ANSWER_SECONDS)
    except ValueError:
        return False
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _forget(home: Home) -> None:
    """Under the lock: a hub that starts in this moment keeps its file."""
    try:
        with home.locked():
            home.forget()
    except HubRunning:
        return


def _end_servers(home: Home) -> None:
    try:
        with home.locked():
            end_servers_of(home.folder)
    except HubRunning:
        return
