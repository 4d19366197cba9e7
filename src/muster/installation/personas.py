"""Agent files in the user's own OpenCode configuration, or in a project's. A file that says something else is kept."""

from collections.abc import Mapping
from pathlib import Path

from muster.errors import Conflict
from muster.hosts.opencode.sources import AGENT_FOLDERS, global_folder
from muster.installation.change import content_of
from muster.replacing import replace_file


def configuration_folder(environment: Mapping[str, str], project: Path | None) -> Path:
    """OpenCode's own folder of a project; without one that of the user."""
    return global_folder(environment) if project is None else project / ".opencode"


def agent_file(folder: Path, name: str) -> Path:
    """Where the agent of that name stands, else where it will."""
    files = [folder / kind / f"{name}.md" for kind in AGENT_FOLDERS]
    return next((file for file in files if file.exists()), files[0])


def lay(texts: Mapping[Path, str], *, force: bool = False) -> list[Path]:
    """Write each file, or none. Returns those that were not so before. Raises Conflict, StateNotWritable."""
    changed = [file for file, text in texts.items() if content_of(file) != text.encode()]
    for file in changed:
        if file.exists() and not force:
            raise Conflict(why=f"{file} is there already, with other words; --force overwrites it.")
    for file in changed:
        replace_file(file, texts[file].encode(), like=file)
    return changed
