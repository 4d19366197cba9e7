"""Tool calls that are answered at once, past the library's machinery for streams.

For a call of 2025 the library opens four streams, two tasks and server-sent events, for one of 2026 a stream and two
tasks, which takes several times as long as the call. What waits, tells its progress, or is not quite the plain call
that it should be, is the library's all the same: it knows every way to refuse. Above: the MCP door, which answers.
It knows no tool.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # JSON-RPC

from mcp.shared.inbound import InboundModernRoute, classify_inbound_request, find_duplicated_routing_header
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Message, Receive

from muster.visible import as_json

HANDSHAKEN = ("2025-06-18", "2025-11-25")  # before them, no result had structured content
NEWEST = "2026-07-28"
ACCEPTED = ("application/json", "text/event-stream")
PLAIN = {"jsonrpc", "id", "method", "params"}
ENVELOPE = {PROTOCOL_VERSION_META_KEY, CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY}


@dataclass(frozen=True, slots=True)
class Call:
    """`request_id` is JSON-RPC's; `is_newest` where the message carries the version itself."""

    request_id: int | str
    name: str
    arguments: dict[str, Any]
    is_newest: bool

    def answered(self, answer: dict[str, Any], stamp: Mapping[str, Any], *, is_error: bool) -> bytes:
        """`stamp` is what each result of the newest protocol says of its server."""
        text = as_json(answer)
        result = {"content": [{"type": "text", "text": text}], "structuredContent": answer, "isError": is_error}
        if self.is_newest:
            result |= {"resultType": "complete", "_meta": stamp}
        told = {"jsonrpc": "2.0", "id": self.request_id, "result": result}
        return as_json(told, separators=(",", ":")).encode()


def may_be_plain(request: Request) -> bool:
    """Whether the head of a request allows for a plain call."""
    headers: Headers = request.headers
    accepted = headers.get("accept", "")
    return (
        request.method == "POST"
        and headers.get("mcp-protocol-version") in (*HANDSHAKEN, NEWEST)
        and headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        and all(kind in accepted for kind in ACCEPTED)
    )


def read_plain(headers: Headers, body: bytes) -> Call | None:
    """The call; None for everything else, and for one that asks for its progress."""
    is_newest = headers["mcp-protocol-version"] == NEWEST
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    match told:
        case {"jsonrpc": "2.0", "id": int() | str() as id, "method": "tools/call", "params": {"name": str(name)}}:
            params = told["params"]
            arguments, meta = params.get("arguments", {}), params.get("_meta")
            plain = told.keys() <= PLAIN and params.keys() <= {"name", "arguments", "_meta"}
            if plain and isinstance(arguments, dict) and not isinstance(id, bool):
                fits = _is_enveloped(headers, told) if is_newest else meta is None
                return Call(id, name, arguments, is_newest) if fits else None
    return None


def _is_enveloped(headers: Headers, told: Mapping[str, Any]) -> bool:
    """Whether head and body agree, as the newest protocol wants it, and neither says more than it must."""
    route = classify_inbound_request(told, headers=dict(headers))
    return (
        isinstance(route, InboundModernRoute)
        and told["params"]["_meta"].keys() <= ENVELOPE
        and find_duplicated_routing_header(headers.items()) is None
        and not any(name.startswith("mcp-param-") for name in headers)
        and isinstance(route.client_capabilities, dict)
        and all(isinstance(value, dict) for value in route.client_capabilities.values())
        and _is_named(route.client_info)
    )


def _is_named(client: object) -> bool:
    match client:
        case None | {"name": str(), "version": str()}:
            return True
    return False


def replayed(body: bytes, receive: Receive) -> Receive:
    """`receive`, from the beginning again."""
    unread: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return unread.pop() if unread else await receive()

    return again
