"""Tool calls of 2025 that are answered at once, past the library's machinery for streams.

For each call of a protocol with a handshake the library opens four streams, two tasks and server-sent events, which
takes three times as long as the call. What waits, tells its progress, or is not the plain call that it should be,
is the library's all the same: it knows every way to refuse. Above: the MCP door, which answers. It knows no tool.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # JSON-RPC

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive

VERSIONS = ("2025-06-18", "2025-11-25")  # before them, no result had structured content
ACCEPTED = ("application/json", "text/event-stream")
PLAIN = {"jsonrpc", "id", "method", "params"}


@dataclass(frozen=True, slots=True)
class Call:
    """`request_id` is JSON-RPC's."""

    request_id: int | str
    name: str
    arguments: dict[str, Any]

    def answered(self, answer: dict[str, Any], *, is_error: bool) -> bytes:
        text = json.dumps(answer, ensure_ascii=False)
        result = {"content": [{"type": "text", "text": text}], "structuredContent": answer, "isError": is_error}
        told = {"jsonrpc": "2.0", "id": self.request_id, "result": result}
        return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def may_be_plain(request: Request) -> bool:
    """Whether the head of a request allows for a plain call of a protocol with a handshake."""
    headers: Headers = request.headers
    accepted = headers.get("accept", "")
    return (
        request.method == "POST"
        and headers.get("mcp-protocol-version") in VERSIONS
        and headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        and all(kind in accepted for kind in ACCEPTED)
    )


def read_plain(body: bytes) -> Call | None:
    """The call; None for everything else, and for one that asks for its progress."""
    try:
        match json.loads(body):
            case {"jsonrpc": "2.0", "id": int() | str() as id, "method": "tools/call", "params": dict(params)} as told:
                return _call(id, params) if told.keys() <= PLAIN and not isinstance(id, bool) else None
    except (ValueError, RecursionError):
        return None
    return None


def _call(id: int | str, params: Mapping[str, Any]) -> Call | None:
    match params:
        case {"name": str(name), **rest} if not rest.keys() - {"arguments"}:
            arguments = rest.get("arguments", {})
            return Call(id, name, arguments) if isinstance(arguments, dict) else None
    return None


def replayed(body: bytes, receive: Receive) -> Receive:
    """`receive`, from the beginning again."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return unread.pop() if unread else await receive()

    return again
