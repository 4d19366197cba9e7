"""The stdio door: how long until an MCP client hears `initialize` answered, and what the door holds for itself."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.load import HELLO
from e2e.programs import Machine, machine

LINE = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": HELLO}).encode() + b"\n"
TIMES = 21
MEBIBYTE = 1024 * 1024


def table() -> str:
    with tempfile.TemporaryDirectory() as folder, machine(Path(folder)) as on:
        on.muster("up")
        opened = [_open(on) for _ in range(TIMES)]
    took = statistics.median(seconds for seconds, _ in opened) * 1000
    best = min(seconds for seconds, _ in opened) * 1000
    held = statistics.median(memory for _, memory in opened)
    bare = statistics.median(_bare() for _ in range(TIMES)) * 1000
    return "\n".join(
        [
            "| `muster mcp`, the hub up | measured | wanted | Meshfleet |",
            "|---|---|---|---|",
            f"| to the answer of `initialize`, p50 (best) | {took:.0f} ms ({best:.0f} ms) | ≤ 35 ms | 319 ms |",
            f"| of it Python itself, doing nothing | {bare:.0f} ms | | |",
            f"| private memory | {held:.1f} MiB | ≤ 10 MB | 82 MB |",
        ]
    )


def _open(on: Machine) -> tuple[float, float]:
    """Seconds to the answer, and MiB that are the door's alone."""
    program = Path(sys.executable).with_name("muster")
    began = time.perf_counter()
    with subprocess.Popen([program, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=on.env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(LINE)
        process.stdin.flush()
        assert b'"serverInfo"' in process.stdout.readline()
        took = time.perf_counter() - began
        held = psutil.Process(process.pid).memory_full_info().uss / MEBIBYTE
        process.stdin.close()
    return took, held


def _bare() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began
