"""The hosts on which the suite plays, each with what a test needs to steer it."""

import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import anyio
import pytest

from muster.hosts.contract import Connection, Host, ServerProcess, ServerWish, Sight, Standing, TurnWish
from muster.hosts.opencode.host import OpenCodeHost
from muster.hosts.scripted import Reply, ScriptedHost
from muster.model.ask import HostAsk, Option, Question
from muster.model.facts import Persona
from muster.model.ids import ServerId
from muster.rehearsal import Kind, Rehearsal, opencode_config, parse_scenario
from muster.rehearsal.home import throwaway_home

REPOSITORY = Path(__file__).parents[3]
OPENCODE = shutil.which("opencode", path=f"{REPOSITORY}/node_modules/.bin:{os.environ['PATH']}")

HOLD = "Please hold."
FAIL = "Please fail."
ASK_LEAVE = "Please ask for leave."
ASK_QUESTION = "Please ask a question."
SCENARIO = f"""
agents:
  - name: hold
    match: {{text: {HOLD}}}
    steps: []
    then: {{say: released, hold: gate}}
  - name: fail
    match: {{text: {FAIL}}}
    steps: []
    then: {{status: 400, body: "a scripted failure"}}
  - name: leave
    match: {{text: {ASK_LEAVE}}}
    steps:
      - call: {{tool: read, arguments: {{filePath: /etc/hostname}}}}
    then: {{say: "${{read}}"}}
  - name: question
    match: {{text: {ASK_QUESTION}}}
    steps:
      - call:
          tool: question
          arguments:
            questions:
              - {{question: "Which?", header: one, options: [{{label: red, description: warm}}], multiple: true}}
    then: {{say: "${{question}}"}}
  - name: echo
    steps: []
    then: {{say: "${{user}}", usage: {{input: 9, output: 3}}}}
"""
WITHIN_SECONDS = 30


class Stage(Protocol):
    """A host, and the hands on its model."""

    host: Host

    @property
    def asked(self) -> int:
        """How often the model was asked."""
        ...

    async def held(self) -> None:
        """Wait until the model holds an answer back."""
        ...

    def release(self) -> None:
        """Let it go."""
        ...

    def crash(self, wish: ServerWish, process: ServerProcess) -> None:
        """End the server without a word to anybody."""
        ...


@dataclass(slots=True, kw_only=True)
class OpenCodeStage:
    host: OpenCodeHost
    rehearsal: Rehearsal

    @property
    def asked(self) -> int:
        return sum(request.kind is Kind.CHAT for request in self.rehearsal.requests)

    async def held(self) -> None:
        await self.rehearsal.held("gate", within=WITHIN_SECONDS)

    def release(self) -> None:
        self.rehearsal.release("gate")

    def crash(self, wish: ServerWish, process: ServerProcess) -> None:
        os.kill(process.pid, signal.SIGKILL)


@dataclass(slots=True, kw_only=True)
class Player:
    """The scripted host's counterpart of the scenario."""

    asked: int = 0
    holding: anyio.Event = field(default_factory=anyio.Event)
    gate: anyio.Event = field(default_factory=anyio.Event)
    host: ScriptedHost = field(init=False)

    def __post_init__(self) -> None:
        self.host = ScriptedHost(self.play)

    async def play(self, wish: TurnWish) -> Reply:
        self.asked += 1
        text = "\n".join(wish.parts)
        if FAIL in text:
            return Reply(error="a scripted failure")
        if ASK_LEAVE in text:
            reply = await self.host.ask(wish, "external_directory", "/etc/*")
            return Reply(output="allowed" if reply.allowed else reply.words[0])
        if ASK_QUESTION in text:
            red = Option(label="red", description="warm")
            reply = await self.host.ask(wish, "Which?", "", Question(question="Which?", options=(red,), multiple=True))
            return Reply(output=reply.words[0])
        if HOLD in text:
            self.holding.set()
            await self.gate.wait()
            return Reply(output="released")
        return Reply(output=text)


@dataclass(slots=True, kw_only=True)
class ScriptedStage:
    host: ScriptedHost
    player: Player

    @property
    def asked(self) -> int:
        return self.player.asked

    async def held(self) -> None:
        with anyio.fail_after(WITHIN_SECONDS):
            await self.player.holding.wait()

    def release(self) -> None:
        self.player.gate.set()

    def crash(self, wish: ServerWish, process: ServerProcess) -> None:
        self.host.crash(wish.id)


def user_environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a user who has nothing but a home."""
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("DATA", "CONFIG", "STATE", "CACHE")}
    fixed = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "PATH": os.environ["PATH"], "HOME": str(home)}
    return fixed | folders | extra


@asynccontextmanager
async def opencode_stage(
    home: Path, scenario: str = SCENARIO, *, roster: Sequence[Persona] = (), **extra: str
) -> AsyncIterator[OpenCodeStage]:
    """In a home that looks used: into a new one OpenCode would first install packages, for longer than a test takes."""
    if OPENCODE is None:
        pytest.skip("SKIPPED FOR WANT OF opencode: npm install runs this test")
    async with Rehearsal.serve(parse_scenario(scenario)) as rehearsal:
        config = json.dumps(opencode_config(rehearsal.url))
        env = {"PATH": os.environ["PATH"], **throwaway_home(home), "OPENCODE_CONFIG_CONTENT": config, **extra}
        host = OpenCodeHost(state=home, program=OPENCODE, env=env, roster=roster)
        yield OpenCodeStage(host=host, rehearsal=rehearsal)


@asynccontextmanager
async def scripted_stage() -> AsyncIterator[ScriptedStage]:
    player = Player()
    async with player.host as host:
        yield ScriptedStage(host=host, player=player)


@dataclass(slots=True, kw_only=True)
class Served:
    """A server that runs, and a connection to it."""

    stage: Stage
    wish: ServerWish
    process: ServerProcess
    connection: Connection

    async def restart(self) -> "Served":
        """The next generation, in the same folder."""
        process = await self.stage.host.start(self.wish)
        connection = self.stage.host.connect(self.wish, process)
        return Served(stage=self.stage, wish=self.wish, process=process, connection=connection)


@asynccontextmanager
async def serving(stage: Stage, folder: Path) -> AsyncIterator[Served]:
    wish = server_wish(folder)
    process = await stage.host.start(wish)
    connection = stage.host.connect(wish, process)
    try:
        yield Served(stage=stage, wish=wish, process=process, connection=connection)
    finally:
        await connection.aclose()
        await stage.host.stop(wish.id)


def server_wish(folder: Path) -> ServerWish:
    """The id is unlike that of every other test's server, in another run of the tests too: a start ends its likes."""
    return ServerWish(
        id=ServerId(f"srv_{sha256(bytes(folder)).hexdigest()[:12]}"),
        generation=1,
        folder=folder,
        log=folder.with_suffix(".log"),
        hub_file=folder / "hub.json",
        password="a password",
        token="a token",
    )


async def asked(connection: Connection, directory: str) -> HostAsk:
    """The one thing that the sessions of a directory stand still for, for a bounded time."""
    with anyio.fail_after(WITHIN_SECONDS):
        while not (asks := await connection.asks(directory)):
            await anyio.sleep(0.05)
    (ask,) = asks
    return ask


async def settled(connection: Connection, turn: TurnWish, *standings: Standing) -> Sight:
    """Look until a turn stands as wished, for a bounded time."""
    with anyio.fail_after(WITHIN_SECONDS):
        while (seen := await connection.look(turn)).standing not in standings:
            await anyio.sleep(0.05)
    return seen
