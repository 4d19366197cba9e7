"""How the outcome of a vote is told to whoever proposed: names and counts. What voters noted stands in the receipts."""

from collections.abc import Mapping, Sequence

from muster.model.decision import Decision, Tally
from muster.model.ids import AgentId
from muster.visible import in_quotes

NAMED = 20


def outcome(decision: Decision, tally: Tally, names: Mapping[AgentId, str]) -> str:
    """How it came out, and who said what."""
    head = (
        f"Your proposal {decision.id} {in_quotes(decision.subject, 80)} is {tally.status}: {tally.approval_weight} of "
        f"{tally.total_weight} approved, the quorum is {tally.quorum}."
    )
    unsigned = [voter for voter in tally.required_signoffs if voter not in tally.approved]
    said = {
        "Approved": tally.approved,
        "Declined": tally.declined,
        "Silent": tally.silent,
        "Cancelled": tally.cancelled,
        "Sign-off missing": unsigned,
    }
    return "\n".join([head, *(f"{word}: {_listed(voters, names)}." for word, voters in said.items() if voters)])


def _listed(voters: Sequence[AgentId], names: Mapping[AgentId, str]) -> str:
    rest = len(voters) - NAMED
    named = ", ".join(names[voter] for voter in voters[:NAMED])
    return f"{named} and {rest} more" if rest > 0 else named
