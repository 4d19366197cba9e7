"""One model request as the host sent it: the conversation so far, and the tools it offers."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ValidationError

from muster.errors import InvalidInput

# OpenCode 1.18.33 begins the system prompts of its own requests so, and offers no tools in them.
_TITLE_MARK = "You are a title generator"
_SUMMARY_MARK = "You are a context summarization agent"
# OpenCode 1.18.33 puts this at the end, in the assistant's name, when an agent's `steps` are used up.
_LAST_STEP_MARK = "CRITICAL - MAXIMUM STEPS REACHED"


class Kind(StrEnum):
    """A step of the conversation, or OpenCode's own request: for a title, or for a summary to compact with."""

    CHAT = "chat"
    TITLE = "title"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call in an assistant message; `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message; `call_id` says which call a message of role `tool` answers."""

    role: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What a model request says. `session` is the host's id, else a hash of the first user message.

    `tool_bytes` is what each offered tool weighs, as compact JSON.
    """

    session: str
    parent_session: str | None
    model: str
    messages: tuple[Message, ...]
    tools: tuple[str, ...]
    tool_bytes: Mapping[str, int]
    streamed: bool

    @property
    def kind(self) -> Kind:
        if not self.tools and self.system.startswith(_TITLE_MARK):
            return Kind.TITLE
        if not self.tools and self.system.startswith(_SUMMARY_MARK):
            return Kind.SUMMARY
        return Kind.CHAT

    @property
    def system(self) -> str:
        return "\n".join(message.text for message in self.messages if message.role in ("system", "developer"))

    @property
    def users(self) -> tuple[str, ...]:
        return tuple(message.text for message in self.messages if message.role == "user")

    @property
    def played(self) -> int:
        """How many steps stand in it already."""
        return sum(message.role == "assistant" and _LAST_STEP_MARK not in message.text for message in self.messages)

    @property
    def results(self) -> tuple[tuple[str, str], ...]:
        """Tool results as (tool name, text), in order."""
        names = {call.id: call.name for message in self.messages for call in message.calls}
        return tuple(
            (names.get(message.call_id or "", ""), message.text) for message in self.messages if message.role == "tool"
        )


def parse_request(body: bytes, headers: Mapping[str, str]) -> Conversation:
    """Read a chat completion request; what this server does not play is ignored."""
    try:
        request = _Request.model_validate_json(body)
    except ValidationError as exc:
        raise InvalidInput(why=f"This is not a chat completion request: {exc}") from exc
    messages = tuple(message.record() for message in request.messages)
    return Conversation(
        session=headers.get("x-session-id") or _fingerprint(messages),
        parent_session=headers.get("x-parent-session-id"),
        model=request.model,
        messages=messages,
        tools=tuple(tool.function.name for tool in request.tools or ()),
        tool_bytes=_weights(body),
        streamed=request.stream,
    )


def _weights(body: bytes) -> dict[str, int]:
    tools = json.loads(body).get("tools") or ()
    return {tool["function"]["name"]: len(json.dumps(tool, separators=(",", ":")).encode()) for tool in tools}


def _fingerprint(messages: tuple[Message, ...]) -> str:
    first = next((message.text for message in messages if message.role == "user"), "")
    return "anonymous_" + hashlib.sha256(first.encode()).hexdigest()[:16]


class _Function(BaseModel):
    name: str
    arguments: str = ""


class _Call(BaseModel):
    id: str
    function: _Function


class _Tool(BaseModel):
    function: _Function


class _Part(BaseModel):
    text: str = ""


class _Message(BaseModel):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None

    def record(self) -> Message:
        calls = tuple(
            ToolCall(id=call.id, name=call.function.name, arguments=call.function.arguments)
            for call in self.tool_calls or ()
        )
        return Message(role=self.role, text=self._text(), calls=calls, call_id=self.tool_call_id)

    def _text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.text)
        return self.content or ""


class _Request(BaseModel):
    model: str
    messages: list[_Message]
    tools: list[_Tool] | None = None
    stream: bool = False
