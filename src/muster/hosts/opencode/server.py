"""Starting a host server: the process, its files, and the wait until it can be spoken to."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO

import anyio
import psutil
from anyio import CancelScope, to_thread

from muster.errors import HostFailed
from muster.hosts.contract import ServerProcess, ServerWish
from muster.hosts.opencode.client import is_healthy
from muster.hosts.opencode.environment import server_environment, temporary, token_file
from muster.hosts.opencode.processes import SERVER_MARK, Mark, end_marked
from muster.hosts.opencode.program import Program, Programs

LISTENING = re.compile(rb"listening on http://127\.0\.0\.1:(\d+)")
START_SECONDS = 60
LOOK_SECONDS = 0.05
LAST_WORDS = 600
REAP_SECONDS = 2


@dataclass(slots=True)
class Servers:
    """Starts servers, and holds those that are children of this process so that they can be reaped."""

    programs: Programs
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    async def start(self, wish: ServerWish, env: Mapping[str, str], extra: Mapping[str, str]) -> ServerProcess:
        """End what is left of an earlier try, start, wait. Nothing runs when it raises or is cancelled."""
        program = await to_thread.run_sync(self.programs.find, env)
        await self.stop(wish.id)
        try:
            with anyio.fail_after(START_SECONDS):
                return await self._run(program, wish, server_environment(env, wish, extra))
        except TimeoutError as exc:
            raise HostFailed(host="opencode", why=f"it was not ready within {START_SECONDS} s, see {wish.log}") from exc

    async def stop(self, server: str) -> None:
        await end_marked(Mark(name=SERVER_MARK, value=server))
        if child := self._children.pop(server, None):
            await to_thread.run_sync(_reap, child)

    def reap(self) -> None:
        """Let the OS forget the children that have ended by themselves."""
        for child in self._children.values():
            child.poll()

    async def _run(self, program: Program, wish: ServerWish, environment: dict[str, str]) -> ServerProcess:
        offset = await to_thread.run_sync(_prepare, wish)
        try:
            child = await to_thread.run_sync(partial(self._launch, program, wish, environment))
            started_at = await to_thread.run_sync(_started_at, child.pid)
            port = await _ready(child, wish, offset)
        except BaseException:
            with CancelScope(shield=True):
                await self.stop(wish.id)
            raise
        return ServerProcess(pid=child.pid, started_at=started_at, port=port, version=program.version)

    def _launch(self, program: Program, wish: ServerWish, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Its output goes to a file, never to a pipe: a pipe breaks when the hub ends, a file does not."""
        with wish.log.open("ab") as log:
            child = _popen(program, wish, environment, log)
        self._children[wish.id] = child
        return child


def _popen(program: Program, wish: ServerWish, env: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [program.path, "serve", "--port", "0", "--hostname", "127.0.0.1"],
            cwd=wish.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as exc:
        raise HostFailed(host="opencode", why=f"{program.path} could not be run: {exc}") from exc


def _prepare(wish: ServerWish) -> int:
    """Make the folder fit to start in; returns where the log's new part will begin."""
    wish.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.rmtree(temporary(wish), ignore_errors=True)
    temporary(wish).mkdir(mode=0o700)
    secret = token_file(wish)
    secret.unlink(missing_ok=True)
    secret.touch(mode=0o600)
    secret.write_text(wish.token)
    wish.log.parent.mkdir(parents=True, exist_ok=True)
    wish.log.touch(mode=0o600)
    return wish.log.stat().st_size


def _reap(child: subprocess.Popen[bytes]) -> None:
    with suppress(subprocess.TimeoutExpired):
        child.wait(timeout=REAP_SECONDS)


def _started_at(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error as exc:
        raise HostFailed(host="opencode", why=f"it ended at once (pid {pid})") from exc


async def _ready(child: subprocess.Popen[bytes], wish: ServerWish, offset: int) -> int:
    """Wait for the port, then for an answer: a connection made before the port is told is never answered."""
    while not (found := LISTENING.search(_said(wish, offset))):
        _require_alive(child, wish, offset)
        await anyio.sleep(LOOK_SECONDS)
    port = int(found[1])
    while not await is_healthy(port=port, password=wish.password):
        _require_alive(child, wish, offset)
        await anyio.sleep(LOOK_SECONDS)
    return port


def _require_alive(child: subprocess.Popen[bytes], wish: ServerWish, offset: int) -> None:
    if child.poll() is not None:
        words = _said(wish, offset).decode(errors="replace").strip()[-LAST_WORDS:]
        raise HostFailed(host="opencode", why=f"it ended with {child.returncode}: {words or 'no output'}")


def _said(wish: ServerWish, offset: int) -> bytes:
    with wish.log.open("rb") as log:
        log.seek(offset)
        return log.read()
