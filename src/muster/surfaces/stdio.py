"""The stdio door: MCP on stdin and stdout, carried to the hub's /mcp and back, byte for byte.

It imports nothing slow and nothing of Muster's (`python -I -S stdio.py` does too), because one starts with every MCP
client: `socket` or `json` alone take as long as the interpreter. Above it: an MCP client. Below it: the hub, found
through hub.json, which is read again for every message. It knows how messages travel, and no tool.
"""

# ruff: noqa: PTH100, PTH109, PTH111, PTH123 - pathlib takes 10 ms
import _socket
import _thread
import os
import sys
import time
from _json import make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any  # JSON

RETURN_SECONDS = 10.0  # how long a hub that is away may take to answer
SILENCE_SECONDS = 75  # beyond what a call says that it waits for
NOTICE_SECONDS = 1
FAREWELL_SECONDS = 0.5  # how long answers on the way may take when stdin has ended
LOOK_SECONDS = 0.05
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"  # messages carry it themselves from 2026-07-28 on
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class Refused(Exception):
    """There will be no answer; `error` is told in its place, in the shape of muster.errors."""

    def __init__(self, code: str, message: str, next: str, facts: "dict[str, Any] | None" = None) -> None:
        self.error: dict[str, Any] = {"code": code, "message": message, "next": next, "facts": facts or {}}


class Grammar:
    """What the json module's own scanner wants to know."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float = parse_constant = float
    parse_int = int


SPARE: "list[_socket.socket]" = []  # connections to the hub on which nothing is being said
SCAN: "Any" = make_scanner(Grammar)  # type: ignore[arg-type]  # any object with these attributes will do


def read_json(raw: bytes) -> "Any":
    """A JSON value. Raises ValueError."""
    text = raw.decode().strip()
    try:
        value, end = SCAN(text, 0)
    except (StopIteration, RecursionError, SystemError) as error:  # the last where json is not there to name it
        raise ValueError("not JSON") from error
    if text[end:]:
        raise ValueError("more than one value")
    return value


def _object(value: "Any") -> "dict[str, Any]":
    return value if isinstance(value, dict) else {}


def write_json(value: "Any") -> bytes:
    import json  # noqa: PLC0415 - only what the door says itself needs it

    return json.dumps(value).encode()


class Answer:
    """An HTTP response as it comes in."""

    def __init__(self, connection: _socket.socket) -> None:
        self.is_over = False  # and its connection free for another one
        self._file = open(connection.fileno(), "rb", closefd=False)  # noqa: SIM115 - the call owns the connection
        self.status = int(self._line().partition(b" ")[2][:3])
        self.headers: dict[bytes, bytes] = {}
        while line := self._line():
            name, _, value = line.partition(b":")
            self.headers[name.lower()] = value.strip()

    def messages(self) -> "Iterator[bytes]":
        """JSON-RPC messages: the data of server-sent events, or the one that is the body."""
        if not self.headers.get(b"content-type", b"").startswith(b"text/event-stream"):
            body = b"".join(self._pieces())
            self.is_over = self.headers.get(b"connection") != b"close"
            yield body
            return
        rest, data = b"", []
        for piece in self._pieces():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    data.append(line[5:].strip())
                elif not line.strip() and data:
                    yield b" ".join(data)
                    data = []

    def _pieces(self) -> "Iterator[bytes]":
        if self.headers.get(b"transfer-encoding") != b"chunked":
            yield self._take(int(self.headers.get(b"content-length", b"0")))
            return
        while size := int(self._line().split(b";")[0], 16):
            yield self._take(size)
            self._line()

    def _line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            raise ConnectionError("the answer broke off")
        return line.rstrip(b"\r\n")

    def _take(self, size: int) -> bytes:
        if len(taken := self._file.read(size) or b"") < size:
            raise ConnectionError("the answer broke off")
        return taken


class Call:
    """One message of the client. `mark` makes one call of all the times that it is sent."""

    def __init__(self, line: bytes, message: "dict[str, Any] | None" = None) -> None:
        told = message or {}
        self.line, self.method, self.id = line, told.get("method"), told.get("id")
        self.params, self.is_cancelled = _object(told.get("params")), False
        self.version = _object(self.params.get("_meta")).get(VERSION_KEY)
        asked = _object(self.params.get("arguments"))
        waits = asked.get("timeout_seconds", asked.get("wait_seconds"))
        self.seconds = SILENCE_SECONDS + (int(waits) if isinstance(waits, int | float) and 0 <= waits <= 3600 else 0)
        self._completes = {"resultType": "complete"} if self.version else {}
        self.mark = os.urandom(16).hex()
        self._connection: _socket.socket | None = None
        self._answer: Answer | None = None

    def send(self, host: str, port: int, head: bytes, seconds: int) -> Answer:
        """Raises OSError where no hub is, or it says nothing for so long."""
        self.let_go()
        self._connection = connection = _connection(host, port)
        for option in (_socket.SO_RCVTIMEO, _socket.SO_SNDTIMEO):
            span = seconds.to_bytes(8, sys.byteorder) + bytes(8)  # a timeval; settimeout would make it non-blocking
            connection.setsockopt(_socket.SOL_SOCKET, option, span)
        connection.sendall(head + self.line)
        self._answer = Answer(connection)
        return self._answer

    def failed(self, error: "dict[str, Any]") -> bytes:
        """An error of Muster's as the answer: a tool's result, or an error of the protocol."""
        if self.method != "tools/call":
            return _rpc_error(self.id, -32000, f"{error['message']} {error['next']}", {"error": error})
        content = [{"type": "text", "text": write_json({"error": error}).decode()}]
        result = {"content": content, "structuredContent": {"error": error}, "isError": True}
        return write_json({"jsonrpc": "2.0", "id": self.id, "result": result | self._completes})

    def refused(self, status: int, told: "dict[str, Any]") -> bytes:
        """What HTTP refused: a JSON-RPC error goes on under the request's id, Muster's own becomes one."""
        if "jsonrpc" in told:
            return write_json(told | {"id": self.id})
        no_hub = Refused("unavailable", f"What answers is no hub (status {status}).", "Look at `muster status`.")
        return self.failed(told.get("error") or no_hub.error)

    def let_go(self) -> None:
        connection, answer = self._connection, self._answer
        self._connection = self._answer = None
        if connection is not None and answer is not None and answer.is_over and not self.is_cancelled:
            SPARE.append(connection)
        elif connection is not None:
            connection.close()

    def cancel(self) -> None:
        self.is_cancelled = True
        if self._connection is not None:
            self._connection.shutdown(_socket.SHUT_RDWR)


class Door:
    def __init__(self, toolkits: str) -> None:
        self._toolkits = toolkits
        self._output, self._renewal, self._start = (_thread.allocate_lock() for _ in range(3))
        self._calls: dict[str, Call] = {}
        self._hello: Call | None = None
        self._session = self._version = self._era = ""
        self._starts, self._has_met_hub = 0, False

    def serve(self) -> None:
        """Until stdin ends."""
        for line in filter(None, map(bytes.strip, sys.stdin.buffer)):
            self._take(line)
        until = time.monotonic() + FAREWELL_SECONDS
        while self._calls and time.monotonic() < until:
            time.sleep(0.005)

    def _take(self, line: bytes) -> None:
        try:
            message = read_json(line)
        except ValueError:
            return self._write(_rpc_error(None, -32700, "This line is not JSON."))
        if not isinstance(message, dict):
            return self._write(_rpc_error(None, -32600, "Send one JSON-RPC message on each line."))
        call = Call(line, message)
        if call.method is None or call.id is None:  # a notification, or an answer to the hub
            return self._notify(call)
        self._calls[repr(call.id)] = call
        _thread.start_new_thread(self._serve, (call,))
        return None

    def _notify(self, call: Call) -> None:
        """What wants no answer: once, in order, without waiting for a hub that is away."""
        try:
            if call.method == "notifications/cancelled":
                self._calls.pop(repr(call.params.get("requestId")), call).cancel()
            self._ask(call, NOTICE_SECONDS)
        except (OSError, ValueError, Refused):
            return  # a hub that was away is told who the client is when it is back

    def _serve(self, call: Call) -> None:
        try:
            self._carry(call)
        except Refused as refusal:
            self._write(call.failed(refusal.error))
        finally:
            call.let_go()
            self._calls.pop(repr(call.id), None)

    def _carry(self, call: Call) -> None:
        """Until it is answered; while no hub is there, for as long as one may take to come back."""
        lost_at, starts = 0.0, self._starts
        while not call.is_cancelled:
            try:
                return self._exchange(call)
            except (OSError, ValueError):
                lost_at = lost_at or time.monotonic()
            if not call.is_cancelled:
                self._look_for_a_hub(starts, time.monotonic() - lost_at)
            time.sleep(LOOK_SECONDS)
        return None

    def _exchange(self, call: Call) -> None:
        session, answer = self._session, self._post(call, call.seconds)
        if answer.status == 404 and session:
            self._renew(session)
            answer = self._post(call, call.seconds)
        for message in answer.messages():
            if answer.is_over:  # so that whoever reads the answer and asks on finds the connection spare
                call.let_go()
            if answer.status >= 400:
                return self._write(call.refused(answer.status, _object(read_json(message or b"{}"))))
            told = _object(read_json(message))
            if "method" not in told and call.method == "initialize":
                self._meet(call, answer, told)
            self._write(message)
            if "method" not in told:
                return None
        raise ConnectionError("the stream ended without an answer")

    def _meet(self, call: Call, answer: Answer, told: "dict[str, Any]") -> None:
        """Note what every later message has to carry."""
        self._hello, self._version = call, _object(told.get("result")).get("protocolVersion", "")
        self._session = answer.headers.get(b"mcp-session-id", b"").decode()
        if self._session:
            _thread.start_new_thread(self._listen, (self._session,))

    def _renew(self, stale: str) -> None:
        """The hub has forgotten our session, so introduce the client anew; it need not know."""
        with self._renewal:
            if self._session != stale or self._hello is None:
                return
            self._session = ""
            answer, said = self._ask(Call(self._hello.line), SILENCE_SECONDS)
            self._meet(self._hello, answer, _object(read_json(said[-1])))
            self._ask(Call(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}'), SILENCE_SECONDS)

    def _ask(self, call: Call, seconds: int) -> "tuple[Answer, list[bytes]]":
        """The whole answer at once."""
        try:
            answer = self._post(call, seconds)
            return answer, list(answer.messages())
        finally:
            call.let_go()

    def _listen(self, session: str) -> None:
        """What the hub says unasked, where it keeps sessions and offers a stream for it."""
        listening = Call(b"")
        while self._session == session:
            try:
                answer = self._post(listening, SILENCE_SECONDS, method="GET")
                if answer.status >= 400:
                    return
                for message in answer.messages():
                    self._write(message)
            except (OSError, ValueError, Refused):
                listening.let_go()
            time.sleep(1)

    def _post(self, call: Call, seconds: int, method: str = "POST") -> Answer:
        hub = _hub()
        host, _, port = hub["url"].rpartition("/")[2].rpartition(":")
        answer = call.send(host, int(port), self._head(call, method, f"{host}:{port}", hub["token"]), seconds)
        self._has_met_hub = True
        return answer

    def _head(self, call: Call, method: str, host: str, token: str) -> bytes:
        own = self._era = call.version or ("" if call.method == "initialize" else self._era)  # said once, meant on
        headers = {
            "Host": host,
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream" if method == "POST" else "text/event-stream",
            "Content-Length": str(len(call.line)),
            "X-Muster-Directory": _directory(),
            "X-Muster-Request-Id": call.mark,
            "Mcp-Session-Id": self._session,
            "MCP-Protocol-Version": own or ("" if call.method == "initialize" else self._version),
            "Mcp-Method": call.method if own else "",
            "Mcp-Name": call.params.get(NAMED.get(str(call.method), ""), "") if own else "",
        }
        lines = [f"{key}: {value}" for key, value in headers.items() if value and str(value).isprintable()]
        return "\r\n".join([f"{method} /mcp?toolkits={self._toolkits} HTTP/1.1", *lines, "", ""]).encode()

    def _look_for_a_hub(self, starts: int, seconds_lost: float) -> None:
        """Start one where that is ours to do. Raises Refused when it cannot be, or has been away for too long."""
        may_start = not self._has_met_hub or _hub_file().get("asleep") is True
        if may_start and not os.environ.get("MUSTER_SERVER"):
            with self._start:
                if starts == self._starts:  # else another call has seen to it meanwhile
                    self._starts += 1
                    _start_hub()
        if seconds_lost > RETURN_SECONDS:
            home, next_step = state_folder(), "Start one with `muster up`, then repeat the call."
            raise Refused("unavailable", f"No hub answers for {home}.", next_step, {"home": home})

    def _write(self, message: bytes) -> None:
        """One line. When nobody reads any more there is nothing left to do."""
        line = message.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
        try:
            with self._output:
                while line:
                    line = line[os.write(1, line) :]
        except OSError:
            os._exit(0)


def _connection(host: str, port: int) -> _socket.socket:
    """A spare one, or a new one. Of a hub that has gone there is something to be read, if only that it has."""
    while True:
        try:
            connection = SPARE.pop()
            connection.recv(1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return connection
        except IndexError:
            break
        except OSError:
            continue
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    connection.connect((host, port))
    return connection


def state_folder() -> str:
    """As muster.config has it (a test holds them together); an agent's shell names its hub's own."""
    if chosen := os.environ.get("MUSTER_HOME") or os.environ.get("MUSTER_AGENT_HOME"):
        return os.path.abspath(os.path.expanduser(chosen))
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/muster")
    return (os.environ.get("XDG_STATE_HOME", "").strip() or os.path.expanduser("~/.local/state")) + "/muster"


def _hub_file() -> "dict[str, Any]":
    """What hub.json says; nothing where it is not there or not whole."""
    try:
        with open(f"{state_folder()}/hub.json", "rb") as file:
            return _object(read_json(file.read()))
    except (OSError, ValueError):
        return {}


def _hub() -> "dict[str, str]":
    """Where it answers, and the token to speak with. Raises OSError; Refused where nobody may be the operator."""
    own = os.environ.get("MUSTER_TOKEN") or os.environ.get("MUSTER_AGENT_TOKEN")
    if not own and os.environ.get("MUSTER_SERVER"):
        raise Refused("denied", "Nothing says which agent this is.", "Use the tools of Muster's bridge instead.")
    told = _hub_file()
    if "url" not in told:
        raise ConnectionError("there is no hub.json")
    return {"url": told["url"], "token": own or told["token"]}


def _start_hub() -> None:
    """As `muster up` does, with this installation's own Python. Raises Refused with the reason when none can be."""
    words, said = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    command = [sys.executable, "-P", "-m", "muster", "up", "--json"]
    streams = [(os.POSIX_SPAWN_DUP2, own, other) for own, other in ((nothing, 0), (nothing, 1), (said, 2))]
    pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=streams)
    os.close(said)
    os.close(nothing)
    with open(words, "rb") as file:
        last_words = file.read().strip().split(b"\n")[-1]  # all of them, so it has ended
    _, status = os.waitpid(pid, 0)
    if status == 0 or b'"hub_running"' in last_words:
        return
    try:
        raise Refused(**read_json(last_words)["error"])
    except (ValueError, KeyError, TypeError):
        raise Refused("hub_will_not_start", "The hub did not start.", "Run `muster up` to see why.") from None


def _rpc_error(id: "Any", code: int, message: str, data: "Any" = None) -> bytes:
    return write_json({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message, "data": data}})


def _directory() -> str:
    """Where the client stands, percent-encoded; nothing where that was removed."""
    try:
        here = os.fsencode(os.getcwd())
    except FileNotFoundError:
        return ""
    return "".join(chr(b) if (b < 128 and chr(b).isalnum()) or b in b"/-_.~" else f"%{b:02X}" for b in here)


if __name__ == "__main__":
    # As muster.__main__ does. At once: threads that still wait for the hub are not waited for.
    Door(toolkits=sys.argv[2] if sys.argv[2:] else "mesh").serve()
    os._exit(0)
