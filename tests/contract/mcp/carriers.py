"""How the suite, which speaks HTTP and knows no token, gets to the doors of a hub.

Both carriers pass on what was said and add nothing of their own to it: the first only the token, the second no more
than HTTP around the lines of `muster mcp`.
"""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from e2e.programs import MUSTER, Machine
from unit.surfaces.stdio_door import Door, door

HEAD_END = b"\r\n\r\n"
# What HTTP says by a header on each request, a client on stdio says by the first one that it sends.
NEWEST = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
DISCOVER = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "server/discover", "params": {"_meta": NEWEST}}).encode()


@contextmanager
def with_token(on: Machine) -> Iterator[str]:
    """The URL of the hub's /mcp for callers without a token. Every byte but the token's goes through as it came."""
    hub = on.hub_json
    host, _, port = hub["url"].rpartition("/")[2].rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        carry = partial(_carry, (host, int(port)), hub["token"])
        threading.Thread(target=_accept, args=(listening, carry), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, carry: Any) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=carry, args=(client,), daemon=True).start()


def _carry(hub: tuple[str, int], token: str, client: socket.socket) -> None:
    """One request on each connection, so that only its head has to be known."""
    with client, socket.create_connection(hub) as server:
        said = b""
        while HEAD_END not in said:
            if not (piece := client.recv(65536)):
                return
            said += piece
        head, _, rest = said.partition(HEAD_END)
        head = re.sub(rb"(?im)^connection:[^\n]*\n", b"", head + b"\r\n")
        server.sendall(head + f"Authorization: Bearer {token}\r\nConnection: close".encode() + HEAD_END + rest)
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        _pump(server, client)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while piece := source.recv(65536):
            sink.sendall(piece)
    except OSError:
        return


class Stdio:
    """A door for each client that introduces itself, and one for all who never do (2026-07-28 wants no hello)."""

    def __init__(self, on: Machine, stack: ExitStack) -> None:
        self._on = on
        self._stack = stack
        self._doors: dict[str, tuple[Door, threading.Lock]] = {}
        self._opening = threading.Lock()
        self.unasked: list[Any] = []

    def open(self) -> str:
        """A new door's name, as a session of HTTP."""
        with self._opening:
            name = f"door-{len(self._doors)}"
            opened = door(self._on.home, command=[*MUSTER, "mcp"], cwd=self._on.folder, **self._on.env)
            self._doors[name] = (self._stack.enter_context(opened), threading.Lock())
            return name

    def tell(self, name: str, line: bytes, *, wants_answer: bool) -> Any:
        """One message, and its answer. What comes in between that nobody asked for is kept."""
        opened, turn = self._doors[name]
        with turn:
            opened.send_line(line)
            while wants_answer and "method" in (told := opened.receive()):
                self.unasked.append(told)
            return told if wants_answer else None


@contextmanager
def through_stdio(on: Machine) -> Iterator[tuple[str, Stdio]]:
    """The URL of a server that hands each body to `muster mcp` as one line, and each line back as a body."""
    with ExitStack() as stack:
        stdio = Stdio(on, stack)
        stateless = stdio.open()
        stdio.tell(stateless, DISCOVER, wants_answer=True)

        class Carrier(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                line = self.rfile.read(int(self.headers["Content-Length"])).replace(b"\n", b" ")
                message = json.loads(line)
                hello = message.get("method") == "initialize" and "io.modelcontextprotocol" not in line.decode()
                name = stdio.open() if hello else self.headers.get("Mcp-Session-Id") or stateless
                answer = stdio.tell(name, line, wants_answer="id" in message and "method" in message)
                self._answer(answer, {"Mcp-Session-Id": name} if hello else {})

            def do_GET(self) -> None:
                self.send_error(405)

            do_DELETE = do_GET

            def _answer(self, answer: Any, headers: dict[str, str]) -> None:
                body = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(200 if body else 202)
                for key, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
                    self.send_header(key, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: Any) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Carrier)
        server.daemon_threads = True
        stack.callback(server.server_close)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        stack.callback(server.shutdown)
        yield f"http://127.0.0.1:{server.server_port}/mcp", stdio
