"""A persona of the roster in the forms that others want. Pure."""

import json
from typing import Any  # configuration is JSON

from muster.model.facts import Persona
from muster.roster.persona import RosterPersona

SOURCE = "roster"
CHANGING = {"edit", "bash"}
# What `scaffold` leaves to be filled in; `lint` finds what was left as it is.
PLACEHOLDERS = (
    "For <which work>, when <what has happened>.",
    "1. <What is looked at first, before anything is changed.>",
    "2. <What is done then, with the words and numbers of the trade.>",
    "3. <How it is checked.>",
    "You deliver: <what lies on the table at the end>.",
    "You refuse: <what is not done, whoever asks>.",
)


def rendered(persona: RosterPersona) -> str:
    """An OpenCode agent file. It holds only what OpenCode knows: any other entry would be sent to the provider."""
    rights = "".join(f"  {right}: deny\n" for right in denials(persona))
    permission = f"permission:\n{rights}" if rights else ""
    return f"---\n{_entry(persona.description)}mode: {persona.mode}\n{permission}---\n{persona.prompt}\n"


def definition(persona: RosterPersona) -> dict[str, Any]:
    """The same, as an entry below `agent` in OpenCode's configuration."""
    told: dict[str, Any] = {"description": persona.description, "mode": persona.mode, "prompt": persona.prompt}
    return told | ({"permission": dict.fromkeys(denials(persona), "deny")} if persona.denied else {})


def denials(persona: RosterPersona) -> tuple[str, ...]:
    """What its agents may not do. Who may not change things has no sub-agents: OpenCode (1.18) gives `general` its own
    rights, whoever calls it."""
    more = ("task",) if CHANGING & set(persona.denied) and "task" not in persona.denied else ()
    return persona.denied + more


def offered(persona: RosterPersona) -> Persona:
    """The same, as what a host offers."""
    return Persona(
        name=persona.name,
        description=persona.description,
        mode=persona.mode,
        source=SOURCE,
        division=persona.division,
        edits="edit" not in persona.denied,
        skills=persona.skills,
        text=persona.prompt,
    )


def scaffold() -> str:
    """An OpenCode agent file to be filled in, which may read and not write."""
    purpose, *steps, deliverable, refusal = PLACEHOLDERS
    work = "\n".join(["How you work:", *steps])
    prompt = "\n\n".join([purpose, work, deliverable, refusal])
    matter = f"{_entry('<What it is for, in 60 to 150 characters.>')}mode: all\npermission:\n  edit: deny\n"
    return f"---\n{matter}---\n{prompt}\n"


def _entry(description: str) -> str:
    return f"description: {json.dumps(description, ensure_ascii=False)}\n"
