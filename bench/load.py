"""Clients of a hub, as light as they can be: what is measured beside them is the hub, on the same machine."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import uvloop

VERSION_KEY = "io.modelcontextprotocol/"
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Where it answers, and with which token."""

    host: str
    port: int
    token: str

    @classmethod
    def told(cls, hub_json: dict[str, Any]) -> "Hub":
        host, _, port = hub_json["url"].rpartition("/")[2].rpartition(":")
        return cls(host=host, port=int(port), token=hub_json["token"])

    def request(self, path: str, body: dict[str, Any], **headers: str) -> bytes:
        raw = json.dumps(body).encode()
        told = {
            "Host": f"{self.host}:{self.port}",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Content-Length": str(len(raw)),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        return "\r\n".join(lines).encode() + raw

    def verb(self, name: str, **arguments: Any) -> bytes:
        return self.request(f"/api/v1/{name}", arguments)

    def tool(self, name: str, revision: str, **arguments: Any) -> bytes:
        """A tool call over /mcp."""
        params: dict[str, Any] = {"name": name, "arguments": arguments}
        headers = {"Accept": "application/json, text/event-stream", "MCP_Protocol_Version": revision}
        if revision >= "2026":
            params["_meta"] = {f"{VERSION_KEY}protocolVersion": revision, f"{VERSION_KEY}clientCapabilities": {}}
            headers |= {"Mcp_Method": "tools/call", "Mcp_Name": name}
        return self.request("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, **headers)

    def call(self, name: str, **arguments: Any) -> Any:
        """The answer of one verb."""
        connection = HTTPConnection(self.host, self.port)
        told = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/v1/{name}", json.dumps(arguments), told)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        assert "error" not in answer, answer
        return answer


class Door:
    """`muster mcp`, the real one, asked one thing after another."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self._number = 0

    @classmethod
    @contextmanager
    def opened(cls, environment: dict[str, str]) -> "Iterator[Door]":
        program = Path(sys.executable).with_name("muster")
        with subprocess.Popen(
            [program, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        ) as process:
            door = cls(process)
            door._ask("initialize", **HELLO)
            yield door
            assert process.stdin is not None
            process.stdin.close()

    def tool(self, name: str, **arguments: Any) -> float:
        """Milliseconds to the answer."""
        began = time.perf_counter()
        answer = self._ask("tools/call", name=name, arguments=arguments)
        took = time.perf_counter() - began
        assert b'"isError":false' in answer, answer
        return took * 1000

    def _ask(self, method: str, **params: Any) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`median` and `slowest` (the 99th percentile) are in milliseconds."""

    per_second: float
    median: float
    slowest: float


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, ask: Callable[[int], bytes]) -> None:
        self._ask = ask
        self._answer = b""
        self.took: list[float] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if not _is_whole(self._answer):
            return
        assert self._answer.startswith(b"HTTP/1.1 200 "), self._answer
        self.took.append(time.perf_counter() - self._asked_at)
        self._answer = b""
        self._send()

    def _send(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._ask(len(self.took)))


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return bool(end) and (len(body) == int(length) if length else body.endswith(b"0\r\n\r\n"))


def press(hub: Hub, ask: Callable[[int], bytes], *, clients: int, seconds: float) -> Pace:
    """So many clients that each ask without a pause; `ask` gets a number that counts up."""

    async def run() -> Pace:
        loop = asyncio.get_running_loop()
        opened = [await loop.create_connection(lambda: _Client(ask), hub.host, hub.port) for _ in range(clients)]
        began = time.perf_counter()
        await asyncio.sleep(seconds)
        took = sorted(one for _, client in opened for one in client.took)
        lasted = time.perf_counter() - began
        for transport, _ in opened:
            transport.abort()
        return Pace(
            per_second=len(took) / lasted,
            median=statistics.median(took) * 1000,
            slowest=took[len(took) * 99 // 100] * 1000,
        )

    return uvloop.run(run())
