"""The tables. Migrations make them (`migrations/`); a test holds the two against each other.

Every table has `seq`, the order of insertion: it is what "first in, first out" and every cursor mean.
How values stand in the columns says `columns.py`.
"""

from muster.store.schema.agents import agents, asks, cleanups, fleets, leads, notices, runs, servers, turns
from muster.store.schema.journal import events, requests
from muster.store.schema.mail import (
    CARRIED,
    UNSEEN,
    WAITING,
    decisions,
    deliveries,
    messages,
    receipts,
    routings,
    votes,
    wakeups,
)
from muster.store.schema.pieces import metadata
from muster.store.schema.radar import clashes
from muster.store.schema.routing import capabilities, embeddings, outcomes, templates
from muster.store.schema.work import errands, landed_paths, merges, snapshots, worktrees

__all__ = [
    "CARRIED",
    "UNSEEN",
    "WAITING",
    "agents",
    "asks",
    "capabilities",
    "clashes",
    "cleanups",
    "decisions",
    "deliveries",
    "embeddings",
    "errands",
    "events",
    "fleets",
    "landed_paths",
    "leads",
    "merges",
    "messages",
    "metadata",
    "notices",
    "outcomes",
    "receipts",
    "requests",
    "routings",
    "runs",
    "servers",
    "snapshots",
    "templates",
    "turns",
    "votes",
    "wakeups",
    "worktrees",
]
