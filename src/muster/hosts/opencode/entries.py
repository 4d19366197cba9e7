"""What stands of Muster in the user's own OpenCode configuration: its one definition, and how it goes in and out.

Pure: texts in, texts out. OpenCode 1.18 reads `config.json`, `opencode.json` and `opencode.jsonc` of its folder in that
order; objects are merged, but a later list *replaces* an earlier one (measured). So the bridge goes into the list that
counts, for a list of its own in a stronger file would hide the user's other plugins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # configuration is JSON, which has no finite type

from muster.hosts.opencode.environment import BRIDGE
from muster.hosts.opencode.jsonc import BrokenJson, append, parse, put, remove

FILES = ("opencode.jsonc", "opencode.json", "config.json")  # strongest first; the first is the one OpenCode makes
SCHEMA = "https://opencode.ai/config.json"
PLUGINS = "plugin"
MCP = ("mcp", "muster")


def installed_bridge(home: Path) -> Path:
    """Where the copy is that OpenCode loads: a path that no upgrade and no new Python moves."""
    return home / BRIDGE.name


def bridge_entry(home: Path, command: Sequence[str]) -> list[Any]:
    """The plugin. `hub_file` says where the hub answers; its folder is the state folder. `command` is `muster`."""
    return [installed_bridge(home).as_uri(), {"hub_file": str(home / "hub.json"), "command": list(command)}]


def mcp_entry(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The stdio door. `environment` is what it needs beside OpenCode's own."""
    entry = {"type": "local", "command": [*command, "mcp"], "enabled": True}
    return entry | ({"environment": dict(environment)} if environment else {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """One value that was put in: into the list at `at`, or as the member at `at`.

    `made` names the outermost container that was made for it, if any. `was` is the older one of ours in its place.
    """

    at: tuple[str, ...]
    value: Any
    made: tuple[str, ...] | None = None
    was: Any = None


def is_bridge(entry: Any) -> bool:
    """Whether an element of a plugin list is an entry of ours, of whatever age."""
    match entry:
        case [str(url), {"hub_file": str()}]:
            return url.rpartition("/")[2] == BRIDGE.name
    return False


def bridges(config: Mapping[str, Any]) -> list[Any]:
    plugins = config.get(PLUGINS)
    return [entry for entry in plugins if is_bridge(entry)] if isinstance(plugins, list) else []


def bridge_found(entry: list[Any]) -> Addition:
    """As if it had been put in just now."""
    return Addition(at=(PLUGINS,), value=entry)


def add_bridge(text: str, entry: list[Any]) -> tuple[str, Addition | None]:
    """None: it is there already, perhaps with options that the user added. Raises BrokenJson."""
    config = parse(text)
    if PLUGINS not in config:
        return put(text, [PLUGINS], [entry]), Addition(at=(PLUGINS,), value=entry, made=(PLUGINS,))
    old = next(iter(bridges(config)), None)
    if old is None:
        return append(text, [PLUGINS], entry), Addition(at=(PLUGINS,), value=entry)
    renewed = [entry[0], {**old[1], **entry[1]}]
    if renewed == old:
        return text, None
    place = config[PLUGINS].index(old)
    return put(text, [PLUGINS, place], renewed), Addition(at=(PLUGINS,), value=renewed, was=old)


def mcp_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The MCP entry of Muster's name, whoever made it."""
    entry = _at(config, MCP)
    return entry if isinstance(entry, dict) else None


def add_mcp(text: str, entry: dict[str, Any]) -> tuple[str, Addition]:
    """Where there is none of that name. Raises BrokenJson."""
    parent, name = MCP
    if parent not in parse(text):
        return put(text, [parent], {name: entry}), Addition(at=MCP, value=entry, made=(parent,))
    return put(text, MCP, entry), Addition(at=MCP, value=entry)


def take_back(text: str, added: Addition) -> str | None:
    """The text without what was added; None where it stands there changed. Raises BrokenJson."""
    found = _find(parse(text), added)
    if found is None:
        return text
    if found == ():
        return None
    if added.was is not None:
        return put(text, found, added.was)
    text = remove(text, found)
    if added.made is not None and not _at(parse(text), added.made):
        text = remove(text, added.made)
    return text


def _find(config: Any, added: Addition) -> tuple[str | int, ...] | None:
    """The path of an added value; None: it is gone; (): it was changed."""
    there = _at(config, added.at)
    if added.at == (PLUGINS,):
        elements = there if isinstance(there, list) else []
        if added.value in elements:
            return (PLUGINS, elements.index(added.value))
        return () if any(map(is_bridge, elements)) else None
    if there is None:
        return None
    return added.at if there == added.value else ()


def _at(config: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        config = config.get(step) if isinstance(config, dict) else None
    return config


def config_of(text: str) -> dict[str, Any]:
    """A configuration file's content. Raises BrokenJson; an empty file is an empty configuration, as in OpenCode."""
    config = parse(text) if text else {}
    if not isinstance(config, dict):
        raise BrokenJson(text, 0, "a configuration is an object")
    return config


def file_for_bridge(texts: Mapping[str, str]) -> str:
    """Which of these files holds the plugin list that counts; without one, the file that OpenCode would write to."""
    known = [name for name in FILES if name in texts]
    with_list = [name for name in known if PLUGINS in config_of(texts[name])]
    return next(iter([*with_list, *known, *FILES]))
