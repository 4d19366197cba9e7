"""The YAML between `---` lines at the top of a Markdown file, as leniently as OpenCode reads it."""

import re
from typing import Any  # Any: YAML has no finite type

import yaml

BLOCK = re.compile(r"\A---[ \t]*\r?\n(.*?)(?:\r?\n)?^---", re.DOTALL | re.MULTILINE)
ENTRY = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*:\s*(.*)")


class FrontMatterError(ValueError):
    """It is neither YAML nor something that can be read as YAML."""


def front_matter(text: str) -> dict[str, Any]:
    """Empty where there is none."""
    found = BLOCK.match(text.removeprefix("\ufeff"))
    if not found:
        return {}
    try:
        return _mapping(found[1])
    except FrontMatterError:
        return _mapping(_with_colons_quoted(found[1]))


def _mapping(block: str) -> dict[str, Any]:
    try:
        # PyYAML counts a lone carriage return as a line end, and so would be misled by none of the others.
        data = yaml.safe_load(block.replace("\r\n", "\n"))
    except (yaml.YAMLError, ValueError) as exc:
        raise FrontMatterError(str(exc)) from exc
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise FrontMatterError(f"a mapping was expected, not {type(data).__name__}")
    return {str(key): value for key, value in data.items()}


def _with_colons_quoted(block: str) -> str:
    """`description: Use when: …` is no YAML; people write it all the same, and OpenCode takes it."""
    return "\n".join(_quoted(line) for line in block.splitlines())


def _quoted(line: str) -> str:
    found = ENTRY.fullmatch(line)
    if not found or ":" not in found[2] or found[2].strip()[:1] in {'"', "'"}:
        return line
    return f"{found[1]}: |-\n  {found[2].strip()}"
