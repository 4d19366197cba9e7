"""What messages cost when few and when a million are stored: sent, read, acknowledged, asked about.

One hub for each size, all of them up at once and asked in turn, so that what else the machine does meets all alike.
"""

import asyncio
import random
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import past
from bench.load import Door, Hub, Pace, press
from e2e.programs import Machine, machine
from muster.home import Home
from muster.model.ids import AgentId
from muster.surfaces.tokens import Keyring

SIZES = (0, 10_000, 100_000, 1_000_000)
MEMBERS = 50
ROUNDS = 5
SECONDS = 1.0
DOOR_CALLS = 200
BATCH = 1000
WANTED: dict[str, tuple[str, str]] = {
    "`send_message` over HTTP, p50": ("flat within 20 %", ""),
    "the same, p99": ("", ""),
    "the same, CPU of the hub": ("", ""),
    "`send_message` over MCP stdio, p50": ("≤ 2 ms", "0.64 ms; 3.45 ms at 10,000"),
    "the same, p99 ": ("", "10.6 ms; 22 ms at 10,000"),
    "`send_message`, 50 clients, `synchronous=FULL`": ("≥ 3,000 a second", "696 a second; 338 at 10,000"),
    "the same, CPU of the hub ": ("", ""),
    "`get_inbox`, 50 of thousands, p50": ("≤ 3 ms", "63 ms at 10,000 (all of them)"),
    "`get_inbox`, empty, p50": ("≤ 3 ms", "20.5 ms at 10,000; 492 ms at 100,000"),
    "`ack_message`, p50": ("≤ 3 ms", "21.8 ms at 10,000; 448 ms at 100,000"),
    "`get_receipts`, p50": ("≤ 3 ms", "19.4 ms at 10,000; 703 ms at 100,000"),
    "1,000 messages in one `send_messages`": ("≤ 100 ms", "32 ms; 2,100 ms one by one"),
    "the newest 100 of the journal, p50": ("", ""),
    "`muster up`, until the hub answers": ("", ""),
}
"""What is measured: what is wanted of it, and what Meshfleet takes (reference figures, on a quiet machine)."""


@dataclass(kw_only=True)
class Subject:
    """A hub over a store of one size. `agents` stand still; the first has a long inbox, the last an empty one."""

    on: Machine
    size: int
    agents: list[str]
    found: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def operator(self) -> Hub:
        return Hub.told(self.on.hub_json)

    def token(self, agent: str) -> str:
        return Keyring.at(Home(folder=self.on.home).key).agent(AgentId(agent))

    def member(self, agent: str) -> Hub:
        told = self.operator
        return Hub(host=told.host, port=told.port, token=self.token(agent))

    def some_messages(self, number: int) -> list[str]:
        """Of all, at random."""
        with sqlite3.connect(f"file:{self.on.home / 'muster.db'}?mode=ro", uri=True) as connection:
            (newest,) = connection.execute("SELECT max(seq) FROM messages").fetchone()
            places = random.sample(range(1, newest + 1), min(number, newest))
            marks = ", ".join("?" * len(places))
            found = connection.execute(f"SELECT id FROM messages WHERE seq IN ({marks})", places)
            return [id for (id,) in found]


def table() -> str:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        subjects = [stack.enter_context(_subject(*made)) for made in _stores(Path(folder))]
        for _ in range(ROUNDS):
            for subject in subjects:
                _measure(subject)
    head = ["stored", *(f"{subject.size:,}" for subject in subjects), "wanted", "Meshfleet"]
    rows = [_row(name, [subject.found[name] for subject in subjects], *WANTED[name]) for name in WANTED]
    return "\n".join([_line(head), _line(["---"] * len(head)), *rows])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(name: str, found: list[list[float]], wanted: str, rival: str) -> str:
    unit = "a second" if "clients" in name and "CPU" not in name else "ms"
    told = [statistics.median(one) for one in found]
    cells = [f"{one:,.0f}" if unit == "a second" or one >= 100 else f"{one:.2f}" for one in told]
    return _line([f"{name.strip()}, {unit}", *cells, wanted, rival])


def _stores(folder: Path) -> Iterator[tuple[Path, int, list[str]]]:
    """Each larger one begins as a copy of the one before it."""
    growing = folder / "growing.db"
    still, crews = asyncio.run(past.begin(growing, MEMBERS))
    for size in SIZES:
        if size == past.FIRST:
            first = asyncio.run(past.live_through(growing, crews))
        elif size:
            past.go_on(growing, first, size)
        home = folder / str(size)
        (home / "muster").mkdir(mode=0o700, parents=True)
        (home / "muster" / "muster.db").write_bytes(growing.read_bytes())
        yield home, size, list(still.agents)
    growing.unlink()


@contextmanager
def _subject(folder: Path, size: int, agents: list[str]) -> Iterator[Subject]:
    with machine(folder) as on:
        subject = Subject(on=on, size=size, agents=agents)
        began = time.perf_counter()
        assert (ended := on.muster("up")).code == 0, ended.err
        subject.found["`muster up`, until the hub answers"].append((time.perf_counter() - began) * 1000)
        yield subject


def _measure(subject: Subject) -> None:
    first, *others, last = subject.agents
    sender, found = subject.member(first), subject.found

    def send(number: int) -> bytes:
        return sender.verb("message.send", to_agent_id=others[number % len(others)], type="result", payload=_payload())

    for _ in range(2):
        found["1,000 messages in one `send_messages`"].append(_batch(subject, first))
    alone = _noted(subject, "the same, CPU of the hub", lambda: press(sender, send, clients=1, seconds=SECONDS))
    found["`send_message` over HTTP, p50"].append(alone.median)
    found["the same, p99"].append(alone.slowest)
    crowd = _noted(subject, "the same, CPU of the hub ", lambda: press(sender, send, clients=50, seconds=SECONDS))
    found["`send_message`, 50 clients, `synchronous=FULL`"].append(crowd.per_second)
    took = _over_stdio(subject, first, others)
    found["`send_message` over MCP stdio, p50"].append(statistics.median(took))
    found["the same, p99 "].append(sorted(took)[len(took) * 99 // 100])
    _read(subject, first, last)


def _payload() -> str:
    return " ".join(random.choices(past.WORDS, k=40))


def _noted(subject: Subject, name: str, run: Callable[[], Pace]) -> Pace:
    """Also how much of the processor the hub took for each."""
    before = _busy(subject.on.hub)
    began = time.perf_counter()
    pace = run()
    answered = pace.per_second * (time.perf_counter() - began)
    subject.found[name].append((_busy(subject.on.hub) - before) * 1000 / answered)
    return pace


def _busy(hub: psutil.Process) -> float:
    times = hub.cpu_times()
    return times.user + times.system


def _batch(subject: Subject, to: str) -> float:
    wishes = [{"to_agent_id": to, "type": "result", "payload": _payload()} for _ in range(BATCH)]
    began = time.perf_counter()
    subject.operator.call("message.send_all", messages=wishes)
    return (time.perf_counter() - began) * 1000


def _over_stdio(subject: Subject, sender: str, others: list[str]) -> list[float]:
    with Door.opened({**subject.on.env, "MUSTER_TOKEN": subject.token(sender)}) as door:
        return [
            door.tool("send_message", to_agent_id=others[number % len(others)], type="result", payload=_payload())
            for number in range(DOOR_CALLS)
        ]


def _read(subject: Subject, reader: str, idler: str) -> None:
    own, found = subject.member(reader), subject.found
    waiting = own.call("inbox.read", limit=BATCH)["messages"]
    ids, some = [one["message_id"] for one in waiting], subject.some_messages(BATCH)
    asked: dict[str, Callable[[int], bytes]] = {
        "`get_inbox`, 50 of thousands, p50": lambda _: own.verb("inbox.read"),
        "`get_inbox`, empty, p50": lambda _: subject.member(idler).verb("inbox.read"),
        "`ack_message`, p50": lambda n: own.verb("message.acknowledge", message_id=ids[n % len(ids)]),
        "`get_receipts`, p50": lambda n: subject.operator.verb("receipt.list", message_id=some[n % len(some)]),
        "the newest 100 of the journal, p50": lambda _: subject.operator.verb("event.list", limit=100),
    }
    for name, ask in asked.items():
        found[name].append(press(own, ask, clients=1, seconds=SECONDS / 3).median)
