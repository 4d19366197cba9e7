"""What a hub never does: connections that break off, streams that end, sessions that are forgotten."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    peer: tuple[str, int]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


KEEP = b"Connection: keep-alive"
Act = Callable[[Received], Iterable[bytes]]


@dataclass(slots=True, kw_only=True)
class FalseHub:
    """`received` grows by every request; `acts` are taken one by one, and the last one again and again."""

    acts: list[Act]
    received: list[Received] = field(default_factory=list)
    url: str = ""

    def announce(self, home: Path, **more: Any) -> None:
        home.mkdir(exist_ok=True)
        told = {"url": self.url, "token": "operator-token", "pid": 1, "version": "0", **more}
        (home / "hub.json").write_text(json.dumps(told))

    def next_act(self) -> Act:
        return self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]


@contextmanager
def false_hub(*acts: Act) -> Iterator[FalseHub]:
    hub = FalseHub(acts=list(acts))

    class Played(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            received = Received(
                method=self.command, path=self.path, headers=headers, body=body, peer=self.client_address
            )
            hub.received.append(received)
            self.close_connection = True
            for piece in hub.next_act()(received):
                self.close_connection &= KEEP not in piece
                self.wfile.write(piece)
                self.wfile.flush()

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Played)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def break_off(_: Received) -> Iterable[bytes]:
    """Close the connection without a word."""
    return []


def break_off_inside(_: Received) -> Iterable[bytes]:
    return [b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"half": ']


def answer(value: Any, status: int = 200, **headers: str) -> Act:
    return lambda _: [_message(json.dumps(value).encode(), status, {"Content-Type": "application/json", **headers})]


def raw(body: bytes, status: int = 200) -> Act:
    return lambda _: [_message(body, status, {"Content-Type": "text/html"})]


def stream(*events: bytes | Callable[[], object]) -> Act:
    """Server-sent events, in chunks; a callable is called in its turn."""

    def act(_: Received) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        for event in events:
            if callable(event):
                event()
            else:
                yield b"%x\r\n%s\r\n" % (len(event), event)
        yield b"0\r\n\r\n"

    return act


def _message(body: bytes, status: int, headers: dict[str, str]) -> bytes:
    told = {"Connection": "close", **headers, "Content-Length": str(len(body))}
    lines = [f"{name}: {value}" for name, value in told.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""]).encode() + body
