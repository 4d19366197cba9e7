"""A command of the user's ends with us, in time, and what it printed last is kept."""

import os
from pathlib import Path

import anyio
import pytest

from muster.reconcilers.shell import TOLD, Verdict, run

pytestmark = pytest.mark.anyio
PATH = {"PATH": os.environ["PATH"]}


async def told(tmp_path: Path, command: str, seconds: float = 20.0) -> Verdict:
    return await run(command, tmp_path, PATH, place=tmp_path / "place", seconds=seconds)


async def test_output_and_how_it_ended_are_told(tmp_path):
    assert await told(tmp_path, "echo out; echo err >&2") == Verdict(how=None, output="out\nerr")
    assert await told(tmp_path, "echo no; exit 3") == Verdict(how="ended with exit code 3", output="no")
    long = await told(tmp_path, "yes | head -c 1000000; echo last")
    assert (len(long.output), long.output[-4:]) == (TOLD, "last")


async def test_command_sees_only_what_it_is_given(tmp_path):
    assert (await told(tmp_path, "env | cut -d= -f1 | sort | tr '\\n' ' '")).output.split() == ["PATH", "PWD"]


async def test_command_that_takes_too_long_ends_with_all_that_it_began(tmp_path):
    verdict = await told(tmp_path, "sleep 1000 & echo $! > pid; wait", seconds=0.5)
    assert verdict.how == "took more than 0 s"
    await gone(int((tmp_path / "pid").read_text()))


async def test_what_an_earlier_hub_left_running_is_ended_first(tmp_path):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(told, tmp_path, "sleep 1000 & echo $! > pid; mv pid known; wait")
        with anyio.fail_after(20):
            while not (tmp_path / "known").exists():
                await anyio.sleep(0.01)
        assert (await told(tmp_path, "echo next")).output == "next"
    await gone(int((tmp_path / "known").read_text()))


async def gone(pid: int) -> None:
    with anyio.fail_after(20):
        while Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text():
            await anyio.sleep(0.01)
