"""A long past: fleets that are through, and what their agents said to each other. For a store that no hub has open.

What the product's own commands write of the first messages is written again and again under new ids, so that the rows
are such as it makes, in every table, and a million of them take two minutes instead of an hour.
"""

import json
import random
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any  # the values of rows

from muster.commands.messages import acknowledge
from muster.commands.posting import Letter, post
from muster.commands.proofs import note_seen
from muster.model.actor import SYSTEM, Actor, ActorKind
from muster.model.agent import Agent
from muster.model.delivery import Delivery
from muster.model.event import TurnComposed
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, FleetId, RunId, TurnId
from muster.model.message import Message, MessageType
from muster.model.run import Outcome, Run, RunState
from muster.model.turn import Ending, Turn, TurnKind
from muster.prompts.messages import digest
from muster.store.chain import entry_hash
from muster.store.database import Database, open_database
from muster.store.records import ALPHABET, Transaction
from muster.store.requests import Remembered

FLEETS, AGENTS, EACH = 50, 10, 20
FIRST = FLEETS * AGENTS * EACH
IN_A_PROMPT = 5
ACKNOWLEDGED = 0.4  # of what was seen: the rest nobody ever said a word about
REPEATED = ("messages", "turns", "deliveries", "receipts", "events", "requests")
REPLACED = re.compile("(?:msg|trn|req)_[0-9a-z]{12}")
WORDS = ("review", "merge", "parser", "green", "again", "before", "tests", "lunch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """Agents of one fleet, by id, in the order of spawning."""

    fleet: FleetId
    agents: list[AgentId]


async def begin(path: Path, members: int) -> tuple[Crew, list[Crew]]:
    """A store with a fleet that stands still, so that a message to it moves nothing else, and those of the past."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with open_database(path, lambda: datetime.now(UTC)) as database:
        still = await database.write(SYSTEM, lambda tx: _crew(tx, members, paused="the bench wants it quiet"))
        return still, [await database.write(SYSTEM, lambda tx: _crew(tx, AGENTS, paused=None)) for _ in range(FLEETS)]


async def live_through(path: Path, past: Sequence[Crew]) -> "Mapping[str, Rows]":
    """The first messages, each sent, brought, seen, and some acknowledged, by the commands that do so.

    Returns what that wrote, to go on with.
    """
    chance = random.Random(1)
    with open_database(path, lambda: datetime.now(UTC)) as database:
        for crew in past:
            for agent in crew.agents:
                await database.write(_self(crew, agent), partial(_say, crew=crew, agent=agent, chance=chance))
        for crew in past:
            for agent in crew.agents:
                await _get(database, crew, agent, chance)
    with closing(sqlite3.connect(path)) as connection:
        return {table: _rows(connection, table) for table in REPEATED}


def go_on(path: Path, first: "Mapping[str, Rows]", messages: int) -> None:
    """Repeat the first messages until there are so many."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for words in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000"):
            connection.execute(f"PRAGMA {words}")
        have = connection.execute("SELECT count(*) FROM messages").fetchone()[0]
        for _ in range((messages - have) // FIRST):
            connection.execute("BEGIN")
            _repeat(connection, first)
            connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode=WAL")


def _crew(tx: Transaction, members: int, *, paused: str | None) -> Crew:
    fleet = Fleet(
        id=FleetId(tx.new_id(Fleet)),
        name="audit",
        project="/tmp",
        directory="/tmp",
        spawned_by="operator",
        created_at=tx.now,
    )
    tx.add(fleet)
    tx.record(fleet.spawn(members))
    return Crew(fleet=fleet.id, agents=[_member(tx, fleet, number, paused) for number in range(members)])


def _member(tx: Transaction, fleet: Fleet, number: int, paused: str | None) -> AgentId:
    run = RunId(tx.new_id(Run))
    agent = Agent(
        id=AgentId(tx.new_id(Agent)),
        fleet=fleet.id,
        position=number,
        name=f"reviewer-{number}",
        role="Code reviewer",
        persona="build",
        model=None,
        directory="/tmp",
        run=run,
        paused=paused,
        created_at=tx.now,
    )
    tx.add(agent)
    tx.record(agent.attach())
    tx.add(_run(tx, agent, run, Outcome.INTERRUPTED if paused else Outcome.DONE))
    tx.add(_turn(tx, agent.id, fleet.id, TurnKind.FIRST, "Look around.", Ending.PAUSED if paused else Ending.ANSWERED))
    return agent.id


def _run(tx: Transaction, agent: Agent, id: RunId, outcome: Outcome) -> Run:
    return Run(
        id=id,
        agent=agent.id,
        fleet=agent.fleet,
        number=1,
        state=RunState.ENDED,
        outcome=outcome,
        queued_at=tx.now,
        due_at=tx.now,
        started_at=tx.now,
        ended_at=tx.now,
        output="All is well.",
    )


def _turn(tx: Transaction, agent: AgentId, fleet: FleetId, kind: TurnKind, text: str, ending: Ending) -> Turn:
    return Turn(
        id=TurnId(tx.new_id(Turn)),
        agent=agent,
        fleet=fleet,
        kind=kind,
        preamble="",
        text=text,
        ending=ending,
        output="All is well.",
        sends=1,
        created_at=tx.now,
        sent_at=tx.now,
        ended_at=tx.now,
    )


def _self(crew: Crew, agent: AgentId) -> Actor:
    return Actor(kind=ActorKind.AGENT, agent=agent, fleet=crew.fleet)


def _say(tx: Transaction, crew: Crew, agent: AgentId, chance: random.Random) -> None:
    others = [other for other in crew.agents if other != agent]
    for _ in range(EACH):
        to = chance.choice(others)
        letter = Letter(
            fleet=crew.fleet,
            sender=agent,
            from_name=f"reviewer-{crew.agents.index(agent)}",
            to=to,
            type=chance.choice([*MessageType]),
            payload=" ".join(chance.choices(WORDS, k=40)),
            recipients=[to],
            by=tx.actor.label,
        )
        (sent,) = post(tx, [letter])
        answer = json.dumps({"message_id": sent.id, "recipients": [to]})
        tx.remember(Remembered(request_id=f"req_{_letters()}", verb="message.send", fingerprint="", answer=answer))


async def _get(database: Database, crew: Crew, agent: AgentId, chance: random.Random) -> None:
    """All that was sent to an agent is brought to it, seen, and in part acknowledged."""
    waiting = await database.read(SYSTEM, lambda tx: tx.select(Delivery, agent=agent))

    def bring(tx: Transaction) -> None:
        for first in range(0, len(waiting), IN_A_PROMPT):
            _bring(tx, crew.fleet, agent, waiting[first : first + IN_A_PROMPT])

    await database.write(SYSTEM, bring)
    done = [one for one in waiting if chance.random() < ACKNOWLEDGED]
    own = _self(crew, agent)
    await database.write(own, lambda tx: [acknowledge.function(tx, own, one.message) for one in done])


def _bring(tx: Transaction, fleet: FleetId, agent: AgentId, deliveries: Sequence[Delivery]) -> None:
    messages = tx.select(Message, id=[one.message for one in deliveries])
    text = digest(messages, proposals=(), more=0, at_work=False)
    turn = _turn(tx, agent, fleet, TurnKind.DIGEST, text, Ending.ANSWERED)
    tx.add(turn)
    told = tuple(message.id for message in messages)
    tx.record(TurnComposed(fleet=fleet, agent=agent, turn=turn.id, messages=told))
    for delivery in deliveries:
        stands, event = delivery.carry(turn.id).inject(tx.now)
        tx.record(event)
        note_seen(tx, stands)


# ── the same again ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Of one table, without its counter. `marked`: which of their columns have an id in them that is to be new."""

    insert: str
    rows: list[tuple[Any, ...]]
    marked: list[int]


def _rows(connection: sqlite3.Connection, table: str) -> Rows:
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[1] not in ("seq", "cursor")]
    named, marks = ", ".join(f'"{column}"' for column in columns), ", ".join("?" * len(columns))
    rows = connection.execute(f"SELECT {named} FROM {table}").fetchall()
    marked = [
        place
        for place in range(len(columns))
        if any(isinstance(row[place], str) and REPLACED.search(row[place]) for row in rows)
    ]
    return Rows(insert=f"INSERT INTO {table} ({named}) VALUES ({marks})", rows=rows, marked=marked)


def _repeat(connection: sqlite3.Connection, first: Mapping[str, Rows]) -> None:
    """At some other time, by which ids begin."""
    renamed: dict[str, str] = {}
    time = _letters()[:2]

    def new(found: re.Match[str]) -> str:
        old = found[0]
        return renamed.get(old) or renamed.setdefault(old, old[:4] + time + _letters()[2:])

    for table, template in first.items():
        rows: Iterator[Sequence[Any]] = (_renamed(row, template.marked, new) for row in template.rows)
        connection.executemany(template.insert, _chained(connection, rows) if table == "events" else rows)


def _renamed(row: tuple[Any, ...], marked: list[int], new: Callable[[re.Match[str]], str]) -> list[Any]:
    copy = list(row)
    for place in marked:
        if copy[place]:
            copy[place] = REPLACED.sub(new, copy[place])
    return copy


def _chained(connection: sqlite3.Connection, rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    previous = connection.execute("SELECT hash FROM events ORDER BY cursor DESC LIMIT 1").fetchone()[0]
    for *content, _ in rows:
        previous = entry_hash(previous, *content)
        yield [*content, previous]


def _letters() -> str:
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in secrets.token_bytes(12))
