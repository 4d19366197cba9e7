"""The templates that come with Muster, as data, and how they stand beside those that were saved here.

Each is a file, named as it is; all are version 1. Whoever saves under such a name makes version 2, and so on: the
newest is what is meant where no version is told.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import yaml

from muster.errors import NotFound
from muster.model.template import Shape, TemplateAgent

FIRST = 1  # the version of all that come with Muster


@cache
def shipped() -> Mapping[str, Shape]:
    """By name. They are read when somebody first asks."""
    return {file.stem: _read(file) for file in sorted(Path(__file__).parent.glob("*.yaml"))}


def versions(name: str, own: Iterable[Shape]) -> list[Shape]:
    """Newest first. `own` are those that were saved under this name and stand."""
    found = {shape.version: shape for shape in own}
    if name in shipped():
        found.setdefault(FIRST, shipped()[name])
    return [found[version] for version in sorted(found, reverse=True)]


def chosen(name: str, own: Iterable[Shape], version: int | None) -> Shape:
    """The version that is meant, by default the newest. Raises NotFound."""
    found = versions(name, own)
    if not found:
        raise NotFound(kind="template", id=name, hint="list_fleet_templates (verb template.list) names all.")
    for shape in found:
        if version in (None, shape.version):
            return shape
    known = ", ".join(str(shape.version) for shape in found)
    raise NotFound(kind="version", id=f"{version} of template {name}", hint=f"Versions: {known}.")


def _read(file: Path) -> Shape:
    told = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    return Shape(
        name=file.stem,
        version=FIRST,
        description=told["description"],
        agents=tuple(TemplateAgent(**agent) for agent in told["agents"]),
        placeholders=tuple(told["placeholders"]),
    )


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
