"""The words that come with an agent's first prompt: who it is, who works beside it, how to end well."""

from collections.abc import Sequence

from muster.model.agent import Agent
from muster.model.fleet import Fleet
from muster.model.worktree import Worktree
from muster.visible import in_quotes

PEERS_NAMED = 20

MAIL = (
    "send_message reaches a peer by name. What they write comes to you by itself; ack_message says you are done "
    "with it. Never poll or wait for a message: end your turn, and you are called."
)
SHARING = "You share this checkout with your peers: change only what your task needs, and leave their files alone."
LED = "This checkout is yours alone, on branch {branch}: commit what you finish; your lead merges commits."
OWN = "This checkout is yours alone, on branch {branch}: commit as you like; your work is merged for you."


def preamble(agent: Agent, fleet: Fleet, peers: Sequence[Agent], worktree: Worktree | None = None) -> str:
    """`peers` are the others in the fleet at this moment. `worktree`: its own, where it has one."""
    own = LED if agent.member else OWN
    group = "a member of team" if agent.member else "in fleet"
    lines = [
        f"[muster] You are {agent.name} ({agent.id}), role {in_quotes(agent.role)}, {group} {in_quotes(fleet.name)} "
        f"({fleet.id}).",
        _peers(peers),
        "Your tools whoami, fleet_status and collect_results show you, your fleet and its results so far.",
        MAIL if peers else "",
        SHARING if worktree is None else own.format(branch=worktree.branch),
        "Nobody answers questions while you work: decide and go on. Your last message is your result, handed on "
        "word for word: make it complete and self-contained.",
        "Your task follows.",
    ]
    return "\n".join(line for line in lines if line)


def _peers(peers: Sequence[Agent]) -> str:
    if not peers:
        return "You work alone."
    named = ", ".join(f"{peer.name} ({in_quotes(peer.role)})" for peer in peers[:PEERS_NAMED])
    rest = len(peers) - PEERS_NAMED
    return f"Peers: {named}{f' and {rest} more' if rest > 0 else ''}."
