"""The YAML between `---` lines at the top of a Markdown file, as leniently as OpenCode reads it."""

import re
from typing import Any  # Any: YAML has no finite type

import yaml

BLOCK = re.compile(r"\A---(?:yaml)?[ \t]*\r?\n(.*?)(?:\r?\n)?^---", re.DOTALL | re.MULTILINE)
ENTRY = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*:\s*(.*)")


class FrontMatterError(ValueError):
    """It is neither YAML nor something that can be read as YAML."""


def body(text: str) -> str:
    """What stands behind it, as OpenCode takes it for the prompt."""
    text = text.removeprefix("\ufeff")
    found = BLOCK.match(text)
    return (text[found.end() :] if found else text).strip()


def front_matter(text: str) -> dict[str, Any]:
    """Empty where there is none, or where it is broken beyond the one mending that OpenCode tries."""
    found = BLOCK.match(text.removeprefix("\ufeff"))
    if not found:
        return {}
    mended = _with_colons_quoted(found[1])
    try:
        return _mapping(found[1])
    except FrontMatterError:
        return {} if mended == found[1] else _mapping(mended)


def _mapping(block: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(block.replace("\r\n", "\n"))
    except (yaml.YAMLError, ValueError) as exc:
        raise FrontMatterError(str(exc)) from exc
    return {str(key): value for key, value in data.items()} if isinstance(data, dict) else {}


def _with_colons_quoted(block: str) -> str:
    """`description: Use when: …` is no YAML; people write it all the same, and OpenCode takes it."""
    return "\n".join(_quoted(line) for line in block.splitlines())


def _quoted(line: str) -> str:
    found = ENTRY.fullmatch(line)
    if not found or ":" not in found[2] or found[2].strip()[:1] in {'"', "'"}:
        return line
    return f"{found[1]}: |-\n  {found[2].strip()}"
