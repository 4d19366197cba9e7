"""One persona of the roster, and the text that it stands in."""

import re
from dataclasses import dataclass
from typing import Any  # YAML has no finite type

import yaml

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)


class Unreadable(ValueError):
    """The text has no front matter that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterPersona:
    """`denied` names what its agents may not do, in OpenCode's words (`edit`, `bash`); `mode` is OpenCode's too."""

    name: str
    division: str
    description: str
    mode: str
    skills: tuple[str, ...]
    denied: tuple[str, ...]
    prompt: str


def is_name(text: str) -> bool:
    """Of a-z, 0-9 and single hyphens."""
    return NAME.fullmatch(text) is not None


def matter_and_body(text: str) -> tuple[dict[str, Any], str]:
    """The front matter, and all behind it. Raises Unreadable."""
    found = FRONT_MATTER.match(text)
    if not found:
        raise Unreadable("there are no lines between `---` and `---` at its top")
    try:
        matter = yaml.load(found[1], Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise Unreadable(f"its front matter is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(matter, dict):
        raise Unreadable("its front matter holds no entries")
    return {str(key): value for key, value in matter.items()}, text[found.end() :]


# The one written in C: the roster is read whenever a hub starts.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
