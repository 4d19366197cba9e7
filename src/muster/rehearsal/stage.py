"""What happened in a rehearsal: requests, failures and gates, and whoever waits for them."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import anyio

from muster.errors import Unavailable
from muster.rehearsal.conversation import Conversation, Kind, Message


class Outcome(StrEnum):
    """How far the answer got; `playing`, `held` and `silent` are on the way, the others are final."""

    PLAYING = "playing"
    HELD = "held"
    SILENT = "silent"
    ANSWERED = "answered"
    REFUSED = "refused"
    CUT = "cut"
    LEFT = "left"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        return self not in (Outcome.PLAYING, Outcome.HELD, Outcome.SILENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One model request. `at` is on the monotonic clock; `script` and `step` are None where no script plays."""

    number: int
    at: float
    session: str
    parent_session: str | None
    kind: Kind
    script: str | None
    step: int | None
    model: str
    messages: tuple[Message, ...]
    tools: tuple[str, ...]
    tool_bytes: Mapping[str, int]
    outcome: Outcome = Outcome.PLAYING


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A place where scenario and conversation do not fit.

    `request` is its number; it and `session` are None where the body was no chat request at all.
    """

    request: int | None
    session: str | None
    script: str | None
    step: int | None
    why: str


class Stage:
    """The records of one rehearsal. It belongs to one event loop."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._failures: list[Failure] = []
        self._tries: Counter[tuple[str, str, int]] = Counter()
        self._gates: dict[str, anyio.Event] = {}
        self._at_gate: Counter[str] = Counter()
        self._changed = anyio.Event()

    @property
    def requests(self) -> tuple[Request, ...]:
        return tuple(self._requests)

    @property
    def failures(self) -> tuple[Failure, ...]:
        return tuple(self._failures)

    def arrive(self, conversation: Conversation, *, script: str | None, step: int | None) -> Request:
        """Record a request; returns it with its number, counted from 0."""
        request = Request(
            number=len(self._requests),
            at=time.monotonic(),
            session=conversation.session,
            parent_session=conversation.parent_session,
            kind=conversation.kind,
            script=script,
            step=step,
            model=conversation.model,
            messages=conversation.messages,
            tools=conversation.tools,
            tool_bytes=conversation.tool_bytes,
        )
        self._requests.append(request)
        self._notify()
        return request

    def mark(self, request: Request, outcome: Outcome) -> None:
        """Say how far a request got; what is final stays."""
        if not self._requests[request.number].outcome.final:
            self._requests[request.number] = replace(request, outcome=outcome)
            self._notify()

    def fail(self, request: Request, why: str) -> None:
        self._failures.append(
            Failure(request=request.number, session=request.session, script=request.script, step=request.step, why=why)
        )
        self.mark(request, Outcome.FAILED)

    def misread(self, why: str) -> None:
        """Record a body that could not be read as a request."""
        self._failures.append(Failure(request=None, session=None, script=None, step=None, why=why))

    def tries(self, session: str, script: str, step: int) -> int:
        """Count one more try of a step, from 1. The only memory that a resent request can feel."""
        self._tries[session, script, step] += 1
        return self._tries[session, script, step]

    async def at_gate(self, request: Request, name: str) -> None:
        """Stand at a gate until it is released."""
        self._at_gate[name] += 1
        self.mark(request, Outcome.HELD)
        try:
            await self._gate(name).wait()
            self.mark(request, Outcome.PLAYING)
        finally:
            self._at_gate[name] -= 1

    def release(self, name: str) -> None:
        """Open a gate for good, for whoever stands there and whoever comes."""
        self._gate(name).set()

    async def held(self, name: str, count: int = 1, *, within: float = 10) -> None:
        """Wait until that many requests stand at a gate; `Unavailable` when they do not within the seconds."""
        await self._wait(lambda: self._at_gate[name] >= count, within, f"{count} at the gate {name}")

    async def until(
        self, holds: Callable[[Request], bool], *, count: int = 1, within: float = 10
    ) -> tuple[Request, ...]:
        """Wait until that many requests fit, and return them; `Unavailable` when they do not within the seconds."""
        await self._wait(lambda: len(self._where(holds)) >= count, within, f"{count} such requests")
        return self._where(holds)

    def _where(self, holds: Callable[[Request], bool]) -> tuple[Request, ...]:
        return tuple(request for request in self._requests if holds(request))

    def _gate(self, name: str) -> anyio.Event:
        return self._gates.setdefault(name, anyio.Event())

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _wait(self, ready: Callable[[], bool], within: float, what: str) -> None:
        with anyio.move_on_after(within):
            while not ready():
                await self._changed.wait()
        if not ready():
            raise Unavailable(why=f"Waited {within} s for {what}. {self._story()}")

    def _story(self) -> str:
        seen = [f"{r.number}: {r.kind} {r.script} step {r.step} {r.outcome}" for r in self._requests]
        return f"Requests: {seen}. Failures: {[failure.why for failure in self._failures]}"
