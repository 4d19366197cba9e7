"""docs/mcp-conformance.md, written from what the suite said."""

from collections.abc import Mapping

from contract.mcp.scope import ABSENT, HTTP, REVISIONS, Carried, left_out
from contract.mcp.suite import Check, Outcome

HEAD = """# MCP conformance

Which scenarios of [`@modelcontextprotocol/conformance`](https://github.com/modelcontextprotocol/conformance) {version}
run against Muster's two doors, over HTTP (`/mcp`) and over stdio (`muster mcp`), at two revisions of the protocol. Each
revision's whole required list is run at both; `make conformance` runs it and holds this page against what it found.

The suite speaks HTTP and knows no token. On its way to `/mcp` it is given the operator's token; on its way to
`muster mcp` a small server in the test hands each body over as one line, and each line back as a body. What a header
of HTTP says there, a door is told once: each client that says `initialize` gets a door of its own, and the one for
2026-07-28 is opened with `server/discover`.
"""
LEFT_OUT = """
## What does not apply

The suite was written for an example server that holds one tool, prompt or resource for each scenario. These need what
Muster does not offer, and a test sees that it really does not. They are run all the same: every message of Muster's in
them is valid by the schema of its revision.
"""
ALSO = """
Over stdio, what tests HTTP itself (status codes, headers, Host and Origin, several streams) is left out as well.
"""


def page(version: str, outcomes: Mapping[tuple[str, Carried], Outcome]) -> str:
    """The whole page; `outcomes` by revision and door."""
    doors = list(dict.fromkeys(door for _, door in outcomes))
    parts = [HEAD.format(version=version)]
    for revision in REVISIONS:
        parts.append(f"\n## {revision}\n\n{_table(revision, doors, outcomes)}")
    parts.append(LEFT_OUT)
    for reason, names in ABSENT.items():
        listed = ", ".join(f"`{name}`" for name in names)
        parts.append(f"\n- {reason[0].upper()}{reason[1:]}: {listed}.")
    return "".join(parts) + "\n" + ALSO


def _table(revision: str, doors: list[Carried], outcomes: Mapping[tuple[str, Carried], Outcome]) -> str:
    scenarios = sorted({name for door in doors for name in outcomes[revision, door]})
    rows = [
        f"| scenario | {' | '.join(f'`{door.name}`' for door in doors)} |",
        f"|---|{'---|' * len(doors)}",
    ]
    for scenario in scenarios:
        cells = [_cell(door, scenario, outcomes[revision, door][scenario]) for door in doors]
        if any(cells):
            rows.append(f"| `{scenario}` | {' | '.join(cell or HTTP for cell in cells)} |")
    return "\n".join(rows) + "\n"


def _cell(door: Carried, scenario: str, checks: list[Check]) -> str:
    """How many checks say something of Muster here, all of which it passes; nothing where none does."""
    if left_out(door, scenario):
        return ""
    said = [check for check in checks if check.status == "SUCCESS" and not left_out(door, scenario, check.id)]
    return f"{len(said)} {'check' if len(said) == 1 else 'checks'} passed" if said else ""
