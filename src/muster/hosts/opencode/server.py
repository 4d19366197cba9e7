"""Starting a host server: the process, its files, and the wait until it can be spoken to."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio
import psutil
from anyio import CancelScope, to_thread

from muster.errors import HostFailed, HostVersionUnknown
from muster.hosts.contract import ServerProcess, ServerWish
from muster.hosts.opencode.client import healthy_version
from muster.hosts.opencode.environment import server_environment, temporary, token_file
from muster.hosts.opencode.processes import SERVER_MARK, Mark, end_marked
from muster.hosts.opencode.program import ask_version, locate, require_spoken

LISTENING = re.compile(rb"listening on http://127\.0\.0\.1:(\d+)")
START_SECONDS = 60
LOOK_SECONDS = 0.05
LAST_WORDS = 600
REAP_SECONDS = 2


@dataclass(slots=True)
class Servers:
    """Starts servers, and holds those that are children of this process so that they can be reaped.

    `state` is the mark of the state folder that they work for.
    """

    program: str | None
    state: str
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    async def start(self, wish: ServerWish, env: Mapping[str, str], extra: Mapping[str, str]) -> ServerProcess:
        """End what is left of an earlier try, start, wait. Nothing runs when it raises or is cancelled."""
        path = await to_thread.run_sync(locate, self.program, env)
        await self.stop(wish.id)
        try:
            with anyio.fail_after(START_SECONDS):
                return await self._run(path, wish, server_environment(env, wish, extra))
        except HostVersionUnknown:
            raise
        except HostFailed:
            require_spoken(await to_thread.run_sync(ask_version, path, env))  # the better reason, where it is one
            raise
        except TimeoutError as exc:
            raise HostFailed(host="opencode", why=f"it was not ready within {START_SECONDS} s, see {wish.log}") from exc

    async def stop(self, server: str) -> None:
        await end_marked(Mark(name=SERVER_MARK, value=server, state=self.state))
        if child := self._children.pop(server, None):
            await to_thread.run_sync(_reap, child)

    def reap(self) -> None:
        """Let the OS forget the children that have ended by themselves."""
        for child in self._children.values():
            child.poll()

    async def _run(self, path: Path, wish: ServerWish, environment: dict[str, str]) -> ServerProcess:
        offset = await to_thread.run_sync(_prepare, wish)
        try:
            child = await to_thread.run_sync(partial(self._launch, path, wish, environment))
            started_at = await to_thread.run_sync(_started_at, child.pid)
            port, version = await _ready(child, wish, offset)
            require_spoken(version)
        except BaseException:
            with CancelScope(shield=True):
                await self.stop(wish.id)
            raise
        return ServerProcess(pid=child.pid, started_at=started_at, port=port, version=version)

    def _launch(self, path: Path, wish: ServerWish, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        """Its output goes to a file, never to a pipe: a pipe breaks when the hub ends, a file does not."""
        with wish.log.open("ab") as log:
            child = _popen(path, wish, environment, log)
        self._children[wish.id] = child
        return child


def _popen(path: Path, wish: ServerWish, env: dict[str, str], log: BinaryIO) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [path, "serve", "--port", "0", "--hostname", "127.0.0.1"],
            cwd=wish.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as exc:
        raise HostFailed(host="opencode", why=f"{path} could not be run: {exc}") from exc


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


async def _ready(child: subprocess.Popen[bytes], wish: ServerWish, offset: int) -> tuple[int, str]:
    """Wait for the port, then for an answer: a connection made before the port is told is never answered.

    Returns the port and the version.
    """
    while not (found := LISTENING.search(_said(wish, offset))):
        _require_alive(child, wish, offset)
        await anyio.sleep(LOOK_SECONDS)
    port = int(found[1])
    while (version := await healthy_version(port=port, password=wish.password)) is None:
        _require_alive(child, wish, offset)
        await anyio.sleep(LOOK_SECONDS)
    return port, version


def _require_alive(child: subprocess.Popen[bytes], wish: ServerWish, offset: int) -> None:
    if child.poll() is not None:
        words = _said(wish, offset).decode(errors="replace").strip()[-LAST_WORDS:]
        raise HostFailed(host="opencode", why=f"it ended with {child.returncode}: {words or 'no output'}")


def _said(wish: ServerWish, offset: int) -> bytes:
    with wish.log.open("rb") as log:
        if offset <= wish.log.stat().st_size:  # else it has begun anew meanwhile: logs are bounded
            log.seek(offset)
        return log.read()
