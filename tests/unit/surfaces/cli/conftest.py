"""A hub at work with a scripted host, and a shell to type `muster` in."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.model.ask import OnAsk
from muster.surfaces.cli import run
from unit.stage import Clock, Stage, at_work, hub
from unit.surfaces.cli.machine import user as user
from unit.surfaces.doors import web

ESCAPES = "\x1b]0;owned\x07\x1b[2Jred\u202eder\r\x9b31m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    stage: Stage
    gate: anyio.Event
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    async def muster(self, *words: str, stdin: str = "", is_terminal: bool = False) -> Ended:
        """`muster` with these words, to its end."""
        self.monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(stdin.encode()), encoding="utf-8"))
        for stream in ("stdin", "stderr"):
            self.monkeypatch.setattr(f"sys.{stream}.isatty", lambda: is_terminal, raising=False)
        self.capture.readouterr()
        code = await anyio.to_thread.run_sync(partial(run, words), abandon_on_cancel=True)
        said = self.capture.readouterr()
        return Ended(code=code, out=said.out, err=said.err)

    async def spawn(self, *tasks: str) -> str:
        return str((await self.muster("fleet", "spawn", "--json", *tasks)).json["fleet_id"])


@asynccontextmanager
async def typing(
    host: ScriptedHost,
    folder: Path,
    clock: Clock,
    capture: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    gate: anyio.Event | None = None,
    on_ask: OnAsk = OnAsk.REFUSE,
) -> AsyncIterator[Shell]:
    """A shell that finds the hub at whose host agents play."""
    home = folder / "home"
    for name in [name for name in os.environ if name.startswith("MUSTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MUSTER_HOME", str(home))
    async with (
        host,
        hub(home, host, clock) as stage,
        at_work(stage, on_ask=on_ask),
        web(stage) as url,
    ):
        told = {"url": url, "token": stage.keyring.operator(), "pid": os.getpid(), "version": "0"}
        (home / "hub.json").write_text(json.dumps(told))
        monkeypatch.chdir(stage.project)
        yield Shell(stage=stage, gate=gate or anyio.Event(), capture=capture, monkeypatch=monkeypatch)


@pytest.fixture
async def shell(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shell]:
    """Agents echo their prompt; `hold` waits for the gate, `fail` fails, `steer` answers what steers a terminal."""
    gate = anyio.Event()

    async def play(wish: TurnWish) -> Reply:
        text = wish.parts[-1]
        if "hold" in text:
            await gate.wait()
        if "fail" in text:
            return Reply(output="so far", error=f"the model has a cold {ESCAPES}", final=True)
        return Reply(output=f"line one {ESCAPES}\r\n\tline two 👩‍🚀\n" if "steer" in text else text)

    async with typing(ScriptedHost(play), tmp_path, clock, capsys, monkeypatch, gate=gate) as shell:
        yield shell
