"""The files that are shipped, read when somebody asks for them."""

from functools import cache
from pathlib import Path

from muster.errors import Broken
from muster.roster.persona import RosterPersona, Unreadable, matter_and_body

FOLDER = Path(__file__).parent


@cache
def roster() -> tuple[RosterPersona, ...]:
    """Every persona of the roster, sorted by name. Read once."""
    return tuple(sorted(map(_read, shipped_files()), key=lambda persona: persona.name))


def shipped_files() -> tuple[Path, ...]:
    return tuple(sorted(FOLDER.glob("*/*.md")))


def _read(path: Path) -> RosterPersona:
    try:
        matter, body = matter_and_body(path.read_text(encoding="utf-8"))
        return RosterPersona(
            name=path.stem,
            division=path.parent.name,
            description=matter["description"],
            mode=matter["mode"],
            skills=tuple(matter["skills"]),
            denied=tuple(matter["denied"]),
            prompt=body.strip(),
        )
    except (Unreadable, KeyError) as error:
        raise Broken(why=f"{path} is no persona: {error}") from error
