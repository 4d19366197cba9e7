"""HTTP: every verb under /api/v1, the journal as a stream, and the doors for hosts and MCP clients.

A verb needs no line here: its name in the path finds it, its declaration checks the body, and the error tree knows
the status.
"""

import json
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import asdict
from datetime import UTC
from math import inf
from typing import Any  # answers are JSON

import anyio.to_thread
from pydantic_core import to_json
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from muster.engine import Engine
from muster.errors import (
    BadValue,
    Broken,
    Denied,
    MusterError,
    NotFound,
    TooLarge,
    Unavailable,
    UnknownField,
    WrongMethod,
)
from muster.model.actor import Actor, ActorKind
from muster.model.event import Entry
from muster.surfaces.gate import Gate
from muster.surfaces.openapi import document
from muster.surfaces.tokens import Keyring
from muster.verbs import Json
from muster.visible import visible

log = logging.getLogger(__name__)

BODY_BYTES = 256 * 1024 * 1024  # 200 prompts of 1 MiB, with room for JSON's escapes
PING_SECONDS = 15
VERBS = "/api/v1/"
EVENT_QUERY = ("after", "fleet", "agent")


def application(
    engine: Engine,
    keyring: Keyring,
    routes: list[BaseRoute],
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]],
) -> ASGIApp:
    """The whole web surface; `routes` are those of the other doors."""
    verbs = _Verbs(engine)
    app = Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/openapi.json", _Description(engine), methods=["GET"]),
            Route("/api/v1/events", _Events(engine), methods=["GET"]),
            Route(f"{VERBS}{{verb}}", verbs, methods=["POST"]),
            *routes,
        ],
        middleware=[Middleware(_LastResort)],
        exception_handlers={MusterError: refuse, 404: _no_route, 405: _wrong_method},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect is no answer that a program expects
    for_any_method = {route.path: route.app for route in routes if isinstance(route, Route) and route.methods is None}
    return Gate(_Straight(app, verbs, for_any_method), engine, keyring)


def refuse(request: Request, error: Exception) -> Response:
    """An error of ours in the shape that every surface gives it."""
    assert isinstance(error, MusterError)
    return JSONResponse(error.to_json(), error.status)


def caller(request: Request) -> Actor:
    """Whom the gate let in."""
    actor: Actor = request.scope["actor"]
    return actor


async def body(request: Request) -> bytes:
    """The whole body. Raises TooLarge as soon as it is."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > BODY_BYTES:
            raise TooLarge(limit=BODY_BYTES)
    return bytes(read) or b"{}"


async def answered(engine: Engine, verb: str, actor: Actor, raw: str | bytes, *, patience: float = inf) -> Json:
    """What the engine answers. What nobody foresaw is told as Broken, and the log has it."""
    try:
        return await engine.call(verb, actor, raw, patience=patience)
    except MusterError:
        raise
    except Exception as error:
        log.exception("verb.failed verb=%s", visible(verb))
        raise Broken(why=f"{type(error).__name__}: {error}") from error


async def heard(request: Request, asking: Awaitable[Json]) -> Json:
    """What waits before it is done, for as long as whoever asked is there: nobody would have what it then takes.

    Raises Unavailable where the caller went away.
    """
    outcome: Json | MusterError = Unavailable(why="Whoever asked has gone.")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_when_gone, request, tasks.cancel_scope)
        try:
            outcome = await asking
        except MusterError as error:  # it must not leave the group, which would wrap it
            outcome = error
        tasks.cancel_scope.cancel()
    if isinstance(outcome, MusterError):
        raise outcome
    return outcome


async def _end_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _healthz(request: Request) -> Response:
    return JSONResponse({"ok": True})


class _Straight:
    """Takes a call of a verb, or of a door, where it belongs: Starlette's layers cost more than a call's own work."""

    def __init__(self, app: ASGIApp, verbs: ASGIApp, doors: Mapping[str, ASGIApp]) -> None:
        self._app = app
        self._verbs = _LastResort(verbs)
        self._doors = {path: _LastResort(door) for path, door in doors.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app if scope["type"] != "http" else self._of(scope)
        try:
            await app(scope, receive, send)
        except MusterError as error:
            await JSONResponse(error.to_json(), error.status)(scope, receive, send)

    def _of(self, scope: Scope) -> ASGIApp:
        root, _, verb = scope["path"].rpartition("/")
        if verb and scope["method"] == "POST" and f"{root}/" == VERBS:
            scope["path_params"] = {"verb": verb}
            return self._verbs
        return self._doors.get(scope["path"], self._app)


class Answer(JSONResponse):
    """What a verb answers, written a few times as fast as by the json module."""

    def render(self, content: Json) -> bytes:
        return to_json(content, inf_nan_mode="null")


class _Verbs:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        verb = self._engine.catalog[request.path_params["verb"]]
        asking = answered(self._engine, verb.name, caller(request), await body(request))
        await Answer(await heard(request, asking) if verb.awaits else await asking)(scope, receive, send)


class _Description:
    def __init__(self, engine: Engine) -> None:
        self._catalog = engine.catalog
        self._made: dict[str, Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._made is None:
            self._made = await anyio.to_thread.run_sync(document, self._catalog)
        await JSONResponse(self._made)(scope, receive, send)


class _Events:
    """The journal from a cursor on (`Last-Event-ID`, else `after`, else from now), live and without end."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if caller(request).kind is not ActorKind.OPERATOR:
            raise Denied(why="The journal is the operator's.", hint="fleet_status shows your own fleet.")
        query = request.query_params
        for name in query:
            if name not in EVENT_QUERY:
                raise UnknownField(verb="GET /api/v1/events", field=name, fields=", ".join(EVENT_QUERY))
        after = _journal_cursor(request.headers.get("last-event-id") or query.get("after"), self._engine.head)
        about = {f"{name}_id": query[name] for name in ("fleet", "agent") if name in query}
        await answered(self._engine, "event.list", caller(request), json.dumps(about | {"limit": 1}))  # or it refuses
        entries = self._engine.watch(after, fleet=query.get("fleet"), agent=query.get("agent"))
        await EventSourceResponse(_told(entries), ping=PING_SECONDS)(scope, receive, send)


async def _told(entries: AsyncIterator[Entry]) -> AsyncIterator[ServerSentEvent]:
    with suppress(Unavailable):  # the hub is going: the stream ends, and its reader comes back
        async for entry in entries:
            told = asdict(entry) | {"at": entry.at.astimezone(UTC).isoformat().replace("+00:00", "Z")}
            data = json.dumps(told, ensure_ascii=False)
            yield ServerSentEvent(data=data, event=entry.name, id=str(entry.cursor))


def read_cursor(given: str, field: str) -> int:
    """A place in a stream, as it was told there. Raises BadValue."""
    if not re.fullmatch(r"[0-9]{1,18}", given):
        raise BadValue(field=field, expected="a cursor, a whole number", got=given[:60])
    return int(given)


def _journal_cursor(given: str | None, head: int) -> int:
    cursor = head if given is None else read_cursor(given, "after")
    if cursor > head:  # it is of another journal, and would be waited for in vain
        raise BadValue(field="after", expected=f"a cursor of this journal, at most {head}", got=str(cursor))
    return cursor


async def _no_route(request: Request, error: Exception) -> Response:
    missing = NotFound(
        kind="route", id=f"{request.method} {request.url.path}", hint="Verbs are called by POST /api/v1/<noun.verb>."
    )
    return JSONResponse(missing.to_json(), missing.status)


async def _wrong_method(request: Request, error: Exception) -> Response:
    allowed = (error.headers or {}).get("Allow", "POST") if isinstance(error, HTTPException) else "POST"
    wrong = WrongMethod(path=visible(request.url.path), takes=allowed, method=visible(request.method))
    return JSONResponse(wrong.to_json(), wrong.status, {"Allow": allowed})


class _LastResort:
    """Turns what nobody foresaw into an answer, and tells the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except MusterError:
            raise
        except Exception as error:
            log.exception("http.failed path=%s", scope.get("path"))
            if started:
                raise
            broken = Broken(why=f"{type(error).__name__}: {error}")
            await JSONResponse(broken.to_json(), broken.status)(scope, receive, send)
