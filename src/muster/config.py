"""Every setting: name, type, default, one line of meaning.

`config.toml` in the user's configuration folder is read first, then `MUSTER_CFG_<KEY>` over it. A wrong name or value
stops the start and says where it stands. Between the two stands a project's own `.muster/config.toml`, for what it may
set (`trust.py` says what of that counts); the rest is the machine's.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any  # a configuration file's values, before they are checked

from muster.errors import UnknownSetting
from muster.model.ask import OnAsk
from muster.model.budget import USUAL
from muster.model.worktree import Beginning, Isolation

ENVIRONMENT_PREFIX = "MUSTER_CFG_"
BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
PROJECT_FILE_BYTES = 64 * 1024
WORKTREES = ("mesh_worktree", "worktree_base", "worktree_setup", "worktree_copy", "worktree_link")
CEILINGS = tuple(f"max_{means}_per_{whom}" for means in ("turns", "tokens", "seconds") for whom in ("agent", "fleet"))
# What a project may set: ceilings, of which a smaller one asks for less and 0 for everything, what its agents may, and
# how their worktrees are made and landed.
PER_PROJECT = frozenset(["on_ask", "land_when_quiet", "merge_check", *CEILINGS, *WORKTREES])


def state_folder() -> Path:
    """`$MUSTER_HOME`, else the user's state folder. Not created here. Raises UnknownSetting for a relative path."""
    chosen = os.environ.get("MUSTER_HOME")
    if chosen:
        folder = Path(chosen).expanduser()
        if not folder.is_absolute():  # it would be another hub in every directory
            raise UnknownSetting(where="the environment", key="MUSTER_HOME", why=f"must be absolute, got {chosen!r}")
        return folder
    from platformdirs import user_state_path  # noqa: PLC0415 - 10 ms that the stdio door and most commands save

    return user_state_path("muster", appauthor=False)


def config_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "muster" / "config.toml"


def project_file(project: Path) -> Path:
    return project / ".muster" / "config.toml"


class Kind(StrEnum):
    """What a list holds, where it is not one of a few words."""

    PATHS = "paths"  # within a project
    COMMANDS = "commands"


def _setting(default: Any, says: str, *, least: int = 0, most: int = 2**53, words: tuple[str, ...] | Kind = ()) -> Any:
    """`least` and `most` bound a number; `words` are those that a list may hold, or what it holds."""
    return field(default=default, metadata={"says": says, "least": least, "most": most, "words": words})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    port: int = _setting(4747, "The hub's port; 0 = any free one, as where another program has 4747.", most=65535)
    hub_idle_minutes: float = _setting(30.0, "After this long without use or work the hub goes to sleep; 0 = never.")
    opencode: str = _setting("", "Path of the opencode program; empty = the one on PATH.")
    max_agents: int = _setting(50, "Agents starting or working at once, in all; 0 = no limit.")
    max_agents_per_fleet: int = _setting(0, "The same, of one fleet; 0 = no limit.")
    max_agents_per_persona: int = _setting(0, "The same, of one persona; 0 = no limit.")
    max_agents_per_model: int = _setting(0, "The same, on one model; 0 = no limit.")
    max_agents_per_provider: int = _setting(0, "The same, on one provider; 0 = no limit.")
    max_turns_per_agent: int = _setting(USUAL.agent.max_turns, "Model requests that one agent may make; 0 = no limit.")
    max_tokens_per_agent: int = _setting(0, "Tokens that one agent may use (cache included); 0 = no limit.")
    max_seconds_per_agent: int = _setting(0, "How long one agent may work; 0 = no limit.")
    max_turns_per_fleet: int = _setting(0, "Model requests that all agents of a fleet may make; 0 = no limit.")
    max_tokens_per_fleet: int = _setting(
        USUAL.fleet.max_tokens, "Tokens that all agents of a fleet may use; 0 = no limit."
    )
    max_seconds_per_fleet: int = _setting(USUAL.fleet.max_seconds, "How long a fleet may work; 0 = no limit.")
    attach_on_alert: int = _setting(
        0, "How many personas may be added to a fleet because its agents called for help that nobody there can give."
    )
    routing_synonyms: str = _setting("", "A YAML file with groups of words that mean the same to you, for routing.")
    routing_taxonomy: str = _setting("", "A YAML file with terms by area by field, for routing.")
    wakeups_per_pair: int = _setting(20, "How often two agents may wake each other before you are asked; 0 = no limit.")
    wakeups_per_fleet: int = _setting(400, "The same, of all agents of a fleet together; 0 = no limit.")
    inactivity_ms: int = _setting(1_800_000, "A run without a sign of life for so long is timed out; 0 = never.")
    max_age_ms: int = _setting(0, "How long a run may take at all; 0 = no limit.")
    agents_per_server: int = _setting(32, "Agents that share one host server; 1 = a process for each.", least=1)
    directories_per_server: int = _setting(20, "Directories that one host server may have open.", least=1)
    server_memory_mib: int = _setting(4096, "A host server that holds more is drained and replaced; 0 = no limit.")
    server_idle_seconds: int = _setting(120, "After this long without work a host server is ended.")
    always_offer: tuple[str, ...] = _setting(
        (),
        "Toolkits that each session of your OpenCode sees from its start, at the cost of their bytes.",
        words=("mesh",),
    )
    snapshot_seconds: int = _setting(
        300, "How long an agent works between two snapshots of its worktree.", least=1, most=300
    )
    merge_check: str = _setting(
        "", "A command that what comes of a merge must pass before it lands (`make test`); empty = none."
    )
    merge_check_seconds: int = _setting(900, "How long such a command may take.", least=1)
    radar_pairs_per_second: int = _setting(
        20, "How many pairs of agents' work are tried against each other in a second, at most; 0 = none."
    )
    on_ask: OnAsk = _setting(  # noqa: RUF009 - a field like the others
        OnAsk.REFUSE, "What an agent asks leave for: refuse, allow (once), or operator: it waits for `muster answer`."
    )
    mesh_worktree: Isolation = _setting(  # noqa: RUF009 - a field like the others
        Isolation.AUTO,
        "Whether agents get worktrees of their own: auto (those that may edit, in a git project), always, never.",
    )
    worktree_base: Beginning = _setting(  # noqa: RUF009 - a field like the others
        Beginning.HEAD, "What a worktree begins as: head, or dirty: your files as they are, on top of it."
    )
    worktree_setup: tuple[str, ...] = _setting(
        (), "Commands that are run in a new worktree before its agent begins.", words=Kind.COMMANDS
    )
    worktree_copy: tuple[str, ...] = _setting(
        (), "Paths of the project that a new worktree gets a copy of (`.env`).", words=Kind.PATHS
    )
    worktree_link: tuple[str, ...] = _setting(
        (), "Paths of the project that a new worktree gets a link to (`node_modules`).", words=Kind.PATHS
    )
    merge_on_cleanup: bool = _setting(
        default=True, says="Whether `team_cleanup` lands what was not merged; else that is in its way."
    )
    land_when_quiet: bool = _setting(
        default=True,
        says="Whether what agents did lands in your files when their fleet goes quiet; `muster undo` takes it back.",
    )
    ask_timeout_seconds: int = _setting(300, "After this long an ask that waits for the operator is refused.", least=1)


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in force. Raises UnknownSetting, naming file, line and key."""
    environment = os.environ if environment is None else environment
    values = _from_file(file or config_file()) | _from_environment(environment)
    return Settings(**values)


def load_project(file: Path) -> tuple[bytes | None, dict[str, Any]]:
    """A project's own file, None where there is none, and what it sets. Raises UnknownSetting."""
    if not file.exists():
        return None, {}
    try:
        content = _small_file(file)
        values = _checked_toml(content.decode(), file)
    except (OSError, UnicodeDecodeError) as error:
        raise UnknownSetting(where=str(file), key="the file", why=f"cannot be read ({error})") from error
    for key in values.keys() - PER_PROJECT:
        where = f"{file}{_line(content.decode(), key)}"
        raise UnknownSetting(where=where, key=key, why=f"a project does not set it: it belongs in {config_file()}")
    return content, values


def named_in(environment: Mapping[str, str]) -> frozenset[str]:
    """The settings that the environment names."""
    prefixed = (name for name in environment if name.startswith(ENVIRONMENT_PREFIX))
    return frozenset(name.removeprefix(ENVIRONMENT_PREFIX).lower() for name in prefixed)


def _small_file(file: Path) -> bytes:
    """It is somebody else's, and is read for every fleet: what is no file, or is large, is not waited for."""
    if not file.is_file() or file.stat().st_size > PROJECT_FILE_BYTES:
        raise OSError(f"it is no file of at most {PROJECT_FILE_BYTES} bytes")
    return file.read_bytes()


def _from_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UnknownSetting(where=str(file), key="the file", why=f"cannot be read ({error})") from error
    return _checked_toml(text, file)


def _checked_toml(text: str, file: Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UnknownSetting(where=str(file), key="the file", why=f"is not TOML ({error})") from error
    return {key: _checked(key, value, f"{file}{_line(text, key)}") for key, value in given.items()}


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    given = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower(): (name, value)
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    return {
        key: _checked(key, _parsed(key, value), f"the environment ({name})") for key, (name, value) in given.items()
    }


def _checked(key: str, value: object, where: str) -> object:
    setting = {setting.name: setting for setting in fields(Settings)}.get(key)
    if setting is None:
        raise UnknownSetting(where=where, key=key, why="there is no such setting")
    if isinstance(setting.default, tuple):
        return _words(key, value, where, setting.metadata["words"])
    expected = type(setting.default)
    if expected is float and type(value) is int:
        value = float(value)
    if issubclass(expected, StrEnum):
        return _chosen(key, value, expected, where)
    if type(value) is not expected:
        raise UnknownSetting(where=where, key=key, why=f"expected {expected.__name__}, got {value!r}")
    least, most = setting.metadata["least"], setting.metadata["most"]
    if isinstance(value, int | float) and not least <= value <= most:
        raise UnknownSetting(where=where, key=key, why=f"must be {least} to {most}, got {value}")
    return value


def _words(key: str, value: object, where: str, known: tuple[str, ...] | Kind) -> tuple[str, ...]:
    fits: Callable[[object], bool]
    match known:
        case Kind.PATHS:
            expected, fits = "paths within the project", _is_inner_path
        case Kind.COMMANDS:
            expected, fits = "commands", _is_line
        case _:
            expected, fits = ", ".join(known), known.__contains__
    if not isinstance(value, list) or not all(fits(word) for word in value):
        raise UnknownSetting(where=where, key=key, why=f"expected a list of {expected}, got {value!r}")
    return tuple(value)


def _is_line(word: object) -> bool:
    return isinstance(word, str) and bool(word.strip()) and "\0" not in word


def _is_inner_path(word: object) -> bool:
    """Somewhere below the project, and not where git keeps its own."""
    if not isinstance(word, str) or not _is_line(word):
        return False
    path = PurePosixPath(word)
    parts = [part.lower() for part in path.parts]
    return not path.is_absolute() and bool(parts) and ".." not in parts and parts[0] != ".git"


def _chosen(key: str, value: object, choices: type[StrEnum], where: str) -> StrEnum:
    """One word of a closed set."""
    for choice in choices:
        if choice == value:
            return choice
    raise UnknownSetting(where=where, key=key, why=f"must be one of {', '.join(choices)}, got {value!r}")


def _parsed(key: str, value: str) -> object:
    """The environment knows only text: digits become a number, commas a list (of commands: lines), where wanted."""
    default = getattr(Settings(), key, None)
    if isinstance(default, bool):
        return BOOLEANS.get(value.lower(), value)
    if isinstance(default, float) and re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", value):
        return float(value)
    if isinstance(default, tuple):
        words = value.splitlines() if key in _of_commands() else value.split(",")
        return [word.strip() for word in words if word.strip()]
    return int(value) if isinstance(default, int) and re.fullmatch(r"-?[0-9]{1,18}", value) else value


def _of_commands() -> set[str]:
    return {setting.name for setting in fields(Settings) if setting.metadata["words"] is Kind.COMMANDS}


def _line(text: str, key: str) -> str:
    found = re.search(rf"^[ \t]*{re.escape(key)}[ \t]*=", text, re.MULTILINE)
    return f", line {text.count(chr(10), 0, found.start()) + 1}" if found else ""
