"""The hub's side of the bridge in the person's own OpenCode. Not a stable surface.

That bridge proves itself with the operator's token: whoever sits before it is the operator. It names the session of
each call, which thereby is a lead, and itself (`bridge`), so that a lead's notices go to the process it is open in.
"""

from dataclasses import dataclass
from typing import Any  # answers are JSON

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muster.engine import Engine
from muster.errors import Denied
from muster.model.actor import OPERATOR, SYSTEM, Actor, ActorKind
from muster.prompts.standing import kept, lead_line
from muster.surfaces.http import caller
from muster.surfaces.message import Message, read_message
from muster.surfaces.toolkits import Toolkit
from muster.verbs import Settles

HELD_SECONDS = 25.0  # how long a bridge's question for notices is held


@dataclass(frozen=True, slots=True)
class LeadDoor:
    engine: Engine
    toolkit: Toolkit

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/bridge/knock", self.knock, methods=["POST"]),
            Route("/bridge/notices", self.notices, methods=["GET"]),
            Route("/bridge/told", self.told, methods=["POST"]),
        ]

    async def knock(self, request: Request) -> Response:
        """A session asks for a toolkit: the tools that its plugin is to let it see."""
        _require_operator(request)
        message = await read_message(request)
        await self.actor(message)
        tools = [tool.name for tool in self.toolkit.offered(OPERATOR)]
        await self.engine.execute(
            self.engine.catalog["lead.knock"],
            SYSTEM,
            session=message.session,
            kind=message.kind,
            message=message.message,
        )
        return JSONResponse({"tools": tools})

    async def notices(self, request: Request) -> Response:
        """What this process's leads are to be told; held until there is something, or nothing can come any more."""
        _require_operator(request)
        message = await read_message(request)
        owing = self.engine.catalog["lead.owing"]
        settles = Settles(until=lambda _, latest, __: bool(latest.notices) or not latest.more)
        told, _ = await self.engine.settle(owing, SYSTEM, settles, HELD_SECONDS, bridge=message.bridge)
        return JSONResponse(owing.render(told))

    async def told(self, request: Request) -> Response:
        """A notice stands in its conversation, or needs not."""
        _require_operator(request)
        message = await read_message(request)
        await self.engine.execute(
            self.engine.catalog["notice.end"], SYSTEM, notice=message.notice, ending=message.ending
        )
        return JSONResponse({"ok": True})

    async def actor(self, message: Message) -> Actor:
        """The operator, in a conversation that leads from now on."""
        await self.engine.execute(
            self.engine.catalog["lead.see"],
            SYSTEM,
            session=message.session,
            directory=message.directory,
            bridge=message.bridge,
        )
        return OPERATOR.leading(message.session, message.directory)

    async def standing(self, message: Message) -> dict[str, Any]:
        """What a lead's system prompt says; nothing for any other session."""
        led = await self.engine.query(self.engine.catalog["lead.led"], SYSTEM, session=message.session)
        if led is None:
            return {}
        if led.lead.bridge != message.bridge:
            await self.actor(message)
        line = lead_line(led.fleets)
        return {"line": line, "keep": kept(line) if line else "", "leads": True}


def _require_operator(request: Request) -> None:
    if caller(request).kind is not ActorKind.OPERATOR:
        raise Denied(why="This is for the person's own OpenCode.", hint="Use the tools that you were given.")
