"""An inbox as a stream: `GET /api/v1/inbox/<agent>/stream`, for whoever wants to receive without asking again.

Server-sent events: `event: message`, `data:` the row as get_inbox has it, `id:` its cursor, with which a stream that
broke off goes on. It is read from the store, so it carries every message, whoever sent it through which door; the
journal only says when to look. A stream is no conversation: nothing counts as injected or seen because of it.
"""

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from muster.engine import Engine
from muster.errors import Unavailable, UnknownField
from muster.model.actor import Actor
from muster.model.agent import GOODBYES
from muster.model.event import Entry
from muster.surfaces.http import PING_SECONDS, caller, read_cursor
from muster.verbs import Json

PATH = "/api/v1/inbox/{agent}/stream"
QUERY = "since"


@dataclass(frozen=True, slots=True)
class InboxDoor:
    engine: Engine

    @property
    def route(self) -> Route:
        return Route(PATH, self, methods=["GET"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        for name in request.query_params:
            if name != QUERY:
                raise UnknownField(verb=f"GET {PATH}", field=name, fields=QUERY)
        given = request.headers.get("last-event-id") or request.query_params.get(QUERY)
        since = None if given is None else read_cursor(given, QUERY)
        actor, agent = caller(request), request.path_params["agent"]
        sent = self._sent(agent, self.engine.head)
        first = await self._look(actor, agent, since, None)  # or it refuses, before the stream begins
        await EventSourceResponse(self._told(actor, agent, first, sent), ping=PING_SECONDS)(scope, receive, send)

    async def _told(
        self, actor: Actor, agent: str, page: Json, sent: AsyncIterator[bool]
    ) -> AsyncIterator[ServerSentEvent]:
        with suppress(Unavailable):  # the hub is going: the stream ends, and its reader comes back
            while True:
                for each in page["messages"]:
                    data = json.dumps(each["message"])  # ASCII: there are readers to whom U+2028 ends a line
                    yield ServerSentEvent(data=data, event="message", id=str(each["cursor"]))
                if not page["more"] and not await anext(sent, None):
                    return
                page = await self._look(actor, agent, page["cursor"], page["begun"])

    async def _look(self, actor: Actor, agent: str, since: int | None, begun: int | None) -> Json:
        verb = self.engine.catalog["inbox.follow"]
        return verb.render(await self.engine.query(verb, actor, agent_id=agent, since=since, begun=begun))

    async def _sent(self, agent: str, after: int) -> AsyncIterator[bool]:
        """True whenever something was sent to an agent, for as long as anything can be."""
        async for entries in self.engine.pages(after):
            if any(_concerns(entry, agent) for entry in entries):
                yield True
            if any(entry.name in GOODBYES and entry.agent == agent for entry in entries):
                return


def _concerns(entry: Entry, agent: str) -> bool:
    return entry.name == "message.sent" and agent in entry.body["recipients"]
