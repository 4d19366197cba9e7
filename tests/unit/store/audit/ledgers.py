"""A store in which much has happened, made once; and copies of it that are tampered with."""

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Table

from muster import engine
from muster.commands import leads as lead_commands
from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply, ScriptedHost
from muster.model.actor import OPERATOR, SYSTEM, Actor
from muster.model.ask import OnAsk
from muster.model.audit import Audit, Head
from muster.store.audit import audit
from muster.store.database import look_into
from repositories import repository
from unit.stage import Clock, Stage, agent_actor, at_work, hub


async def _live(folder: Path) -> None:
    """Agents that answer, fail, ask, are paused, are cancelled; a lead who is told of it."""
    gate = anyio.Event()

    async def play(wish: TurnWish) -> Reply:
        prompt = wish.parts[-1]
        if prompt == "ask":
            await host.ask(wish, "bash", "rm everything")
        if prompt == "hold":
            await gate.wait()
        if prompt.startswith("write"):
            (Path(wish.directory) / "said.txt").write_text(prompt)
        return Reply(error="no", output="so far") if prompt == "fail" else Reply(output=prompt)

    host = ScriptedHost(play)
    async with host, hub(folder, host, Clock()) as stage:
        async with at_work(stage, on_ask=OnAsk.OPERATOR):
            await _work(stage)
            fleet = await _talk(stage)
            await _decide(stage)
            await _isolate(stage)
            await _land(stage, folder / "landing")
        await _leave_waiting(stage, fleet)
        await _shape(stage)


async def _work(stage: Stage) -> None:
    lead = OPERATOR.leading("ses_lead", str(stage.project))
    await stage.engine.execute(
        lead_commands.see, SYSTEM, session="ses_lead", directory=str(stage.project), bridge="here"
    )
    agents = [{"role": "worker", "prompt": prompt, "max_attempts": 1} for prompt in ("one", "fail", "hold")]
    led = await stage.call("fleet.spawn", lead, agents=agents)
    await stage.until("run.started", agent=led["agent_ids"][2])
    stage.clock.advance(seconds=5)
    await stage.call("agent.cancel", agent_id=led["agent_ids"][2], reason="enough")
    await stage.settled(led["fleet_id"])
    asking = await stage.spawn("ask", "ask")
    for agent in asking["agent_ids"]:
        await stage.until("ask.asked", agent=agent)
    stage.clock.advance(seconds=5)
    asked = await stage.until("ask.asked", agent=asking["agent_ids"][0])
    await stage.call("ask.answer", ask_id=asked.body["ask"], allow=True)
    await stage.call("agent.cancel", agent_id=asking["agent_ids"][1])
    await stage.settled(asking["fleet_id"])
    small = await stage.spawn("one", "two", budget={"max_tokens": 5})
    await stage.settled(small["fleet_id"])
    late = await stage.call("agent.attach", fleet_id=small["fleet_id"], role="late", prompt="three")
    await stage.until("agent.paused", agent=late["agent_id"])
    cancelled = await stage.spawn("hold")
    await stage.call("fleet.cancel", fleet_id=cancelled["fleet_id"], reason="enough")
    await stage.settled(cancelled["fleet_id"])


async def _talk(stage: Stage) -> dict[str, Any]:
    """Messages that are seen, acknowledged, noted on, and one that arrives too late."""
    fleet = await stage.spawn("one", "two", "hold")
    one, two, hold = (agent_actor(agent, fleet["fleet_id"]) for agent in fleet["agent_ids"])
    await stage.until("run.started", agent=hold.agent)
    for agent in (one, two):
        await stage.until("run.ended", agent=agent.agent)
    sent = await stage.call("message.send", one, to_agent_id=two.agent, type="result", payload="it is grün")
    await stage.until("delivery.seen", message=sent["message_id"])
    await stage.call("message.acknowledge", two, message_id=sent["message_id"])
    await stage.call("receipt.write", one, message_id=sent["message_id"], action="r-ack", note="thanks")
    late = await stage.call("message.send", one, to_agent_id=hold.agent, type="result", payload="too late")
    stage.clock.advance(seconds=5)
    await stage.call("agent.cancel", agent_id=hold.agent)
    await stage.until("delivery.undeliverable", message=late["message_id"])
    told = await stage.call("message.send", to_agent_id="*", fleet_id=fleet["fleet_id"], type="alert", payload="all")
    for agent in (one, two):
        await stage.until("delivery.seen", message=told["message_id"], agent=agent.agent)
    await stage.settled(fleet["fleet_id"])
    return fleet


async def _decide(stage: Stage) -> None:
    """One proposal that is ratified after a change of mind, one that a cancellation rejects, one that stays open."""
    fleet = await stage.spawn("a", "b", "c")
    await stage.settled(fleet["fleet_id"])
    one, two, three = (agent_actor(agent, fleet["fleet_id"]) for agent in fleet["agent_ids"])

    async def vote(voter: Actor, proposal: str, approve: bool) -> None:
        await stage.call("decision.cast", voter, message_id=proposal, approve=approve)

    deadline = (stage.clock() + timedelta(days=1)).isoformat()
    wish = {"subject": "ship it?", "quorum": 1, "deadline": deadline, "required_signoffs": [three.agent]}
    ratified = (await stage.call("decision.open", one, **wish))["message_id"]
    stage.clock.advance(seconds=5)
    for voter, approve in ((two, False), (two, True), (three, True)):
        await vote(voter, ratified, approve)
    rejected = (await stage.call("decision.open", one, subject="stop?", quorum=2))["message_id"]
    await vote(two, rejected, True)
    await stage.call("agent.cancel", agent_id=three.agent)
    open_ = await stage.call("decision.open", one, subject="go on?", quorum=1, voters=[one.agent, two.agent])
    await vote(one, open_["message_id"], False)
    await stage.settled(fleet["fleet_id"])


async def _isolate(stage: Stage) -> None:
    """An agent in a worktree of its own, of which a snapshot is brought back."""
    folder = stage.path.parent / "repository"
    repository(folder)
    agents = [{"role": "worker", "prompt": "one"}]
    fleet = await stage.call("fleet.spawn", agents=agents, project=str(folder))
    await stage.settled(fleet["fleet_id"])
    await stage.call("worktree.restore", agent_id=fleet["agent_ids"][0], branch="back")


async def _land(stage: Stage, folder: Path) -> None:
    """Work that landed, was undone and landed again; work that conflicts with it; work that there is none of."""
    repository(folder, **{"said.txt": "nothing\n"})
    agents = [{"role": "worker", "prompt": prompt} for prompt in ("write one", "write two", "three")]
    fleet = await stage.call("fleet.spawn", agents=agents, project=str(folder))
    results = (await stage.settled(fleet["fleet_id"]))["results"]
    (landed,) = [result["agent_id"] for result in results if result["merge"]["state"] == "landed"]
    stage.clock.advance(seconds=5)
    await stage.call("merge.undo", agent_id=landed)
    await stage.call("merge.land", agent_id=landed, include_uncommitted=True)


async def _leave_waiting(stage: Stage, fleet: dict[str, Any]) -> None:
    """One message that its recipient took itself, and one that nobody has brought yet."""
    one, two, _ = (agent_actor(agent, fleet["fleet_id"]) for agent in fleet["agent_ids"])
    await stage.call("message.send", one, to_agent_id=two.agent, type="question", payload="taken?")
    await stage.call("inbox.read", two)
    await stage.call("message.send", one, to_agent_id=two.agent, type="result", payload="waits")


async def _shape(stage: Stage) -> None:
    """Two versions of a template, of which one was deleted."""
    for _ in range(2):
        await stage.call("template.save", name="crew", agents=[{"role": "r", "prompt": "p"}])
    stage.clock.advance(seconds=5)
    await stage.call("template.delete", name="crew", version=1)


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lived")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "READ_SECONDS", 20)
        anyio.run(_live, folder)
    return folder / "muster.db"


@pytest.fixture
def ledger(lived: Path, tmp_path: Path) -> Path:
    """A copy of its own."""
    return Path(shutil.copy(lived, tmp_path / "copy.db"))


def tamper(ledger: Path, *statements: str) -> None:
    """What somebody does who has the file and SQLite, and no respect."""
    with closing(sqlite3.connect(ledger, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode=DELETE")
        for statement in statements:
            assert file.execute(statement).rowcount != 0, f"tampers with nothing: {statement}"


def look(ledger: Path, noted: Head | None = None) -> Audit:
    with look_into(ledger, Clock()) as reading:
        return audit(reading, noted)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def asked(ledger: Path, question: str) -> str:
    """The one value that a SELECT finds."""
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as file:
        return str(file.execute(question).fetchone()[0])


def copied(table: Table, row: str, **changes: str) -> str:
    """Write a row once more, under another id and with some changes."""
    shown = {"seq": "NULL", "id": "'copy'", **changes}
    values = ", ".join(shown.get(column.name, column.name) for column in table.columns)
    return f"INSERT INTO {table.name} SELECT {values} FROM {table.name} WHERE id = {row}"
