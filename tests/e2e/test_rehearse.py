"""`muster rehearse`: a scenario on the real OpenCode, shown live, and nothing left behind."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from e2e.programs import MUSTER, Ended
from e2e.stage import OPENCODE, wants_opencode

pytestmark = wants_opencode

SCENARIO = """
title: Two voices
agents:
  - name: one
    match: {text: Speak first}
    steps: [{say: "I am one."}]
  - name: two
    match: {regex: 'You are two'}
    steps: [{call: {tool: read, arguments: {filePath: note.txt}}}, {say: "It says ${read ~ secret \\\\w+}."}]
project:
  note.txt: secret word
"""

WRONG = """
agents: [{name: a, match: {text: never said}, steps: [{say: x}]}]
fleet: {agents: [{role: a, prompt: another, max_attempts: 1}]}
"""


def environment(folder: Path) -> dict[str, str]:
    path = f"{Path(OPENCODE or '').parent}:{os.environ['PATH']}"
    folder.mkdir(exist_ok=True)
    return {"PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "MUSTER_HOME": str(folder / "untouched")}


def rehearse(folder: Path, *words: str, within: float = 100) -> Ended:
    command = [*MUSTER, "rehearse", *words]
    done = subprocess.run(
        command, env=environment(folder), cwd=folder, capture_output=True, text=True, timeout=within, check=False
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def left(folder: Path) -> list[str]:
    """What stands in the folder that was home, temporary folder and working directory, and what still runs there."""
    files = [path.name for path in folder.iterdir() if path.suffix != ".yaml"]
    return files + [str(process.pid) for process in psutil.process_iter() if is_of(process, folder)]


def is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get("TMPDIR", "").startswith(str(folder))
    except psutil.Error:
        return False


def test_own_scenario_is_played_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(SCENARIO)
    played = rehearse(tmp_path, "two.yaml", "--json")
    assert (played.code, played.err) == (0, "")
    assert [result["output"] for result in played.json["results"]] == ["I am one.", "It says secret word."]
    assert (played.json["scenario"], played.json["status"], played.json["failures"]) == ("two", "complete", [])
    assert left(tmp_path) == []


def test_scenario_that_does_not_fit_is_said_and_the_folder_may_be_kept(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(WRONG)
    played = rehearse(tmp_path, "wrong.yaml", "--keep", "--json")
    assert played.code == 1
    assert played.json["failures"]
    assert {"muster", "project", "home"} <= {path.name for path in Path(played.json["folder"]).iterdir()}


def test_rehearsal_that_is_interrupted_takes_everything_down(tmp_path: Path) -> None:
    (tmp_path / "silent.yaml").write_text("agents: [{name: a, steps: [{silence: true}]}]\n")
    with subprocess.Popen(
        [*MUSTER, "rehearse", "silent.yaml"], env=environment(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as playing:
        assert playing.stdout is not None
        for line in playing.stdout:
            if "has its task" in line:
                break
        playing.send_signal(signal.SIGTERM)
        assert playing.wait(20) == 130
    assert left(tmp_path) == []


@pytest.mark.parametrize("words", [["nobody"], ["--list"]])
def test_shipped_scenarios_are_named(tmp_path: Path, words: list[str]) -> None:
    told = rehearse(tmp_path, *words)
    assert (told.code, "three-scouts" in told.out + told.err) == (0 if words == ["--list"] else 2, True)
