"""The stdio door: MCP on stdin and stdout, carried to the hub's /mcp and back, byte for byte.

It runs as a file of its own (`python -I -S stdio.py`), imports nothing of Muster and nothing that is slow, because one
of these starts with every MCP client. Above it: an MCP client. Below it: the hub, found through hub.json, which is
read again for every message. It knows how messages travel, and no tool.
"""

import _thread
import os
import select
import sys
import time
from collections.abc import Iterator

try:
    import _socket as socket  # `socket` itself takes longer than the interpreter
except ImportError:
    import socket  # type: ignore[no-redef]  # where there is no _socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any  # JSON

CONNECT_SECONDS = 5.0
RETURN_SECONDS = 10.0  # how long a hub that is away may take to answer
SILENCE_SECONDS = 75.0  # behind what a call says that it waits for
NOTICE_SECONDS = 1.0
FAREWELL_SECONDS = 0.5  # how long answers on the way may take when stdin has ended
LOOK_SECONDS = 0.05
CHUNK = 65536
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


class HubAway(Exception):
    """Nothing answers, or the answer broke off."""


class Refused(Exception):
    """There will be no answer; `error` is told in its place, in the shape of muster.errors."""

    def __init__(self, code: str, message: str, next: str, **facts: str) -> None:
        self.error: dict[str, Any] = {"code": code, "message": message, "next": next, "facts": facts}


def _grammar() -> "Any":
    """The scanner that the json module is built around; json itself takes as long to import as all else together."""
    from _json import make_scanner  # noqa: PLC0415 - see _read_json

    class Grammar:
        strict = True
        object_hook = object_pairs_hook = None
        parse_float = parse_constant = float
        parse_int = int
        memo: "dict[str, str]" = {}  # noqa: RUF012 - the scanner's own

    return make_scanner(Grammar)


try:
    _scan = _grammar()
except ImportError:
    _scan = None


def read_json(raw: bytes) -> "Any":
    """A JSON value. Raises ValueError."""
    text = raw.decode().strip()
    if _scan is None:
        import json  # noqa: PLC0415 - only where the interpreter has no scanner of its own

        return json.loads(text)
    try:
        value, end = _scan(text, 0)
    except (StopIteration, RecursionError) as error:
        raise ValueError("not JSON") from error
    if end != len(text):
        raise ValueError("more than one value")
    return value


def write_json(value: "Any") -> bytes:
    import json  # noqa: PLC0415 - only what the door says itself needs it

    return json.dumps(value).encode()


class Answer:
    """An HTTP response as it comes in. Raises HubAway when it breaks off."""

    def __init__(self, connection: "socket.socket") -> None:
        self._connection = connection
        self._held = b""
        self.status = int(self._line().split(b" ")[1])
        self.headers: dict[bytes, bytes] = {}
        while line := self._line():
            name, _, value = line.partition(b":")
            self.headers[name.lower()] = value.strip()

    @property
    def is_stream(self) -> bool:
        return self.headers.get(b"content-type", b"").startswith(b"text/event-stream")

    def body(self) -> bytes:
        return b"".join(self._pieces())

    def messages(self) -> "Iterator[bytes]":
        """The data of server-sent events."""
        held, data = bytearray(), list[bytes]()
        for piece in self._pieces():
            held += piece
            if b"\n" not in piece:
                continue
            *lines, rest = bytes(held).split(b"\n")
            held = bytearray(rest)
            for line in lines:
                line = line.rstrip(b"\r")
                if line.startswith(b"data:"):
                    data.append(line[5:].strip())
                elif not line and data:
                    yield b" ".join(data)
                    data = []

    def _pieces(self) -> "Iterator[bytes]":
        if self.headers.get(b"transfer-encoding") == b"chunked":
            while size := int(self._line().split(b";")[0], 16):
                yield self._take(size)
                self._line()
        elif b"content-length" in self.headers:
            yield self._take(int(self.headers[b"content-length"]))

    def _line(self) -> bytes:
        while b"\n" not in self._held:
            self._held += self._receive()
        line, _, self._held = self._held.partition(b"\n")
        return line.rstrip(b"\r")

    def _take(self, size: int) -> bytes:
        parts = [self._held]
        missing = size - len(self._held)
        while missing > 0:
            parts.append(self._receive())
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self._held = whole[size:]
        return whole[:size]

    def _receive(self) -> bytes:
        try:
            received = self._connection.recv(CHUNK)
        except OSError as error:
            raise HubAway(str(error)) from error
        if not received:
            raise HubAway("the connection was closed")
        return received


class Call:
    """One request of the client. `mark` makes one call of all times that it is sent."""

    def __init__(self, line: bytes, message: "Any") -> None:
        self.line = line
        self.message = message if isinstance(message, dict) else {}
        self.method = self.message.get("method")
        self.id = self.message.get("id")
        self.mark = os.urandom(16).hex()
        self.connection: socket.socket | None = None
        self.is_cancelled = False

    @property
    def params(self) -> "dict[str, Any]":
        params = self.message.get("params")
        return params if isinstance(params, dict) else {}

    @property
    def version(self) -> "str | None":
        """The protocol version that the message carries itself (from 2026-07-28 on)."""
        meta = self.params.get("_meta")
        return meta.get(VERSION_KEY) if isinstance(meta, dict) else None

    @property
    def patience(self) -> float:
        arguments = self.params.get("arguments")
        waits = arguments.get("timeout_seconds") if isinstance(arguments, dict) else None
        return SILENCE_SECONDS + (waits if isinstance(waits, int | float) and 0 <= waits <= 3600 else 0)

    def cancel(self) -> None:
        self.is_cancelled = True
        if self.connection is not None:
            _hang_up(self.connection)


class Door:
    def __init__(self, toolkits: str) -> None:
        self._toolkits = toolkits
        self._output = _thread.allocate_lock()
        self._renewal = _thread.allocate_lock()
        self._start = _thread.allocate_lock()
        self._starting: tuple[int, int] | None = None  # pid of `muster up`, and where it says why it failed
        self._calls: dict[str, Call] = {}
        self._hello: Call | None = None
        self._session: bytes | None = None
        self._version: str | None = None
        self._has_met_hub = False

    def serve(self) -> None:
        """Until stdin ends."""
        for line in sys.stdin.buffer:
            if line.strip():
                self._take(line.strip())
        until = time.monotonic() + FAREWELL_SECONDS
        while self._calls and time.monotonic() < until:
            time.sleep(0.005)

    # ── from the client ──────────────────────────────────────────────────────────────────────────

    def _take(self, line: bytes) -> None:
        try:
            message = read_json(line)
        except ValueError:
            self._write(_rpc_error(None, -32700, "This line is not JSON."))
            return
        call = Call(line, message)
        if isinstance(message, list) or (call.method is not None and call.id is not None):
            self._calls[repr(call.id)] = call
            _thread.start_new_thread(self._serve, (call,))
        elif isinstance(message, dict):
            self._notify(call)
        else:
            self._write(_rpc_error(None, -32600, "This line is not a JSON-RPC message."))

    def _notify(self, call: Call) -> None:
        """What wants no answer: once, in order, without waiting for a hub that is away."""
        try:
            self._post(call, NOTICE_SECONDS)
        except (HubAway, Refused):
            pass
        finally:
            self._let_go(call)
        if call.method == "notifications/cancelled":
            cancelled = self._calls.pop(repr(call.params.get("requestId")), None)
            if cancelled is not None:
                cancelled.cancel()

    def _serve(self, call: Call) -> None:
        try:
            self._carry(call)
        except Refused as refusal:
            self._write(_told(call, refusal.error))
        finally:
            if self._calls.get(repr(call.id)) is call:
                del self._calls[repr(call.id)]

    # ── to the hub and back ──────────────────────────────────────────────────────────────────────

    def _carry(self, call: Call) -> None:
        """Until it is answered; while no hub is there, for as long as one may take to come back."""
        lost_at = None
        while not call.is_cancelled:
            try:
                return self._exchange(call)
            except HubAway:
                lost_at = lost_at or time.monotonic()
                if not call.is_cancelled:
                    self._look_for_a_hub(time.monotonic() - lost_at)
            finally:
                self._let_go(call)
            time.sleep(LOOK_SECONDS)

    def _exchange(self, call: Call) -> None:
        session = self._session
        answer = self._post(call, call.patience)
        if answer.status == 404 and session is not None:
            self._let_go(call)
            self._renew(session)
            answer = self._post(call, call.patience)
        if answer.status >= 400:
            return self._pass_refusal(call, answer)
        for message in answer.messages() if answer.is_stream else (answer.body(),):
            told = read_json(message)
            is_the_answer = call.id is None or (isinstance(told, dict) and "method" not in told)
            if is_the_answer and call.method == "initialize":
                self._meet(call, answer, told)
            self._write(message)
            if is_the_answer:
                return None
        raise HubAway("the stream ended without an answer")

    def _meet(self, call: Call, answer: Answer, told: "Any") -> None:
        """Note what every later message has to carry."""
        self._hello = call
        self._version = (told.get("result") or {}).get("protocolVersion")
        self._session = answer.headers.get(b"mcp-session-id")
        if self._session is not None:
            _thread.start_new_thread(self._listen, (self._session,))

    def _renew(self, stale: bytes) -> None:
        """The hub has forgotten our session, so introduce the client anew; it need not know."""
        with self._renewal:
            if self._session != stale or self._hello is None:
                return
            self._session = None
            hello = Call(self._hello.line, self._hello.message)
            try:
                answer = self._post(hello, CONNECT_SECONDS)
                told = list(answer.messages()) if answer.is_stream else [answer.body()]
                self._meet(self._hello, answer, read_json(told[-1]))
            finally:
                self._let_go(hello)
            done = Call(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}', {})
            try:
                self._post(done, CONNECT_SECONDS)
            finally:
                self._let_go(done)

    def _listen(self, session: bytes) -> None:
        """What the hub says unasked, where it keeps sessions and offers a stream for it."""
        while self._session == session:
            listening = Call(b"", {})
            try:
                answer = self._post(listening, SILENCE_SECONDS, method="GET")
                if not answer.is_stream:
                    return
                for message in answer.messages():
                    self._write(message)
            except (HubAway, Refused):
                pass
            finally:
                self._let_go(listening)
            time.sleep(1)

    def _post(self, call: Call, patience: float, method: str = "POST") -> Answer:
        hub = self._hub()
        host, _, port = hub["url"].rpartition("/")[2].rpartition(":")
        call.connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            call.connection.settimeout(CONNECT_SECONDS)
            call.connection.connect((host, int(port)))
            call.connection.settimeout(patience)
            call.connection.sendall(self._head(call, method, f"{host}:{port}", hub["token"]) + call.line)
        except OSError as error:
            raise HubAway(str(error)) from error
        answer = Answer(call.connection)
        self._has_met_hub = True
        return answer

    def _head(self, call: Call, method: str, host: str, token: str) -> bytes:
        headers = {
            "Host": host,
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream" if method == "POST" else "text/event-stream",
            "Content-Length": str(len(call.line)),
            "Connection": "close",
            "X-Muster-Directory": _directory(),
            "X-Muster-Request-Id": call.mark,
            "Mcp-Session-Id": self._session.decode() if self._session else "",
            "MCP-Protocol-Version": call.version or self._version or "",
        }
        if call.version:
            name = call.params.get(NAMED.get(str(call.method), ""), "")
            headers |= {"Mcp-Method": str(call.method), "Mcp-Name": name if isinstance(name, str) else ""}
        lines = [f"{name}: {value}" for name, value in headers.items() if value and value.isascii()]
        return "\r\n".join([f"{method} /mcp?toolkits={self._toolkits} HTTP/1.1", *lines, "", ""]).encode()

    def _let_go(self, call: Call) -> None:
        if call.connection is not None:
            call.connection.close()
            call.connection = None

    def _pass_refusal(self, call: Call, answer: Answer) -> None:
        """What HTTP refused: a JSON-RPC error goes on under the request's id, Muster's own becomes one."""
        try:
            told = read_json(answer.body())
        except ValueError:
            told = None
        if isinstance(told, dict) and "jsonrpc" in told:
            return self._write(write_json(told | {"id": call.id}))
        if isinstance(told, dict) and isinstance(told.get("error"), dict):
            return self._write(_told(call, told["error"]))
        raise Refused(
            "unavailable",
            f"What answers at the hub's address is no hub (status {answer.status}).",
            "Look at it with `muster status`.",
        )

    # ── the hub itself ───────────────────────────────────────────────────────────────────────────

    def _hub(self) -> "dict[str, str]":
        """Where it answers, and the token to speak with. Raises HubAway, Refused."""
        own = os.environ.get("MUSTER_TOKEN") or os.environ.get("MUSTER_AGENT_TOKEN")
        if not own and os.environ.get("MUSTER_SERVER"):
            raise Refused(
                "denied",
                "This runs inside an agent's host server, and nothing says which agent it is.",
                "Use the tools that Muster's bridge offers there.",
            )
        told = _hub_file()
        try:
            return {"url": told["url"], "token": own or told["token"]}
        except KeyError as error:
            raise HubAway("there is no hub.json") from error

    def _look_for_a_hub(self, seconds_lost: float) -> None:
        """Start one where that is ours to do. Raises Refused when it cannot be, or has been away for too long."""
        may_start = not self._has_met_hub or _hub_file().get("asleep") is True
        with self._start:
            if self._starting is None and may_start and not os.environ.get("MUSTER_SERVER"):
                self._starting = _start_hub()
            if self._starting is not None:
                self._starting = _look_after(*self._starting)
        if seconds_lost > RETURN_SECONDS:
            home = state_folder()
            raise Refused(
                "unavailable",
                f"No hub answers for {home}.",
                "Start one with `muster up`, then repeat the call.",
                home=home,
            )

    def _write(self, message: bytes) -> None:
        """One line. When nobody reads any more there is nothing left to do."""
        line = message.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
        try:
            with self._output:
                while line:
                    line = line[os.write(1, line) :]
        except OSError:
            os._exit(0)


def state_folder() -> str:
    """As muster.config has it (and a test holds them together); an agent's shell names its hub's own."""
    for name in ("MUSTER_HOME", "MUSTER_AGENT_HOME"):
        if chosen := os.environ.get(name):
            return os.path.abspath(os.path.expanduser(chosen))  # noqa: PTH100, PTH111 - pathlib takes 10 ms
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Application Support/muster")  # noqa: PTH111
    base = os.environ.get("XDG_STATE_HOME", "").strip() or os.path.expanduser("~/.local/state")  # noqa: PTH111
    return f"{base}/muster"


def _hub_file() -> "dict[str, Any]":
    """What hub.json says; nothing where it is not there or not whole."""
    try:
        with open(f"{state_folder()}/hub.json", "rb") as file:  # noqa: PTH123
            told = read_json(file.read())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _start_hub() -> "tuple[int, int]":
    """As `muster up` does, with this installation's own Python. Returns its pid and the pipe of its last words."""
    words, said = os.pipe()
    nothing = os.open(os.devnull, os.O_RDWR)
    command = [sys.executable, "-P", "-m", "muster", "up", "--json"]
    streams = [(os.POSIX_SPAWN_DUP2, own, other) for own, other in ((nothing, 0), (nothing, 1), (said, 2))]
    try:
        return os.posix_spawn(sys.executable, command, os.environ, file_actions=streams), words
    finally:
        os.close(said)
        os.close(nothing)


def _look_after(pid: int, words: int) -> "tuple[int, int] | None":
    """None once it has ended. Raises Refused where it says why no hub can be."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return pid, words
    with os.fdopen(words, "rb") as file:
        said = file.read()
    if os.waitstatus_to_exitcode(status) == 0 or b'"hub_running"' in said:
        return None
    try:
        error = read_json(said.strip().split(b"\n")[-1])["error"]
    except (ValueError, KeyError, TypeError):
        error = {"code": "hub_will_not_start", "message": "The hub did not start.", "next": "Run `muster up`."}
    raise Refused(error["code"], error["message"], error["next"], **error.get("facts", {}))


def _told(call: Call, error: "dict[str, Any]") -> bytes:
    """An error of ours as the answer to a request: a tool's result, or an error of the protocol."""
    if call.method != "tools/call":
        return _rpc_error(call.id, -32000, f"{error['message']} {error['next']}", {"error": error})
    text = write_json({"error": error}).decode()
    result = {"content": [{"type": "text", "text": text}], "structuredContent": {"error": error}, "isError": True}
    complete = {"resultType": "complete"} if call.version else {}
    return write_json({"jsonrpc": "2.0", "id": call.id, "result": result | complete})


def _rpc_error(id: "Any", code: int, message: str, data: "Any" = None) -> bytes:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return write_json({"jsonrpc": "2.0", "id": id, "error": error})


def _directory() -> str:
    """Where the client stands, percent-encoded; nothing where that was removed."""
    try:
        here = os.fsencode(os.getcwd())  # noqa: PTH109
    except FileNotFoundError:
        return ""
    return "".join(chr(b) if chr(b).isalnum() and b < 128 or b in b"/-_.~" else f"%{b:02X}" for b in here)


def _hang_up(connection: "socket.socket") -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it has ended by itself


def main(arguments: "list[str]") -> int:
    toolkits = "mesh"
    match arguments:
        case []:
            pass
        case ["--toolkits", given] if given.replace(",", "").replace("_", "").isalnum() and given.isascii():
            toolkits = given
        case _:
            os.write(2, b"usage: muster mcp [--toolkits NAME,NAME]\nMCP on stdin and stdout (default: mesh).\n")
            return 0 if arguments in (["--help"], ["-h"]) else 2
    try:
        Door(toolkits).serve()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # at once: threads that still wait for the hub are not waited for
