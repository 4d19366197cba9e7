"""The gate before every route: where the request comes from, then who sends it.

The order is fixed: Host and Origin (a page in the user's browser must not get further), then the token, then the
route, then the body. `GET /healthz` alone needs no token. CORS headers are never sent.
"""

from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import SplitResult, unquote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from muster.engine import Engine
from muster.errors import Denied, MusterError, Unauthenticated
from muster.model.actor import OPERATOR, SYSTEM, Actor, ActorKind
from muster.model.event import Fact, MessageSent, event_name
from muster.surfaces.tokens import Claim, Keyring

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
DIRECTORY_HEADER = "x-muster-directory"
SENT = event_name(MessageSent)  # the one fact about an agent that says nothing about who it is


class Gate:
    """Puts the caller into `scope["actor"]`, or answers the refusal itself."""

    def __init__(self, app: ASGIApp, engine: Engine, keyring: Keyring) -> None:
        self._app = app
        self._bearers = Bearers(engine)
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            _require_loopback(headers)
            if (scope["method"], scope["path"]) != ("GET", "/healthz"):
                scope["actor"] = await self._actor(headers)
        except MusterError as error:
            await JSONResponse(error.to_json(), error.status)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _actor(self, headers: Headers) -> Actor:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated(why="there is no bearer token in the Authorization header")
        found = await self._bearers.of(self._keyring.read(token.strip()))
        return found.standing_in(unquote(headers[DIRECTORY_HEADER])) if DIRECTORY_HEADER in headers else found


class Bearers:
    """For whom genuine tokens stand.

    An agent shows its token with every request, so its row is read once and again when the journal tells something
    about it: a token dies with its agent before whoever ended it hears so.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._agents: dict[str, Actor] = {}
        self._changes = 0
        engine.hear(self._forget)

    async def of(self, claim: Claim) -> Actor:
        """Raises Unauthenticated where what it was made for has ended."""
        if claim.kind is ActorKind.OPERATOR:
            return OPERATOR  # lives as long as the key does: there is no row to look at
        if claim.kind is ActorKind.SERVER:
            return await self._read(claim)
        if claim.id not in self._agents:
            changes, found = self._changes, await self._read(claim)
            if changes != self._changes:  # it may be of before the change
                return found
            self._agents[claim.id] = found
        return self._agents[claim.id]

    async def _read(self, claim: Claim) -> Actor:
        found: Actor = await self._engine.query(
            self._engine.catalog["actor.authenticated"],
            SYSTEM,
            kind=claim.kind,
            id=claim.id,
            generation=claim.generation,
        )
        return found

    def _forget(self, facts: Sequence[Fact]) -> None:
        for fact in facts:
            if fact.name != SENT and fact.agent is not None:
                self._changes += 1
                self._agents.pop(fact.agent, None)


def _require_loopback(headers: Headers) -> None:
    host = headers.get("host", "")
    if not _is_loopback(host):
        raise Denied(why="The Host header does not name this machine.", hint="Call the hub by the URL in hub.json.")
    origin = headers.get("origin")
    if origin is not None and _split(origin).netloc != host:
        raise Denied(why="A page of another origin may not call the hub.", hint="Open the hub's own URL.")


@lru_cache
def _is_loopback(host: str) -> bool:
    return _split(f"//{host}").hostname in LOOPBACK


def _split(url: str) -> SplitResult:
    """Its parts; none where it is no URL."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")
