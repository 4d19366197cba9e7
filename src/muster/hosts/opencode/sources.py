"""Where OpenCode looks for agent definitions, in its order: what comes later wins."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

MANAGED = Path("/etc/opencode")
AGENT_FOLDERS = ("agent", "agents")
MODE_FOLDERS = ("mode", "modes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that may define agents. `name` is what a Markdown file's path calls its agent; None: a configuration."""

    path: Path
    name: str | None = None
    primary: bool = False


def sources(directory: Path, env: Mapping[str, str]) -> Iterator[Source]:
    """Every file that exists, the weakest first."""
    yield from filter(_exists, map(_config, _plain_configs(directory, env)))
    for folder in dict.fromkeys(_folders(directory, env)):
        if folder.name.endswith(".opencode") or str(folder) == env.get("OPENCODE_CONFIG_DIR"):
            yield from filter(_exists, map(_config, pair(folder)))
        yield from _markdown(folder)


def managed_sources() -> Iterator[Source]:
    """What the machine's administrator laid down, which wins over everything."""
    yield from filter(_exists, map(_config, pair(MANAGED)))


def global_folder(env: Mapping[str, str]) -> Path:
    """The user's own configuration: read whatever OPENCODE_CONFIG and OPENCODE_CONFIG_DIR say."""
    settings = env.get("XDG_CONFIG_HOME")
    return (Path(settings) if settings else _home(env) / ".config") / "opencode"


def _plain_configs(directory: Path, env: Mapping[str, str]) -> Iterator[Path]:
    settings = global_folder(env)
    yield from (settings / "config.json", *pair(settings))
    if own := env.get("OPENCODE_CONFIG"):
        yield directory / own
    if not env.get("OPENCODE_DISABLE_PROJECT_CONFIG"):
        yield from chain.from_iterable(pair(above) for above in reversed(_upwards(directory)))


def _folders(directory: Path, env: Mapping[str, str]) -> Iterator[Path]:
    yield global_folder(env)
    if not env.get("OPENCODE_DISABLE_PROJECT_CONFIG"):
        yield from (above / ".opencode" for above in _upwards(directory))
    yield _home(env) / ".opencode"
    if own := env.get("OPENCODE_CONFIG_DIR"):
        yield Path(own)


def _markdown(folder: Path) -> Iterator[Source]:
    for kind in AGENT_FOLDERS:
        for path in sorted(_below(folder / kind)):
            yield Source(path=path, name=path.relative_to(folder / kind).with_suffix("").as_posix())
    for kind in MODE_FOLDERS:
        for path in sorted((folder / kind).glob("*.md")):
            yield Source(path=path, name=path.stem, primary=True)


def _below(folder: Path) -> Iterator[Path]:
    """Markdown files at any depth; links are followed, as OpenCode does."""
    seen: set[str] = set()
    for parent, _, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real not in seen:
            seen.add(real)
            yield from (Path(parent, name) for name in files if name.endswith(".md"))


def _upwards(directory: Path) -> list[Path]:
    """The directory and those above it, up to the git top level; without git, up to the root."""
    found: list[Path] = []
    for above in (directory, *directory.parents):
        found.append(above)
        if (above / ".git").exists():
            return found
    return found


def pair(folder: Path) -> tuple[Path, Path]:
    return folder / "opencode.json", folder / "opencode.jsonc"


def _config(path: Path) -> Source:
    return Source(path=path)


def _exists(source: Source) -> bool:
    return source.path.is_file()


def _home(env: Mapping[str, str]) -> Path:
    return Path(env["HOME"]) if env.get("HOME") else Path.home()
