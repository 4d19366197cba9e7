"""An answer in the words of OpenAI's chat completions: as one object, or as a stream of chunks."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from muster.rehearsal.conversation import ToolCall
from muster.rehearsal.scenario import Json

DONE = b"data: [DONE]\n\n"

_PIECE = re.compile(r"\S+\s*|\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What the answer cost; `input` is without `cached`, `output` without `reasoning`."""

    input: int
    output: int
    reasoning: int = 0
    cached: int = 0

    def to_json(self) -> Json:
        prompt, completion = self.input + self.cached, self.output + self.reasoning
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says and calls in one step."""

    text: str
    calls: tuple[ToolCall, ...]
    tokens: Tokens

    @property
    def finish(self) -> str:
        return "tool_calls" if self.calls else "stop"


def completion(answer: Answer, model: str) -> bytes:
    """The whole answer as one JSON body."""
    message: dict[str, Json] = {"role": "assistant", "content": answer.text}
    if answer.calls:
        message["tool_calls"] = [_call(call) for call in answer.calls]
    choice: Json = {"index": 0, "message": message, "finish_reason": answer.finish}
    return _encoded(_frame("chat.completion", model) | {"choices": [choice], "usage": answer.tokens.to_json()})


def stream(answer: Answer, model: str) -> Iterator[bytes]:
    """The answer as server-sent events, up to and with the closing `[DONE]`."""
    yield from spoken(answer.text, model)
    for index, call in enumerate(answer.calls):
        indexed: Json = {"index": index} | _call(call)
        yield _chunk(model, {"tool_calls": [indexed]})
    yield _chunk(model, {}, finish=answer.finish)
    yield _event(_frame("chat.completion.chunk", model) | {"choices": [], "usage": answer.tokens.to_json()})
    yield DONE


def spoken(text: str, model: str) -> Iterator[bytes]:
    """The beginning of a stream: the role, then the text word by word."""
    yield _chunk(model, {"role": "assistant", "content": ""})
    for piece in _PIECE.findall(text):
        yield _chunk(model, {"content": piece})


def failure(message: str, kind: str) -> bytes:
    """An error body in OpenAI's shape."""
    return _encoded({"error": {"message": message, "type": kind, "param": None, "code": kind}})


def misfit(why: str) -> bytes:
    """The error body of a scenario that does not fit. Its status is 400, for OpenCode does not repeat those."""
    return failure(f"rehearsal: {why}", "rehearsal_failed")


def _chunk(model: str, delta: dict[str, Json], finish: str | None = None) -> bytes:
    choice: Json = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event(_frame("chat.completion.chunk", model) | {"choices": [choice]})


def _frame(kind: str, model: str) -> dict[str, Json]:
    return {"id": "chatcmpl-rehearsal", "object": kind, "created": 0, "model": model}


def _call(call: ToolCall) -> dict[str, Json]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _event(content: Json) -> bytes:
    return b"data: " + _encoded(content) + b"\n\n"


def _encoded(content: Json) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode()
