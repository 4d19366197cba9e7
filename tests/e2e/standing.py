"""One hub for many tests: who needs no hub of its own, with no settings of its own, shares one.

A start of the hub and of OpenCode, and OpenCode's first turn, cost more than most tests do. Each test has a project, a
scenario and a part of the journal to itself.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from e2e.stage import Stage, environment, repository, require_sound
from muster.rehearsal import Rehearsal, opencode_config, parse_scenario


class Standing:
    """A hub that stays. One under which a test failed is not trusted any more: the next test gets another."""

    def __init__(self, rehearsal: Rehearsal, new_folder: Callable[[], Path]) -> None:
        self._rehearsal = rehearsal
        self._new_folder = new_folder
        self._stage: Stage | None = None

    @asynccontextmanager
    async def stage(self, folder: Path, scenario: str) -> AsyncIterator[Stage]:
        """As `stage` for a test with a folder of its own; nothing works when it is left, and the ledger is sound."""
        self._rehearsal.play(parse_scenario(scenario))
        on = self._stage = self._stage or await self._begun()
        on.project = repository(folder / "project")
        on.since = (await on.call("event.list"))["cursor"]
        try:
            yield on
            await _come_to_rest(on)
        except BaseException:
            self._stage = None
            await on.end()
            raise

    async def end(self) -> None:
        if self._stage is not None:
            await self._stage.end()
            require_sound(self._stage.home / "muster.db")

    async def _begun(self) -> Stage:
        folder = self._new_folder()
        env = environment(folder, opencode_config(self._rehearsal.url))
        on = Stage(folder=folder, project=folder, env=env, rehearsal=self._rehearsal)
        await on.start_hub()
        return on


async def _come_to_rest(on: Stage) -> None:
    for fleet in (await on.call("fleet.list", status="running"))["fleets"]:
        await on.call("fleet.cancel", fleet_id=fleet["fleet_id"])
    found = (await on.call("ledger.verify"))["findings"]
    assert not found, found
