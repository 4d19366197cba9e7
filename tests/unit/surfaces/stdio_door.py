"""The stdio door as an MCP client has it: a process, lines in, lines out. Every wait is bounded."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from muster.surfaces import stdio

DOOR = [sys.executable, "-I", "-S", stdio.__file__]
WITHIN_SECONDS = 30
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "tester", "version": "1"},
}


class Door:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def send(self, method: str, id: int | str | None = None, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        self.send_line(json.dumps(message if id is None else message | {"id": id}).encode())

    def send_line(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self, seconds: float = WITHIN_SECONDS) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._lines.get(timeout=seconds))
        return told

    def ask(self, method: str, id: int | str = 1, **params: Any) -> dict[str, Any]:
        """The answer to this request, the next line that comes."""
        self.send(method, id, **params)
        told = self.receive()
        assert told.get("id") == id, told
        return told

    def hello(self) -> dict[str, Any]:
        told = self.ask("initialize", 0, **INITIALIZE)
        self.send("notifications/initialized")
        return told

    def nothing_more(self) -> bool:
        return self._lines.empty()

    def hang_up(self) -> float:
        """Close stdin. Returns the seconds that the door took to end."""
        began = time.monotonic()
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(WITHIN_SECONDS)
        return time.monotonic() - began

    def close(self) -> None:
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(WITHIN_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)


def impatient(folder: Path) -> list[str]:
    """A door that waits for a hub that is away only half a second."""
    copy = folder / "stdio.py"
    text = Path(stdio.__file__).read_text()
    assert "RETURN_SECONDS = 10.0" in text
    copy.write_text(text.replace("RETURN_SECONDS = 10.0", "RETURN_SECONDS = 0.5"))
    return [*DOOR[:-1], str(copy)]


@contextmanager
def door(
    home: Path, *options: str, command: list[str] = DOOR, cwd: Path | None = None, **environment: str
) -> Iterator[Door]:
    """A door to the hub of a state folder, in an environment that knows nothing of the real one."""
    own = {"HOME": str(home), "MUSTER_HOME": str(home), "MUSTER_CFG_PORT": "0"}
    env = {"PATH": os.environ["PATH"], **own, **environment}
    process = subprocess.Popen(
        [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=cwd or home
    )
    opened = Door(process)
    try:
        yield opened
    finally:
        opened.close()
