"""A running OpenCode server, spoken to."""

import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any  # Any: OpenCode's JSON, which has no finite type
from urllib.parse import unquote

import anyio

from muster.errors import HostAway, HostFailed, HostRefused, SessionLost
from muster.hosts.contract import (
    ArrivalsWish,
    Hint,
    ReplyWish,
    ServerProcess,
    ServerWish,
    SessionWish,
    Sight,
    Standing,
    TurnWish,
)
from muster.hosts.opencode import arrivals, translate
from muster.hosts.opencode.client import Client, healthy_version, together
from muster.hosts.opencode.tally import DEPTH, Tally
from muster.hosts.opencode.translate import Reading
from muster.model.ask import HostAsk
from muster.model.delivery import Arrival
from muster.model.facts import Line
from muster.model.ids import SessionId

HEALTHY_SECONDS = 3
UNANSWERED = (Standing.ABSENT, Standing.STALLED)
RUN = "muster_run"
AGENT = "muster_agent"
# OpenCode tells of the newest 100 sessions unless a number is given.
ALL_SESSIONS = 1_000_000
NEWEST_MESSAGES = 8
CHANGING = ("edit", "bash", "task")  # a sub-agent has rights of its own
CLOCKS_SECONDS = 60  # how far OpenCode's clock and ours may lie apart
# OpenCode is idle for a moment before its loop begins, and before an error stands in the message (0.7 s in a cold
# directory). A session that has stood still for longer than this stands still.
MOMENT_SECONDS = 3.0
LOOK_SECONDS = 0.1
STIR_SECONDS = 20.0
RECONNECT_SECONDS = (0.1, 5.0)


class OpenCodeConnection:
    """One server. What it remembers of checks and refusals saves calls and time; no truth rests on it."""

    def __init__(self, wish: ServerWish, process: ServerProcess) -> None:
        self._wish = wish
        self._process = process
        self._client = Client(server=wish.id, port=process.port, password=wish.password)
        self._offered: set[tuple[str, str, str | None]] = set()
        self._refusals: dict[SessionId, str] = {}
        self._parents: dict[SessionId, SessionId] = {}
        self._stirred: dict[SessionId, float] = {}
        self._checking = anyio.Lock()
        self._loaded: set[str] = set()
        self._loading = anyio.Lock()
        self._heard_at = 0.0
        self._tally = Tally(self._client)

    async def healthy(self) -> bool:
        """A server that does not answer but tells of events meanwhile is busy, not stuck."""
        asked_at = time.monotonic()
        port, password = self._process.port, self._wish.password
        answered = await healthy_version(port=port, password=password, seconds=HEALTHY_SECONDS) is not None
        return answered or self._heard_at > asked_at

    async def open_session(self, wish: SessionWish) -> SessionId:
        """One directory after another: those that OpenCode loads beside each other come late all together."""
        _require_plain(wish.directory)
        if wish.directory in self._loaded:
            return await self._open_session(wish)
        async with self._loading:
            session = await self._open_session(wish)
            self._loaded.add(wish.directory)
            return session

    async def _open_session(self, wish: SessionWish) -> SessionId:
        start = 0 if wish.since is None else int((wish.since.timestamp() - CLOCKS_SECONDS) * 1000)
        for session in await self._client.get("/session", wish.directory, limit=ALL_SESSIONS, start=start):
            if (session.get("metadata") or {}).get(RUN) == wish.run:
                return SessionId(session["id"])
        created = await self._client.post("/session", wish.directory, _session(wish))
        return SessionId(created["id"])

    async def send(self, wish: TurnWish) -> None:
        """Looks first at what was sent before: OpenCode would run a turn again that a later one was answered with."""
        stands = await self._find(wish.session, wish.directory, translate.message_id(wish.id))
        before = await self._read(wish) if stands else None
        if before and translate.sight(before).standing in (Standing.ANSWERED, Standing.OPEN):
            return
        await self._require_offered(wish)
        self._refusals.pop(wish.session, None)
        path = f"/session/{wish.session}/prompt_async"
        await self._client.post(path, wish.directory, translate.prompt(wish), session=wish.session)
        if before:
            await self._await_begin(wish, before)

    async def look(self, wish: TurnWish) -> Sight:
        reading = await self._read(wish)
        seen = translate.sight(reading)
        if seen.standing is not Standing.STALLED or reading.last_moved_at() < self._process.started_at:
            return seen
        with anyio.move_on_after(MOMENT_SECONDS):
            while seen.standing is Standing.STALLED:
                await anyio.sleep(LOOK_SECONDS)
                seen = translate.sight(await self._read(wish))
        words = self._refusals.get(wish.session)
        return replace(seen, standing=Standing.FAILED, error=words) if words and seen.standing in UNANSWERED else seen

    async def arrivals(self, wish: ArrivalsWish) -> Mapping[str, Arrival]:
        """The status comes first: a call that ends meanwhile is then pending, and not taken for lost."""
        statuses = await self._client.get("/session/status", wish.directory) if wish.calls else {}
        own = f"/session/{wish.session}/message"
        newest = await self._client.get(own, wish.directory, session=wish.session, limit=NEWEST_MESSAGES)
        found: dict[str, Arrival] = {}
        for turn in wish.turns:
            prompt = await self._among(newest, wish.session, wish.directory, translate.message_id(turn))
            found[turn] = arrivals.prompt_arrival(prompt, newest)
        for mark in wish.calls:
            id, _, call = mark.partition(":")
            message = await self._among(newest, wish.session, wish.directory, id)
            at_work = wish.session in statuses
            found[mark] = arrivals.call_arrival(message, call, newest, at_work=at_work)
        for name, moment in wish.moments.items():
            found[name] = arrivals.moment_arrival(moment, newest)
        return found

    async def abort(self, session: SessionId, directory: str) -> None:
        """OpenCode (1.18) keeps what an aborted session asked for, so that is taken back too."""
        try:
            await self._client.post(f"/session/{session}/abort", directory, {}, session=session)
        except SessionLost:
            return
        for ask in await self.asks(directory):
            if ask.session == session:
                await self._answer(ask.id, directory, *translate.withdrawal(ask))

    async def asks(self, directory: str) -> tuple[HostAsk, ...]:
        permissions = await self._client.get("/permission", directory)
        questions = await self._client.get("/question", directory)
        told = [(one, translate.permission_ask) for one in permissions]
        told += [(one, translate.question_ask) for one in questions]
        found = [read(one, await self._root(one["sessionID"], directory)) for one, read in told]
        return tuple(found)

    async def reply(self, wish: ReplyWish) -> bool:
        return await self._answer(wish.id, wish.directory, *translate.reply(wish))

    async def _answer(self, ask: str, directory: str, path: str, body: dict[str, Any]) -> bool:
        try:
            await self._client.post(path, directory, body, session=ask)
        except SessionLost:  # what OpenCode says of an ask that is there no more
            return False
        return True

    async def _root(self, session: str, directory: str) -> SessionId:
        """The session that a sub-agent's descends from; of one that is lost on the way, as far as it is known."""
        for _ in range(DEPTH):
            try:
                parent = (await self._client.get(f"/session/{session}", directory, session=session)).get("parentID")
            except SessionLost:
                break
            if parent is None:
                break
            session = parent
        return SessionId(session)

    async def transcript(self, session: SessionId, directory: str) -> tuple[Line, ...]:
        return translate.lines(await self._client.get(f"/session/{session}/message", directory, session=session))

    async def forget(self, directory: str) -> None:
        await self._client.post("/instance/dispose", directory, {})

    async def hints(self) -> AsyncIterator[Hint]:
        least, most = RECONNECT_SECONDS
        pause = least
        while True:
            try:
                async for hint in self._heard():
                    pause = least
                    yield hint
            except (HostAway, HostFailed):
                pause = min(pause * 2, most)
            await anyio.sleep(pause)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _heard(self) -> AsyncIterator[Hint]:
        """One connection's worth of hints. The first says that anything may have moved before it stood."""
        tools: dict[SessionId, str] = {}
        async for event in self._client.events():
            self._heard_at = time.monotonic()
            if refusal := translate.refusal(event):
                self._refusals[refusal[0]] = refusal[1]
            if parent := translate.parent(event):
                self._parents[parent[0]] = parent[1]
            if event["payload"]["type"] == "server.connected":
                yield Hint(session=None, turning=True)
            elif (hint := translate.hint(event, tools)) and self._is_news(hint):
                yield hint if hint.session not in self._parents else self._of_root(hint, tools)

    def _is_news(self, hint: Hint) -> bool:
        """Of what only shows that a session lives, one every so often is enough."""
        session, now = hint.session or SessionId(""), time.monotonic()
        if not hint.stirring_only or now - self._stirred.get(session, 0.0) > STIR_SECONDS:
            self._stirred[session] = now
            return True
        return False

    def _of_root(self, hint: Hint, tools: Mapping[SessionId, str]) -> Hint:
        """What a sub-agent does is seen at the session that it works for."""
        session = hint.session
        while session in self._parents:
            session = self._parents[session]
        tool = tools.get(session) if session else None
        return Hint(session=session, turning=hint.turning, tool=tool, stirring_only=not hint.turning)

    async def _read(self, wish: TurnWish) -> Reading:
        """The status comes first: read after the messages it could be idle while the last answer was not seen yet."""
        own = f"/session/{wish.session}"
        ask = partial(self._client.get, directory=wish.directory, session=wish.session)
        statuses = await self._client.get("/session/status", wish.directory)
        newest, session, children = await together(
            partial(ask, f"{own}/message", limit=NEWEST_MESSAGES), partial(ask, own), partial(ask, f"{own}/children")
        )
        return Reading(
            status=statuses.get(wish.session),
            question=await self._among(newest, wish.session, wish.directory, translate.message_id(wish.id)),
            newest=newest,
            spent=await self._tally.of(session, newest, children, wish.directory),
        )

    async def _among(self, newest: list[Any], session: SessionId, directory: str, id: str) -> Any | None:
        """A message, looked for in those that were read already, which may be all there are."""
        for message in newest:
            if message["info"]["id"] == id:
                return message
        return None if len(newest) < NEWEST_MESSAGES else await self._find(session, directory, id)

    async def _find(self, session: SessionId, directory: str, id: str) -> Any | None:
        """A message, wherever it stands. A lost session has none either; whatever is done next tells."""
        try:
            return await self._client.get(f"/session/{session}/message/{id}", directory, session=session)
        except SessionLost:
            return None

    async def _await_begin(self, wish: TurnWish, before: Reading) -> None:
        """Wait until a prompt that was sent again shows: until then a look would see how things stood before."""
        with anyio.move_on_after(MOMENT_SECONDS):
            while True:
                reading = await self._read(wish)
                if reading.at_work or translate.has_new_answer(before, reading):
                    return
                if words := self._refusals.get(wish.session):
                    raise HostFailed(host="opencode", why=words)
                await anyio.sleep(LOOK_SECONDS)

    async def _require_offered(self, wish: TurnWish) -> None:
        """OpenCode accepts a prompt for a persona or a model that it does not have, and drops it without a trace."""
        key = (wish.directory, wish.persona, wish.model)
        async with self._checking:  # many agents that start together ask once
            if key not in self._offered:
                await self._check_offered(wish)
                self._offered.add(key)

    async def _check_offered(self, wish: TurnWish) -> None:
        agents = [agent["name"] for agent in await self._client.get("/agent", wish.directory)]
        if wish.persona not in agents:
            why = f"there is no persona {wish.persona} in {wish.directory}; there are {', '.join(agents)}"
            raise HostRefused(host="opencode", why=why)
        if wish.model and wish.model not in await self._models(wish.directory):
            raise HostRefused(host="opencode", why=f"there is no model {wish.model} in {wish.directory}")

    async def _models(self, directory: str) -> set[str]:
        told = await self._client.get("/config/providers", directory)
        return {f"{provider['id']}/{model}" for provider in told["providers"] for model in provider["models"]}


def _require_plain(directory: str) -> None:
    """OpenCode (1.18) decodes a session's directory once too often: it would work in `a b` where `a%20b` was meant."""
    if unquote(directory) != directory:
        raise HostRefused(host="opencode", why=f"it cannot work in {directory}: it takes the % there for an escape")


def _session(wish: SessionWish) -> dict[str, Any]:
    return {
        "title": wish.title,
        "agent": wish.persona,
        "metadata": {AGENT: wish.agent, RUN: wish.run},
        "permission": [
            *({"permission": tool, "pattern": "*", "action": "allow"} for tool in wish.tools),
            *({"permission": right, "pattern": "*", "action": "deny"} for right in CHANGING if wish.read_only),
        ],
    }
