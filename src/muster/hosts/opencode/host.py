"""The OpenCode host: `opencode serve` processes, each with many sessions."""

import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from anyio import to_thread

from muster.hosts.contract import ServerProcess, ServerWish, Traces
from muster.hosts.opencode.connection import OpenCodeConnection
from muster.hosts.opencode.environment import temporary
from muster.hosts.opencode.personas import Personas
from muster.hosts.opencode.processes import (
    RUN_MARK,
    SERVER_MARK,
    STATE_MARK,
    Mark,
    end_marked,
    resident_mib,
    runs,
    state_of,
    uses_cpu,
    values,
)
from muster.hosts.opencode.server import Servers
from muster.model.facts import Persona
from muster.model.ids import RunId, ServerId


class OpenCodeHost:
    """Runs agents in OpenCode.

    `state` is the folder of the hub that it works for. `program` is a path; without one it is looked for on the PATH.
    `env` is the user's environment (this process's by default). `extra_env` is laid over it in every server, for what
    the hub decides. `roster` are personas that are offered in every directory which defines none of their name.
    """

    def __init__(
        self,
        *,
        state: Path,
        program: str | None = None,
        env: Mapping[str, str] | None = None,
        extra_env: Mapping[str, str] | None = None,
        roster: Sequence[Persona] = (),
    ) -> None:
        self._env = dict(os.environ if env is None else env)
        self._state = state_of(state)
        self._extra_env = {**(extra_env or {}), STATE_MARK: self._state}
        self._servers = Servers(program, self._state)
        self._personas = Personas(self._env | self._extra_env, roster)

    @property
    def name(self) -> str:
        return "opencode"

    async def start(self, wish: ServerWish) -> ServerProcess:
        return await self._servers.start(wish, self._env, self._extra_env)

    def connect(self, wish: ServerWish, process: ServerProcess) -> OpenCodeConnection:
        return OpenCodeConnection(wish, process)

    async def stop(self, server: ServerId) -> None:
        await self._servers.stop(server)

    async def end_run(self, run: RunId) -> None:
        await end_marked(Mark(name=RUN_MARK, value=run, state=self._state))

    async def traces(self) -> Traces:
        servers = await to_thread.run_sync(values, SERVER_MARK, self._state)
        runs = await to_thread.run_sync(values, RUN_MARK, self._state)
        return Traces(servers=frozenset(map(ServerId, servers)), runs=frozenset(map(RunId, runs)))

    async def tidy(self, wish: ServerWish) -> None:
        await to_thread.run_sync(partial(shutil.rmtree, temporary(wish), ignore_errors=True))

    async def works(self, run: RunId) -> bool:
        return await uses_cpu(Mark(name=RUN_MARK, value=run, state=self._state))

    def alive(self, process: ServerProcess) -> bool:
        self._servers.reap()
        return runs(process.pid, process.started_at, self._state)

    def memory_mib(self, process: ServerProcess) -> int:
        return resident_mib(process.pid)

    def configured_by(self, directory: str) -> tuple[Path, ...]:
        return self._personas.files(directory)

    def personas(self, directory: str) -> tuple[Persona, ...]:
        return self._personas.of(directory)
