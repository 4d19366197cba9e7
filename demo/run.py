"""`make demo`: three agents on the real OpenCode look over a small repository, live.

Without a model the rehearsal plays it: no key, no network, no cost. `--model provider/model` uses your own OpenCode
configuration and keys instead. Everything else happens in a temporary folder, and nothing is left running.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from muster.errors import MusterError
from muster.rehearsal import opencode_config
from muster.rehearsal.home import throwaway_home
from muster.surfaces.client import Hub
from muster.visible import visible

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "demo" / "sample"
SCENARIO = ROOT / "src" / "muster" / "rehearsal" / "scenarios" / "three-scouts.yaml"
START_SECONDS = 30

SCOUTS = {
    "architecture": "Describe the shape of this repository and where a change would most often land. Change nothing.",
    "tests": "Say which tests there are and what to do next about them. Change nothing.",
    "docs": "Say what a newcomer reads first, and how much there is of it. Change nothing.",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", metavar="PROVIDER/MODEL", help="use a configured provider instead of the rehearsal")
    model = parser.parse_args().model
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="muster-demo-")))
        project = _sample_repository(folder / "lanternfish")
        env = os.environ | {"MUSTER_HOME": str(folder / "muster")}
        if model is None:
            config = stack.enter_context(_rehearsal())
            env |= throwaway_home(folder / "home", ROOT / "node_modules") | {"OPENCODE_CONFIG_CONTENT": config}
        print(
            "Three agents, one OpenCode server, one repository. The model is "
            + (model or "rehearsed: no key, no cost.")
        )
        hub = stack.enter_context(_hub(folder, env))
        return _show(hub, project, model)


def _show(hub: Hub, project: Path, model: str | None) -> int:
    chosen = {} if model is None else {"model": model}
    agents = [{"role": role, "prompt": prompt, **chosen} for role, prompt in SCOUTS.items()]
    began = time.monotonic()
    fleet = hub.call("fleet.spawn", agents=agents, project=str(project), name="three scouts")["fleet_id"]
    print(f"\n$ muster fleet spawn architecture=… tests=… docs=…      → {fleet}\n")
    _follow(hub, began)
    answer = hub.call("fleet.wait", fleet_id=fleet, timeout_seconds=600)
    print(f"\n$ muster fleet wait {fleet}      → {answer['status']} after {time.monotonic() - began:.1f} s")
    for result in answer["results"]:
        _print_result(result)
    _say_what_next()
    return 0 if answer["status"] == "complete" else 1


def _follow(hub: Hub, began: float) -> None:
    """One line for each thing that happens, as it happens."""
    names: dict[str, str] = {}
    for event in hub.events(after=0):
        body = event["body"]
        if event["name"] == "agent.attached":
            names[event["agent"]] = body["name"]
        line = _line(event["name"], body)
        if line:
            print(f"  {time.monotonic() - began:5.1f} s  {names.get(event['agent'], ''):14}{line}", flush=True)
        if event["name"] == "fleet.quieted":
            return


def _line(name: str, body: dict[str, Any]) -> str | None:
    match name:
        case "server.wanted":
            return "OpenCode is starting, one process for all three"
        case "server.ready":
            return f"OpenCode {visible(body['version'])} is up"
        case "turn.sent":
            return "begins"
        case "agent.moved" if body["tool"]:
            return f"uses {visible(body['tool'])}"
        case "run.ended":
            return visible(body["outcome"] + (f": {body['error']}" if body["error"] else ""))
    return None


def _print_result(result: dict[str, Any]) -> None:
    spent = f"{result['tokens']:,} tokens, ${result['cost_usd']:.4f}, {(result['duration_ms'] or 0) / 1000:.1f} s"
    print(f"\n── {result['name']} · {result['status']} · {spent} " + "─" * 20)
    for line in (result["output"] or result["error"] or "").strip().splitlines():
        print("   " + visible(line, limit=200))


def _say_what_next() -> None:
    print(
        "\nWhat next, in a repository of your own:\n"
        "  muster up                                     start the hub\n"
        '  muster fleet spawn --wait scout="Map this repository" tester="Run the tests"\n'
        "  muster inspect --follow                       watch a fleet\n"
        "  or from inside OpenCode: the README shows the four lines of configuration."
    )


@contextmanager
def _hub(folder: Path, env: dict[str, str]) -> Iterator[Hub]:
    log = folder / "hub.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "muster", "serve", "--port", "0"], env=env, stdout=output, stderr=output
        )
    with _ended(process):
        home = Path(env["MUSTER_HOME"])
        deadline = time.monotonic() + START_SECONDS
        while not (home / "hub.json").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"The hub did not start:\n{log.read_text()}")
            time.sleep(0.05)
        yield Hub.find(home)


@contextmanager
def _rehearsal() -> Iterator[str]:
    """The rehearsal as OpenCode's only provider, as configuration text."""
    command = [sys.executable, "-m", "muster.rehearsal", str(SCENARIO)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with _ended(process):
        assert process.stdout is not None
        yield json.dumps(opencode_config(process.stdout.readline().strip()))


@contextmanager
def _ended(process: "subprocess.Popen[Any]") -> Iterator[None]:
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _sample_repository(target: Path) -> Path:
    shutil.copytree(SAMPLE, target)
    git = ["git", "-C", str(target), "-c", "user.name=Muster", "-c", "user.email=demo@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "A lanternfish swims by night"]):
        subprocess.run([*git, *words], check=True)
    return target


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MusterError as error:
        sys.exit(f"{error.message} {error.next_step}")
    except KeyboardInterrupt:
        sys.exit(130)
