"""A stage for the real thing: a hub, OpenCode and a rehearsed model, in a home of their own.

Nothing here knows more than a user does: the hub is the `muster` command, spoken to through the public client.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import psutil
import pytest

from muster.ledger import audit_file
from muster.rehearsal import Kind, Rehearsal, Request, opencode_config, parse_scenario
from muster.rehearsal.home import throwaway_home
from muster.surfaces.client import Hub

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "node_modules"
LOCAL = PACKAGES / ".bin" / "opencode"
OPENCODE = str(LOCAL) if LOCAL.exists() else shutil.which("opencode")
MUSTER = [sys.executable, "-m", "muster"]

wants_opencode = pytest.mark.skipif(OPENCODE is None, reason="SKIPPED FOR WANT OF opencode: `npm install` brings it")


@dataclass(kw_only=True)
class Stage:
    """`env` is the environment that every program here gets. `since`: where the journal of this test begins."""

    folder: Path
    project: Path
    env: dict[str, str]
    rehearsal: Rehearsal
    since: int = 0
    _hub: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def home(self) -> Path:
        return Path(self.env["MUSTER_HOME"])

    @property
    def hub(self) -> subprocess.Popen[bytes]:
        assert self._hub is not None, "no hub was started"
        return self._hub

    # ── the hub ──────────────────────────────────────────────────────────────────────────────────

    async def start_hub(self, *, dies_at: str = "", **settings: object) -> None:
        """`muster serve`, until it answers. `dies_at` is a checkpoint, where it ends as by `kill -9`."""
        given = {f"MUSTER_CFG_{key.upper()}": str(value) for key, value in settings.items()}
        given |= {"MUSTER_CHECKPOINT": dies_at}
        with (self.folder / "hub.log").open("ab") as log:
            self._hub = subprocess.Popen(
                [*MUSTER, "serve", "--port", "0"], env=self.env | given, stdout=log, stderr=log, cwd=self.folder
            )
        with anyio.fail_after(20):
            while not (self.home / "hub.json").exists():
                assert self.hub.poll() is None, (self.folder / "hub.log").read_text()
                await anyio.sleep(0.02)

    async def kill_hub(self) -> None:
        """As a power cut would."""
        self.hub.kill()
        await self.hub_died()

    async def hub_died(self, within: float = 40) -> None:
        """Wait until the hub is gone, without having taken its leave."""
        with anyio.fail_after(within):
            await anyio.to_thread.run_sync(self.hub.wait, abandon_on_cancel=True)
        assert self.hub.returncode == -signal.SIGKILL
        (self.home / "hub.json").unlink(missing_ok=True)

    async def end_hub(self) -> None:
        if self._hub is not None and self._hub.poll() is None:
            self._hub.send_signal(signal.SIGTERM)
            with anyio.fail_after(10):
                await anyio.to_thread.run_sync(self._hub.wait)

    async def end(self) -> None:
        """Whatever was started here is gone afterwards."""
        with anyio.CancelScope(shield=True):
            await self.end_hub()
        _end_all(self.processes())

    async def call(self, verb: str, **arguments: Any) -> Any:
        """A verb, called as the operator."""

        def once() -> Any:
            with Hub.find(self.home, environment={}) as hub:
                return hub.call(verb, **arguments)

        return await anyio.to_thread.run_sync(once)

    # ── fleets ───────────────────────────────────────────────────────────────────────────────────

    async def spawn(self, *agents: dict[str, Any], **more: Any) -> str:
        spawned = await self.call("fleet.spawn", agents=list(agents), project=str(self.project), **more)
        return spawned["fleet_id"]

    async def wait(self, fleet: str, seconds: float = 60) -> list[dict[str, Any]]:
        """The results, once the fleet is through."""
        answer = await self.call("fleet.wait", fleet_id=fleet, timeout_seconds=seconds)
        assert answer["settled"], json.dumps(answer, indent=1)
        return answer["results"]

    async def until(self, fleet: str, seconds: float = 30, **wanted: str) -> None:
        """Wait, on the journal, until each named agent has the status that is wanted."""

        def follow() -> None:
            with Hub.find(self.home, environment={}) as hub:
                for _ in hub.events(after=0, fleet=fleet):
                    agents = hub.call("fleet.status", fleet_id=fleet)["agents"]
                    statuses = {agent["name"]: agent["status"] for agent in agents}
                    if wanted.items() <= statuses.items():
                        return

        with anyio.fail_after(seconds):
            await anyio.to_thread.run_sync(follow, abandon_on_cancel=True)

    async def journal(self, name: str, seconds: float = 30, **body: str) -> dict[str, Any]:
        """Wait for a fact."""

        def follow() -> dict[str, Any]:
            with Hub.find(self.home, environment={}) as hub:
                for event in hub.events(after=self.since):
                    if event["name"] == name and body.items() <= event["body"].items():
                        return event
            raise AssertionError("the journal ended")

        with anyio.fail_after(seconds):
            return await anyio.to_thread.run_sync(follow, abandon_on_cancel=True)

    async def events(self, *names: str, **about: str) -> list[dict[str, Any]]:
        told = (await self.call("event.list", cursor=self.since, limit=500, **about))["events"]
        return [event for event in told if not names or event["name"] in names]

    # ── what the model saw, what the machine runs ────────────────────────────────────────────────

    def chats(self, script: str | None = None) -> list[Request]:
        return [
            request
            for request in self.rehearsal.requests
            if request.kind is Kind.CHAT and script in (None, request.script)
        ]

    def processes(self) -> list[psutil.Process]:
        """Everything that a host server of this stage's hub started, by what stands in its environment."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def running(self, program: str) -> int:
        """How many of them are this program."""
        return sum(_name(process) == program for process in self.processes())

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            environment = process.environ()
            return "MUSTER_SERVER" in environment and environment.get("HOME") == self.env["HOME"]
        except psutil.Error:
            return False


@asynccontextmanager
async def stage(folder: Path, scenario: str, *, serve: bool = True, **settings: object) -> AsyncIterator[Stage]:
    """A stage with a scenario; whatever it started is gone afterwards, and its ledger is sound, whatever was killed."""
    async with Rehearsal.serve(parse_scenario(scenario)) as rehearsal:
        env = environment(folder, opencode_config(rehearsal.url))
        set_up = Stage(folder=folder, project=repository(folder / "project"), env=env, rehearsal=rehearsal)
        try:
            if serve:
                await set_up.start_hub(**settings)
            yield set_up
        finally:
            await set_up.end()
        require_sound(set_up.home / "muster.db")


def require_sound(ledger: Path) -> None:
    if ledger.exists():
        found = audit_file(ledger, None)
        assert not found["findings"], found["findings"]


def environment(folder: Path, config: dict[str, Any]) -> dict[str, str]:
    """A user's environment that shares nothing with the real one but the PATH."""
    tools = f"{Path(OPENCODE or '').parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {
        **throwaway_home(folder / "home"),
        "PATH": tools,
        "LANG": "C.UTF-8",
        "MUSTER_HOME": str(folder / "muster"),
        "MUSTER_CFG_PORT": "0",
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
    }


def repository(path: Path) -> Path:
    """A small git repository with one commit."""
    git = ["git", "-C", str(path), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    path.mkdir()
    (path / "README.md").write_text("# Sample\n\nA sample.\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "Begin"]):
        subprocess.run([*git, *words], check=True)
    return path


def _name(process: psutil.Process) -> str | None:
    try:
        return process.name()
    except psutil.Error:  # gone meanwhile
        return None


def _end_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with _gone_is_fine():
            process.kill()
    psutil.wait_procs(processes, timeout=5)


@contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except psutil.NoSuchProcess:
        return
