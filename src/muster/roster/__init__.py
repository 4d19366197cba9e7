"""The roster: personas that are shipped, as files, and what is asked of such a file.

Above it: the hub, which offers them to agents, and the command line. Below it: `<division>/<name>.md`. It knows no host
but the form in which OpenCode wants an agent.
"""

from muster.roster.lint import Finding, alike, lint, lint_together
from muster.roster.persona import RosterPersona, Unreadable, is_name, matter_and_body
from muster.roster.rendering import definition, denials, offered, rendered, scaffold
from muster.roster.shipped import roster, shipped_files

__all__ = [
    "Finding",
    "RosterPersona",
    "Unreadable",
    "alike",
    "definition",
    "denials",
    "is_name",
    "lint",
    "lint_together",
    "matter_and_body",
    "offered",
    "rendered",
    "roster",
    "scaffold",
    "shipped_files",
]
