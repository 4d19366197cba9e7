"""Messages in bad weather: agents and their operator talk while the hub and the host servers are killed.

The proof is read outside of Muster, in the last model request of each conversation that was answered: what the model
was given there is all that its recipient was ever told. `MUSTER_CHAOS_MESSAGES=18404` makes a longer run of it.
"""

import json
import os
import random
import re
import sqlite3
import time
import uuid
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from e2e.stage import Stage, stage, wants_opencode
from e2e.test_crashes import servers
from muster.errors import NoHub, Unavailable
from muster.rehearsal import opencode_config
from muster.surfaces.client import Hub

MESSAGES = int(os.environ.get("MUSTER_CHAOS_MESSAGES", "1000"))
SECONDS = 480 + MESSAGES // 10
KILLS = 20
AGENTS = [f"agent{number}" for number in range(10)]
TYPES = ["handoff", "question", "result", "alert", "request_help"]
SENDS_PER_STEP = max(4, MESSAGES // 1000)
STEPS = MESSAGES // 4 // len(AGENTS) // SENDS_PER_STEP  # so that they say a quarter of it all
UNLIMITED = {"wakeups_per_pair": 0, "wakeups_per_fleet": 0, "max_turns_per_agent": 0, "max_tokens_per_fleet": 0}
BROUGHT = re.compile(rf"^(msg_\S+) (?:{'|'.join(TYPES)}) from ([^ :]+).*:\n> (.*)$", re.M)

pytestmark = [pytest.mark.anyio, wants_opencode, pytest.mark.timeout(SECONDS + 60)]

Told = tuple[str, str, str, str]
"""The recipient's and the sender's name, a message's id and its words."""


@pytest.mark.parametrize("seed", [1, 2])
async def test_each_message_is_shown_once_however_often_hub_and_host_servers_are_killed(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    async with stage(tmp_path, scenario(chance), serve=False) as on:
        on.env["OPENCODE_CONFIG_CONTENT"] = json.dumps(
            opencode_config(on.rehearsal.url) | {"compaction": {"auto": False, "prune": False}}
        )
        await on.start_hub(**UNLIMITED)
        began = time.monotonic()
        fleet = await on.spawn(*[{"role": name, "prompt": "Talk."} for name in AGENTS])
        weather = Weather(on, fleet, chance)
        await weather.last()
        await settled(on, fleet)

        wanted = accepted(on)
        shown = [told for name in AGENTS for told in shown_to(on, name)]
        states = dict(rows(on, "SELECT state, count(*) FROM deliveries GROUP BY state"))
        figures = {"seconds": round(time.monotonic() - began), "kills": dict(weather.kills), "states": states}
        figures |= {"requests": len(on.chats()), "deliveries": len(wanted)}
        (tmp_path / "figures.json").write_text(json.dumps(figures))
        assert on.rehearsal.failures == ()
        lost, twice = Counter(wanted) - Counter(shown), Counter(shown) - Counter(wanted)
        assert {"lost": lost, "twice": twice} == {"lost": Counter(), "twice": Counter()}
        assert by_pair(shown) == by_pair(wanted)  # what one told another is in order
        assert states.keys() <= {"seen", "acknowledged"}
        assert len({id for _, _, id, _ in wanted}) >= MESSAGES
        audit = await on.call("ledger.verify")
        assert audit["errors"] == 0, audit["findings"]


# ── what happens ─────────────────────────────────────────────────────────────────────────────────


def scenario(chance: random.Random) -> str:
    """Each agent's model, whenever it is called: it sends, or takes and acknowledges, and ends its turn."""
    scripts = [_script(chance, name) for name in AGENTS]
    return json.dumps({"agents": scripts})


def _script(chance: random.Random, name: str) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"say": "ready"}]
    for number in range(STEPS):
        steps.append({"calls": [_send(chance, name, f"{name}-{number}-{call}") for call in range(SENDS_PER_STEP)]})
        steps += [{"calls": _takes()}] if number % 3 == 2 else []
        steps.append({"say": "sent"})
    usage = {"usage": {"input": 10, "output": 10}}
    return {
        "name": name,
        "match": {"text": f"You are {name} ("},
        "steps": [step | usage for step in steps],
        "then": {"say": "noted"} | usage,
    }


def _send(chance: random.Random, sender: str, words: str) -> dict[str, Any]:
    to = "*" if chance.random() < 0.02 else chance.choice([name for name in AGENTS if name != sender])
    return {"tool": "send_message", "arguments": _message(chance, to, words)}


def _takes() -> list[dict[str, Any]]:
    first = {"message_id": "${user ~ (msg_[^ ]+)}"}
    return [{"tool": "get_inbox", "arguments": {"limit": 5}}, {"tool": "ack_message", "arguments": first}]


def _message(chance: random.Random, to: str, words: str) -> dict[str, Any]:
    return {"to_agent_id": to, "type": chance.choice(TYPES), "payload": words}


@dataclass
class Weather:
    """Between any two killings the operator says its part, while the agents say theirs."""

    on: Stage
    fleet: str
    chance: random.Random
    sent: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    _shaken_at: int = 0

    async def last(self) -> None:
        share = MESSAGES * 3 // 4 // KILLS
        for _ in range(KILLS):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._say, share)
                await anyio.sleep(self.chance.uniform(0, 3 + MESSAGES / 1000))  # the moment is what is tried
                await self._kill()
        ((so_far,),) = rows(self.on, "SELECT count(*) FROM messages")
        await self._say(MESSAGES - so_far)

    async def _say(self, many: int) -> None:
        while many > 0:
            batch = min(many, self.chance.choice([1, 1, 1, 5, 20]))
            messages = [self._message() for _ in range(batch)]
            await persistently(self.on, "message.send_all", messages=messages)
            many -= batch

    def _message(self) -> dict[str, Any]:
        self.sent += 1
        to = "*" if self.chance.random() < 0.02 else self.chance.choice(AGENTS)
        return _message(self.chance, to, f"operator-{self.sent}") | {"fleet_id": self.fleet}

    async def _kill(self) -> None:
        what = self.chance.choice(["hub"] * 5 + ["servers"] * 3 + ["both"] * 2)
        self.kills[what] += 1
        if what != "hub":
            await self._nobody_is_alone()
            self._shaken_at = (await persistently(self.on, "event.list", limit=1))["cursor"]
            for server in servers(self.on):
                server.kill()
        if what != "servers":
            await self.on.kill_hub()
            await self.on.start_hub(**UNLIMITED)

    async def _nobody_is_alone(self) -> None:
        """Whoever is alone on a server when it dies twice in a row is given up, for it may be its doing."""

        def follow() -> None:
            is_back, started = self._shaken_at == 0, 0
            with Hub.find(self.on.home, environment={}) as hub:
                for event in hub.events(after=self._shaken_at):
                    is_back = is_back or event["name"] == "server.stopped"
                    started += is_back and event["name"] == "run.started"
                    if started > 1 or (is_back and event["body"].get("outcome") == "done"):
                        return

        with anyio.fail_after(180):
            await anyio.to_thread.run_sync(follow, abandon_on_cancel=True)


async def persistently(on: Stage, verb: str, **arguments: Any) -> Any:
    """Call until a hub is there that answers; done once all the same."""
    request = {} if verb == "event.list" else {"request_id": str(uuid.uuid4())}
    with anyio.fail_after(60):
        while True:
            try:
                return await on.call(verb, **arguments, **request)
            except (NoHub, Unavailable):
                await anyio.sleep(0.1)


async def settled(on: Stage, fleet: str) -> None:
    """Nobody works, and nothing waits for anybody."""
    answer = await on.call("fleet.wait", fleet_id=fleet, timeout_seconds=SECONDS)
    assert answer["status"] == "complete", json.dumps(answer, indent=1)


# ── what came of it ──────────────────────────────────────────────────────────────────────────────


def rows(on: Stage, statement: str) -> list[Any]:
    with closing(sqlite3.connect(f"file:{on.home / 'muster.db'}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def accepted(on: Stage) -> list[Told]:
    """What a hub took in, for each recipient, in order."""
    return rows(
        on,
        "SELECT a.name, m.from_name, m.id, m.payload FROM messages m JOIN deliveries d ON d.message = m.id"
        " JOIN agents a ON a.id = d.agent ORDER BY m.seq",
    )


def shown_to(on: Stage, name: str) -> list[Told]:
    """What stands in an agent's conversation as the model was last given it, in order.

    What its inbox showed it again, because it asked, was not brought to it again.
    """
    chats = [chat for chat in on.chats(name) if chat.outcome == "answered"]
    assert len({chat.session for chat in chats}) == 1
    shown: list[Told] = []
    for message in chats[-1].messages:
        if message.role == "user":
            shown += [(name, sender, id, words) for id, sender, words in BROUGHT.findall(message.text)]
        elif message.role == "tool" and message.text.startswith('{"messages"'):
            inbox = json.loads(message.text)["messages"]
            taken = [(name, one["from_name"], one["message_id"], one["payload"]) for one in inbox]
            shown += [told for told in taken if told not in shown]
    return shown


def by_pair(told: list[Told]) -> dict[tuple[str, str], list[str]]:
    pairs: dict[tuple[str, str], list[str]] = {}
    for recipient, sender, id, _ in told:
        pairs.setdefault((recipient, sender), []).append(id)
    return pairs
