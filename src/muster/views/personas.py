"""The personas that may be asked for in a project."""

from dataclasses import dataclass

from muster.model.actor import Actor
from muster.model.facts import Persona, Place
from muster.store.records import Reading
from muster.verbs import Cursor, Limit, Member, view


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaRow:
    name: str
    description: str
    division: str | None
    mode: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonaPage:
    """`cursor` is given to ask for the next page; null: this was the last."""

    agents: list[PersonaRow]
    cursor: int | None


@view(by=Member, facts=Place)
def list_(
    tx: Reading,
    actor: Actor,
    query: str | None = None,
    division: str | None = None,
    project: str | None = None,
    limit: Limit = 100,
    cursor: Cursor | None = None,
) -> PersonaPage:
    """Personas by name: OpenCode's own, the user's, the project's and the roster's.

    `query` looks in names and descriptions. `division`: only those of that one; `research` is one.
    """
    found = [persona for persona in tx.facts(Place).personas if _fits(persona, query, division)]
    first = cursor or 0
    rows = [
        PersonaRow(
            name=persona.name,
            description=persona.description,
            division=persona.division,
            mode=persona.mode,
            source=persona.source,
        )
        for persona in sorted(found, key=lambda persona: persona.name)[first : first + limit]
    ]
    return PersonaPage(agents=rows, cursor=first + limit if first + limit < len(found) else None)


def _fits(persona: Persona, query: str | None, division: str | None) -> bool:
    words = (query or "").lower().split()
    text = f"{persona.name} {persona.description}".lower()
    return division in (None, persona.division) and all(word in text for word in words)
