"""A user's machine without a hub: a home, a configuration, and programs that only say their version."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muster.surfaces.cli import run


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    folder: Path
    say: Callable[..., tuple[int, str, str]]

    @property
    def config(self) -> Path:
        return self.folder / "config" / "opencode"

    @property
    def home(self) -> Path:
        return self.folder / "muster"

    @property
    def entry(self) -> list[Any]:
        url = (self.home / "bridge.js").as_uri()
        return [url, {"hub_file": str(self.home / "hub.json"), "command": [str(self.folder / "bin" / "muster")]}]

    def write(self, content: bytes, name: str = "opencode.json") -> Path:
        self.config.mkdir(parents=True, exist_ok=True)
        file = self.config / name
        file.write_bytes(content)
        return file

    def init(self, *words: str) -> Any:
        code, out, err = self.say("init", "--json", *words)
        assert code == 0, err
        return json.loads(out)

    def refused(self, *words: str) -> Any:
        code, _, err = self.say("init", "--json", *words)
        assert code != 0
        return json.loads(err)["error"]

    def files(self) -> set[str]:
        return {path.name for path in self.config.glob("*")}


@pytest.fixture
def user(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> User:
    for name in [name for name in os.environ if name.startswith(("MUSTER_", "OPENCODE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MUSTER_HOME", str(tmp_path / "muster"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    (tmp_path / "bin").mkdir()
    for name, text in (("opencode", "#!/bin/sh\necho 1.18.33\n"), ("muster", "#!/bin/sh\n")):
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(tmp_path / "bin" / "muster")])

    def say(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return User(folder=tmp_path, say=say)
