"""The scene of a rehearsal: a home, a project, a model server and a hub of its own, all gone when it is left."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any  # a process of bytes or of text; JSON
from urllib.parse import urlsplit

from muster.config import load
from muster.errors import HostMissing, HubWillNotStart, NoHub, Unavailable
from muster.rehearsal.home import throwaway_home
from muster.rehearsal.opencode import opencode_config
from muster.rehearsal.scenario import Scenario
from muster.surfaces.cli.progress import progress
from muster.surfaces.client import Address, Hub

START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.05
FORGOTTEN_MINUTES = 5  # a rehearsal that was killed leaves a hub that ends by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """`model_url` is that of the rehearsed model; None where a real one plays."""

    folder: Path
    project: Path
    hub: Hub
    model_url: str | None
    is_kept: bool

    def failures(self) -> list[str]:
        """Where the scenario did not fit what was asked of it."""
        if self.model_url is None:
            return []
        url = urlsplit(self.model_url)
        connection = HTTPConnection(url.hostname or "", url.port, timeout=STOP_SECONDS)
        try:
            connection.request("GET", "/rehearsal/failures")
            return [failure["why"] for failure in json.loads(connection.getresponse().read())]
        finally:
            connection.close()


@contextmanager
def scene(
    scenario: Scenario, file: Path | None, project: Path | None, *, is_kept: bool, as_json: bool
) -> Iterator[Scene]:
    """Set it up, in a folder that is removed afterwards.

    `file` is what the model server plays; without one the user's own OpenCode plays, with its models and keys.
    `project` is a folder of the user's; without one a repository is made.
    """
    opencode = load().opencode
    if shutil.which(opencode or "opencode") is None:
        raise HostMissing(host="opencode", looked=opencode or "`opencode` on the PATH")
    with ExitStack() as stack:
        folder = _folder(stack, is_kept=is_kept)
        env = _without_muster(os.environ) | ({"MUSTER_CFG_OPENCODE": opencode} if opencode else {})
        url = None
        if file is not None:
            url = stack.enter_context(_model(file))
            env |= throwaway_home(folder / "home")
            env["OPENCODE_CONFIG_CONTENT"] = json.dumps(opencode_config(url))
        place = project.absolute() if project else _repository(folder / "project", scenario.project)
        with progress("the hub starts", as_json=as_json):
            hub = stack.enter_context(_hub(folder, env))
        yield Scene(folder=folder, project=place, hub=hub, model_url=url, is_kept=is_kept)


def _folder(stack: ExitStack, *, is_kept: bool) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="muster-rehearsal-"))
    if not is_kept:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _without_muster(environment: Mapping[str, str]) -> dict[str, str]:
    """The caller's, without what would make it another hub's."""
    return {name: value for name, value in environment.items() if not name.startswith("MUSTER_")}


@contextmanager
def _model(file: Path) -> Iterator[str]:
    """The model server's address, for as long as it plays."""
    command = [sys.executable, "-P", "-m", "muster.rehearsal", str(file)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    with _ended(process):
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise Unavailable(why="The model server of the rehearsal did not start.")
        yield url


@contextmanager
def _hub(folder: Path, env: Mapping[str, str]) -> Iterator[Hub]:
    home = folder / "muster"
    log = folder / "hub.log"
    own = {"MUSTER_HOME": str(home), "MUSTER_CFG_HUB_IDLE_MINUTES": str(FORGOTTEN_MINUTES)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "muster", "serve", "--port", "0"],
            env={**env, **own},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,  # Ctrl-C is for us: we end it, in order
        )
    with _ended(process):
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(NoHub):
                Address.read(home)
                break
            time.sleep(LOOK_SECONDS)
        else:
            last = log.read_text(errors="replace").strip().splitlines()[-1:]
            raise HubWillNotStart(why=last[0] if last else "it said nothing", log=str(log))
        with Hub(home, None) as hub:
            yield hub


@contextmanager
def _ended(process: "subprocess.Popen[Any]") -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A git repository with one commit, of the scenario's files."""
    for name, text in {"README.md": "# A place to rehearse in\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    git = ["git", "-C", str(folder), "-c", "user.name=Muster", "-c", "user.email=rehearsal@example.org"]
    for words in (["init", "-q"], ["add", "."], ["-c", "commit.gpgsign=false", "commit", "-qm", "Begin"]):
        subprocess.run([*git, *words], check=True)
    return folder
