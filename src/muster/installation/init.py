"""What `muster init` puts in, and how it comes out again. Planned first: a dry run shows what a real one does."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any  # entries are JSON

from muster.home import Home
from muster.hosts.opencode import entries
from muster.hosts.opencode.entries import PLUGINS
from muster.hosts.opencode.environment import BRIDGE, merge
from muster.hosts.opencode.program import ask_version, locate, require_spoken
from muster.hosts.opencode.sources import global_folder, pair
from muster.installation.change import Change, backup_beside, content_of, edited
from muster.installation.record import Edit, digest, edits, forget, remember
from muster.replacing import replace_file

NEW_FILE = json.dumps({"$schema": entries.SCHEMA}, indent=2) + "\n"  # as OpenCode makes it
TWICE = "{file} has an MCP entry `muster` too: with the bridge its tools are offered twice. Take one of them out."
THERE = "{file} has an MCP entry `muster` already; it was left as it is."


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    path: str
    version: str


def find_opencode(program: str, environment: Mapping[str, str]) -> Program:
    """The user's own OpenCode. Raises HostMissing, HostVersionUnknown, HostFailed."""
    path = locate(program or None, environment)
    version = ask_version(path, environment)
    require_spoken(version)
    return Program(path=str(path), version=version)


def own_command(environment: Mapping[str, str]) -> list[str]:
    """How this Muster is started from anywhere: by its name on the PATH, which outlives its environment's folder."""
    script, called = Path(sys.executable).with_name("muster"), Path(sys.argv[0])
    ours = [path.absolute() for path in (script, called) if path.name == "muster" and path.is_file()]
    found = shutil.which("muster", path=environment.get("PATH"))
    if found and Path(found).resolve() in {path.resolve() for path in ours}:
        return [str(Path(found).absolute())]
    return [str(ours[0])] if ours else [sys.executable, "-P", "-m", "muster"]


def plan(home: Home, environment: Mapping[str, str], command: Sequence[str], *, mcp: bool) -> Change:
    """What `init` would change. Raises ConfigurationBroken, StateNotWritable."""
    folder = global_folder(environment)
    contents = dict(_contents(folder))
    name = entries.file_for_bridge(contents)
    file = (folder / name).resolve()
    before, present = content_of(file), _file_with_mcp(folder, contents)
    plugin = entries.bridge_entry(home.folder, command)
    door = entries.mcp_entry(command, _needed(environment)) if mcp and present is None else None
    with edited(file):
        text, added = _with_entries(contents.get(name) or NEW_FILE, plugin, door)
    return Change(
        file=file,
        before=before,
        after=text.encode() if added else before,
        added=added,
        backup=backup_beside(file, before),
        notes=() if present is None or _was_asked_for(home) else ((THERE if mcp else TWICE).format(file=present),),
    )


def _with_entries(
    text: str, plugin: list[Any], door: dict[str, Any] | None
) -> tuple[str, tuple[entries.Addition, ...]]:
    text, added = entries.add_bridge(text, plugin)
    all_added = () if added is None else (added,)
    if door is None:
        return text, all_added
    text, added = entries.add_mcp(text, door)
    return text, (*all_added, added)


def configuration(environment: Mapping[str, str]) -> dict[str, Any]:
    """The user's own OpenCode configuration, merged as OpenCode does. Raises ConfigurationBroken, StateNotWritable."""
    config: dict[str, Any] = {}
    for _, text in reversed(list(_contents(global_folder(environment)))):
        stronger = entries.config_of(text)
        config = merge({key: value for key, value in config.items() if key not in stronger or key != PLUGINS}, stronger)
    chosen, folder = environment.get("OPENCODE_CONFIG"), environment.get("OPENCODE_CONFIG_DIR")
    for file in (*([Path(chosen)] if chosen else []), *(pair(Path(folder)) if folder else ())):
        if (content := content_of(file)) is not None:
            with edited(file):
                config = merge(config, entries.config_of(content.decode()))
    return config


def make(home: Home, change: Change) -> None:
    """Bridge, backup, record, and then the file itself. Raises StateNotWritable, Conflict."""
    home.prepare()
    lay_bridge(home)
    if not change.is_needed or change.after is None:
        return
    if change.backup is not None and change.before is not None and not change.backup.exists():
        replace_file(change.backup, change.before, like=change.file)
    edit = Edit(
        file=str(change.file),
        before=None if change.before is None else digest(change.before),
        after=digest(change.after),
        backup=None if change.backup is None else str(change.backup),
        added=change.added,
    )
    remember(home, [*edits(home), edit])
    change.make()


def bridge(home: Home) -> Path:
    return entries.installed_bridge(home.folder)


def has_bridge(home: Home) -> bool:
    """Whether the copy that OpenCode loads is this Muster's."""
    return content_of(bridge(home)) == BRIDGE.read_bytes()


def lay_bridge(home: Home) -> None:
    if not has_bridge(home):
        replace_file(bridge(home), BRIDGE.read_bytes())


def renew_bridge(home: Home) -> None:
    """Where `init` has put one: a hub that was upgraded brings its own."""
    if bridge(home).exists():
        lay_bridge(home)


def plan_undo(home: Home, environment: Mapping[str, str]) -> list[Change]:
    """What `init --undo` would change. Raises ConfigurationBroken, StateNotWritable."""
    changes: dict[Path, Change] = {}
    for edit in reversed(edits(home) or _found(home, environment)):
        file = Path(edit.file)
        before = changes[file].after if file in changes else content_of(file)
        changes[file] = _joined(changes.get(file), _taken_back(edit, file, before))
    return list(changes.values())


def undo(home: Home, changes: Sequence[Change]) -> None:
    """Make them, then forget. Raises StateNotWritable, Conflict."""
    for change in changes:
        change.make()
        for backup in change.spent:
            backup.unlink(missing_ok=True)
    if not any(change.kept for change in changes):
        bridge(home).unlink(missing_ok=True)
    forget(home)


def _found(home: Home, environment: Mapping[str, str]) -> list[Edit]:
    """Where the record was lost: entries that can only be of this state folder."""
    folder = global_folder(environment)
    return [
        Edit(
            file=str((folder / name).resolve()), before="", after="", backup=None, added=(entries.bridge_found(entry),)
        )
        for name, text in _contents(folder)
        for entry in entries.bridges(entries.config_of(text))
        if entry[0] == bridge(home).as_uri()
    ]


def _joined(first: Change | None, second: Change) -> Change:
    """Two changes of one file, as one."""
    if first is None:
        return second
    return replace(second, before=first.before, spent=first.spent + second.spent, kept=first.kept + second.kept)


def _taken_back(edit: Edit, file: Path, current: bytes | None) -> Change:
    backup = Path(edit.backup) if edit.backup else None
    saved = content_of(backup) if backup else None
    change = Change(file=file, before=current, after=current)
    if current is None:
        return change
    if digest(current) == edit.after and (None if saved is None else digest(saved)) == edit.before:
        change = replace(change, after=saved)
    else:
        change = _cut_out(edit, change, current)
    return replace(change, spent=(backup,)) if backup and saved == change.after else change


def _cut_out(edit: Edit, change: Change, current: bytes) -> Change:
    """The file was edited since: take out what was put in, and nothing else."""
    kept: list[str] = []
    with edited(change.file):
        text = current.decode()
        for added in reversed(edit.added):
            without = entries.take_back(text, added)
            if without is None:
                kept.append(f"{'.'.join(added.at)} in {change.file} was changed by hand since: it stays as it is.")
            else:
                text = without
        rest = entries.config_of(text)
    is_ours_alone = edit.before is None and rest.keys() <= {"$schema"}
    return replace(change, after=None if is_ours_alone else text.encode(), kept=tuple(kept))


def _contents(folder: Path) -> Iterator[tuple[str, str]]:
    """The configuration files that there are, by name, each of them sound."""
    for name in entries.FILES:
        content = content_of(folder / name)
        if content is not None:
            with edited(folder / name):
                text = content.decode()
                entries.config_of(text)
            yield name, text


def _file_with_mcp(folder: Path, contents: Mapping[str, str]) -> Path | None:
    held = (name for name, text in contents.items() if entries.mcp_of(entries.config_of(text)) is not None)
    return next((folder / name for name in held), None)


def _was_asked_for(home: Home) -> bool:
    return any(added.at == entries.MCP for edit in edits(home) for added in edit.added)


def _needed(environment: Mapping[str, str]) -> dict[str, str]:
    """OpenCode may be started where a chosen state folder is not in the environment."""
    chosen = environment.get("MUSTER_HOME")
    return {"MUSTER_HOME": str(Path(chosen).expanduser().absolute())} if chosen else {}
