"""Plays one step over HTTP. It is the ASGI response itself, for a cut or a silence is no response object."""

from dataclasses import dataclass, replace

import anyio
from starlette.types import Receive, Scope, Send

from muster.errors import InvalidInput
from muster.rehearsal.conversation import Conversation
from muster.rehearsal.scenario import Cut, Mishap, Refusal, Silence, Step
from muster.rehearsal.stage import Outcome, Request, Stage
from muster.rehearsal.wire import Answer, completion, failure, misfit, spoken, stream

HOLD_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one request is to get: the step, its answer, and the mishap of this try."""

    step: Step
    answer: Answer
    mishap: Mishap | None


class Performance:
    """One answer under way. It ends when it is sent, when the client leaves or when the rehearsal closes."""

    def __init__(
        self, *, stage: Stage, closing: anyio.Event, conversation: Conversation, request: Request, part: Part
    ) -> None:
        self._stage = stage
        self._closing = closing
        self._conversation = conversation
        self._request = request
        self._part = part

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._end_when_left, receive, tasks.cancel_scope)
            tasks.start_soon(self._end_when_closing, tasks.cancel_scope)
            await self._play(send)
            tasks.cancel_scope.cancel()

    async def _end_when_left(self, receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._stage.mark(self._request, Outcome.LEFT)
        scope.cancel()

    async def _end_when_closing(self, scope: anyio.CancelScope) -> None:
        await self._closing.wait()
        self._stage.mark(self._request, Outcome.LEFT)
        scope.cancel()

    async def _play(self, send: Send) -> None:
        try:
            await self._pass_gate()
        except InvalidInput as exc:
            self._stage.fail(self._request, exc.message)
            await _whole(send, 400, misfit(exc.message))
            return
        await anyio.sleep(self._part.step.delay_seconds)
        match self._part.mishap:
            case Refusal() as refusal:
                await self._refuse(send, refusal)
            case Cut() as cut:
                await self._cut(send, cut)
            case Silence() as silence:
                await self._keep_silent(send, silence)
            case None:
                await self._begin(send)
                await self._answer(send, self._part.answer)

    async def _pass_gate(self) -> None:
        gate = self._part.step.hold
        if gate is None:
            return
        with anyio.move_on_after(HOLD_SECONDS) as bound:
            await self._stage.at_gate(self._request, gate)
        if bound.cancelled_caught:
            raise InvalidInput(why=f"Nobody released the gate {gate} within {HOLD_SECONDS:g} s")

    async def _refuse(self, send: Send, refusal: Refusal) -> None:
        self._stage.mark(self._request, Outcome.REFUSED)
        body = refusal.body
        encoded = failure(f"rehearsed {refusal.status}", "rehearsed") if body is None else body.encode()
        await _whole(send, refusal.status, encoded, retry_after=refusal.retry_after)

    async def _keep_silent(self, send: Send, silence: Silence) -> None:
        await self._begin(send)
        await self._say(send, silence.after)
        self._stage.mark(self._request, Outcome.SILENT)
        if silence.seconds is None:
            await anyio.sleep_forever()
        else:
            await anyio.sleep(silence.seconds)
            answer = self._part.answer
            await self._answer(send, replace(answer, text=answer.text[silence.after :]))

    async def _cut(self, send: Send, cut: Cut) -> None:
        await self._begin(send)
        await self._say(send, cut.after)
        self._stage.mark(self._request, Outcome.CUT)
        if cut.clean:
            await send({"type": "http.response.body", "body": b""})
        # Returning before the body is complete makes uvicorn drop the connection.

    async def _say(self, send: Send, characters: int) -> None:
        """The beginning of the answer, where it is streamed."""
        if characters and self._conversation.streamed:
            for piece in spoken(self._part.answer.text[:characters], self._conversation.model):
                await self._piece(send, piece)

    async def _begin(self, send: Send) -> None:
        kind = b"text/event-stream" if self._conversation.streamed else b"application/json"
        headers = [(b"content-type", kind), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # Without a piece of the body uvicorn keeps the headers back.
        await send({"type": "http.response.body", "body": b"", "more_body": True})

    async def _answer(self, send: Send, answer: Answer) -> None:
        if self._conversation.streamed:
            for piece in stream(answer, self._conversation.model):
                await self._piece(send, piece)
            last = b""
        else:
            last = completion(self._part.answer, self._conversation.model)
        self._stage.mark(self._request, Outcome.ANSWERED)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _piece(self, send: Send, piece: bytes) -> None:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        await anyio.sleep(self._part.step.chunk_delay_seconds)


async def _whole(send: Send, status: int, body: bytes, *, retry_after: float | None = None) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", f"{retry_after:g}".encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
