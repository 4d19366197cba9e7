"""The hub for programs: every verb as a call, the journal as an iterator. Standard library only.

Above it: the command line, scripts, tests. Below it: the hub's HTTP door, found through hub.json. It knows no verb by
name, and hub.json is read again for every new connection, so a hub that was started anew is found on its new port.
"""

import json
import os
import select
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any  # arguments and answers are JSON
from urllib.parse import quote, urlencode, urlsplit

from muster.config import state_folder
from muster.errors import Broken, Denied, HubRunning, MusterError, NoHub, Unavailable, tree
from muster.home import Home

Json = dict[str, Any]

SETTLE_SECONDS = 60.0  # verbs settle within 45 s; the rest is for a busy machine
MARGIN_SECONDS = 15.0
SILENCE_SECONDS = 45.0  # the journal's stream says something every 15 s
RETURN_SECONDS = 10.0  # how long a hub that went away may take to come back
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a hub answers, and the operator's token. `pid` is that of its process."""

    url: str
    token: str
    pid: int

    @classmethod
    def read(cls, home: Path) -> "Address":
        """What hub.json says. Raises NoHub."""
        try:
            told = json.loads((home / "hub.json").read_text(encoding="utf-8"))
            return cls(url=told["url"], token=told["token"], pid=told["pid"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise NoHub(home=str(home)) from error


class _WentAway(Exception):
    """The hub was reached, and was gone before it had answered."""


class Hub:
    """A hub as one caller sees it. Threads may share it; connections are kept for the next call until `close`."""

    def __init__(self, home: Path, token: str | None, *, wakes: bool = False) -> None:
        """Without a `token` calls are made with the operator's, as hub.json has it. `wakes` starts one that sleeps."""
        self.home = home
        self._token = token
        self._wakes = wakes
        self._idle: list[HTTPConnection] = []

    @classmethod
    def find(cls, home: Path | None = None, *, environment: Mapping[str, str] | None = None) -> "Hub":
        """The hub of a state folder, spoken to as whoever the environment says. Raises NoHub, Denied.

        One that went to sleep for want of use is started again, as `muster up` would.
        """
        environment = os.environ if environment is None else environment
        folder = home or _folder(environment)
        hub = cls(folder, _token(environment), wakes="MUSTER_SERVER" not in environment)
        hub.address()
        return hub

    def __enter__(self) -> "Hub":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go; a later call makes new ones."""
        while self._idle:
            self._idle.pop().close()

    def __del__(self) -> None:
        self.close()

    def address(self) -> Address:
        """Where the hub answers now. Raises NoHub."""
        try:
            return Address.read(self.home)
        except NoHub:
            if not (self._wakes and Home(folder=self.home).is_asleep):
                raise
        return _woken(self.home)

    def call(self, verb: str, /, *, request_id: str | None = None, **arguments: Any) -> Json:
        """Do something. With a `request_id` a call that was cut off is sent again; it is done once all the same.

        Raises the error that the hub answers, with the hub's own words, or Unavailable when it went away.
        """
        if request_id is None:
            return self._post(verb, arguments, resend=False)
        return self._post(verb, arguments | {"request_id": request_id}, resend=True)

    def ask(self, verb: str, /, **arguments: Any) -> Json:
        """Ask a view: nothing changes, so a call that was cut off is asked again."""
        return self._post(verb, arguments, resend=True)

    def events(self, after: int | None = None, fleet: str | None = None, agent: str | None = None) -> Iterator[Json]:
        """What happens, as it happens, for ever; from a cursor on, else from now. A lost connection is made anew."""
        cursor = self.ask("event.list", limit=1)["cursor"] if after is None else after
        about = {name: value for name, value in (("fleet", fleet), ("agent", agent)) if value is not None}
        return self._followed(f"/api/v1/events?{urlencode(about)}", cursor)

    def inbox(self, agent: str, since: int | None = None) -> Iterator[Json]:
        """An agent's messages, for ever: what it has not acknowledged, then each as it is sent. It marks none of them.

        With a cursor, what came after that. A lost connection is made anew.
        """
        return self._followed(f"/api/v1/inbox/{quote(agent, safe='')}/stream", since)

    def _followed(self, path: str, cursor: int | None) -> Iterator[Json]:
        lost_at: float | None = None
        while True:
            try:
                with self._stream(path, cursor) as told:
                    lost_at = None
                    for place, each in told:
                        cursor = place
                        yield each
            except (_WentAway, NoHub) as error:
                lost_at = _still_patient(lost_at, error)
                time.sleep(PAUSE_SECONDS)

    def _post(self, verb: str, arguments: Json, *, resend: bool) -> Json:
        body = json.dumps(arguments).encode()
        lost_at: float | None = None
        while True:
            try:
                return self._exchange(verb, body, _patience(arguments))
            except (_WentAway, NoHub) as error:
                if not resend or (lost_at is None and isinstance(error, NoHub)):
                    raise _gone(error, verb) from error
                lost_at = _still_patient(lost_at, error)
                time.sleep(PAUSE_SECONDS)

    def _exchange(self, verb: str, body: bytes, seconds: float) -> Json:
        connection = self._connection(seconds)
        try:
            connection.request("POST", f"/api/v1/{quote(verb, safe='')}", body, self._headers())
            response = connection.getresponse()
            told = response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            raise _WentAway(str(error)) from error
        self._idle.append(connection)
        return _answer(response.status, told)

    @contextmanager
    def _stream(self, path: str, cursor: int | None) -> Iterator[Iterator[tuple[int, Json]]]:
        """What comes behind a cursor, each with its own. Left for want of more: the hub went away."""
        connection = self._connect(SILENCE_SECONDS)
        try:
            behind = {} if cursor is None else {"Last-Event-ID": str(cursor)}
            connection.request("GET", path, headers=self._headers() | behind)
            response = connection.getresponse()
            if response.status != 200:
                _answer(response.status, response.read())
            yield _told(response)
            raise _WentAway("the stream ended")
        except (OSError, HTTPException) as error:
            raise _WentAway(str(error)) from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str]:
        token = self._token or self.address().token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            return headers | {"X-Muster-Directory": quote(str(Path.cwd()))}
        except FileNotFoundError:  # the caller's directory was removed under it
            return headers

    def _connection(self, seconds: float) -> HTTPConnection:
        """One that was kept, unless the hub has closed it meanwhile; else a new one."""
        while self._idle:
            kept = self._idle.pop()
            if kept.sock is not None and not select.select([kept.sock], [], [], 0)[0]:
                kept.sock.settimeout(seconds)
                return kept
            kept.close()
        return self._connect(seconds)

    def _connect(self, seconds: float) -> HTTPConnection:
        address = self.address()
        try:
            return _connected(address, seconds)
        except OSError:
            again = self.address()  # it may have gone to sleep at that very moment
        try:
            return _connected(again, seconds)
        except OSError as error:
            raise NoHub(home=str(self.home)) from error


def _connected(address: Address, seconds: float) -> HTTPConnection:
    url = urlsplit(address.url)
    connection = HTTPConnection(url.hostname or "", url.port, timeout=seconds)
    connection.connect()
    return connection


def _woken(home: Path) -> Address:
    """Start the hub that sleeps, and wait until it answers. Raises why it does not."""
    import subprocess  # noqa: PLC0415 - 5 ms that are wanted only here

    command = [sys.executable, "-P", "-m", "muster", "up", "--json"]
    env = os.environ | {"MUSTER_HOME": str(home)}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    error = _last_error(done.stderr) if done.returncode else None
    if error is not None and error.code != HubRunning.code:  # else another one has woken it
        raise error
    deadline = time.monotonic() + RETURN_SECONDS
    while True:
        try:
            return Address.read(home)
        except NoHub:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_SECONDS)


def _last_error(said: bytes) -> MusterError:
    try:
        return rebuilt(json.loads(said.strip().splitlines()[-1])["error"])
    except (ValueError, KeyError, TypeError, IndexError):
        return Unavailable(why="The hub went to sleep, and could not be started again.")


def rebuilt(told: Json, status: int = 500) -> MusterError:
    """An error as the hub told it: our class for its code, else for its status; the hub's own words."""
    code, facts = str(told.get("code")), told.get("facts")
    kinds = list(tree())
    kind = next((one for one in kinds if one.code == code), None)
    kind = kind or next((one for one in kinds if one.status == status), Broken)
    error = kind.__new__(kind)
    error.facts = facts if isinstance(facts, dict) else {}
    # The class attributes of this one instance: a newer hub may say it better, or have other facts.
    vars(error).update(code=code, says=_literal(told.get("message")), next=_literal(told.get("next")))
    error.args = (error.message,)
    return error


def _literal(text: object) -> str:
    return str(text).replace("{", "{{").replace("}", "}}")


def _answer(status: int, body: bytes) -> Json:
    try:
        told = json.loads(body)
    except ValueError:
        told = None
    if isinstance(told, dict) and status == 200:
        return told
    if isinstance(told, dict) and isinstance(told.get("error"), dict):
        raise rebuilt(told["error"], status)
    raise Unavailable(why=f"What answers at the hub's address is no hub (status {status}).")


def _told(response: HTTPResponse) -> Iterator[tuple[int, Json]]:
    """Server-sent events: each one's cursor, and its data."""
    cursor, data = 0, list[str]()
    while line := response.readline():
        name, _, value = line.decode().rstrip("\r\n").partition(":")
        match name:
            case "id":
                cursor = int(value)
            case "data":
                data.append(value)
            case "" if data and not value:
                yield cursor, json.loads("\n".join(data))
                data = []


def _patience(arguments: Json) -> float:
    seconds = arguments.get("timeout_seconds", arguments.get("wait_seconds"))
    return MARGIN_SECONDS + seconds if isinstance(seconds, int | float) else SETTLE_SECONDS + MARGIN_SECONDS


def _still_patient(lost_at: float | None, error: Exception) -> float:
    """When the hub was lost. Raises what to tell the caller once that is too long ago, or never was."""
    now = time.monotonic()
    if (lost_at is None and isinstance(error, NoHub)) or (lost_at is not None and now - lost_at > RETURN_SECONDS):
        raise _gone(error, "the call") from error
    return now if lost_at is None else lost_at


def _gone(error: Exception, what: str) -> MusterError:
    if isinstance(error, NoHub):
        return error
    return Unavailable(why=f"The hub went away before it had answered {what} ({error}); it may have been done.")


def _folder(environment: Mapping[str, str]) -> Path:
    """An agent's shell knows the hub that started it by MUSTER_AGENT_HOME."""
    agents = environment.get("MUSTER_AGENT_HOME")
    return Path(agents) if agents and not environment.get("MUSTER_HOME") else state_folder()


def _token(environment: Mapping[str, str]) -> str | None:
    """Who the caller is; None: the operator. Raises Denied below a host server, where nobody is the operator."""
    token = environment.get("MUSTER_TOKEN") or environment.get("MUSTER_AGENT_TOKEN")
    if not token and environment.get("MUSTER_SERVER"):
        raise Denied(
            why="This runs inside an agent's host server, and nothing says which agent it is.",
            hint="Run it in an agent's shell, where MUSTER_AGENT_TOKEN is set, or outside of the host server.",
        )
    return token or None
