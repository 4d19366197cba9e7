"""The hub's side of the bridge, the plugin inside every OpenCode. Not a stable surface.

A host server proves itself with its own token and names the session that a tool was called in; whoever was placed
in that session is the caller. A session that Muster did not place there, a sub-agent's for one, is nobody. The
person's own OpenCode proves itself with the operator's token (`leads.py`).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # tool arguments are JSON

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from muster.engine import Engine
from muster.errors import Denied, MusterError
from muster.model.actor import SYSTEM, Actor, ActorKind
from muster.prompts.standing import kept, member_line
from muster.surfaces.http import answered, caller, heard
from muster.surfaces.leads import LeadDoor
from muster.surfaces.message import Message, read_message
from muster.surfaces.tokens import Keyring
from muster.surfaces.toolkits import Toolkit
from muster.visible import as_json

PATIENCE_SECONDS = 45.0  # a call waits no longer for messages: its model would rather be told that there is none
SUB_AGENT = "sub-agent"


@dataclass(frozen=True, slots=True)
class BridgeDoor:
    engine: Engine
    toolkit: Toolkit
    keyring: Keyring
    home: Path

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/bridge/hello", self.hello, methods=["POST"]),
            Route("/bridge/call", self.call, methods=["POST"]),
            Route("/bridge/env", self.env, methods=["POST"]),
            Route("/bridge/step", self.step, methods=["POST"]),
            Route("/bridge/standing", self.standing, methods=["GET"]),
            *self._leads.routes,
        ]

    @property
    def _leads(self) -> LeadDoor:
        return LeadDoor(self.engine, self.toolkit)

    async def hello(self, request: Request) -> Response:
        """The tools that the plugin registers; each stays hidden from a session that is not let in."""
        _require_server(request)
        tools = [
            {"name": tool.name, "description": self.toolkit.describe(tool), "parameters": tool.schema(member=True)}
            for tool in self.toolkit.bridged_part()
        ]
        return JSONResponse({"tools": tools})

    async def call(self, request: Request) -> Response:
        """A tool call of whoever is in the session that it came from; errors are told to the model, whole."""
        message = await read_message(request)
        try:
            actor = (await self._caller(request, message)).calling(f"{message.message}:{message.call}")
            tool = self.toolkit.tool(message.tool, actor)
            arguments = message.arguments
            if message.request_id is not None and tool.verb.changes:
                arguments = arguments | {"request_id": message.request_id}
            asking = answered(self.engine, tool.verb.name, actor, json.dumps(arguments), patience=PATIENCE_SECONDS)
            answer = await heard(request, asking) if tool.verb.awaits else await asking
        except MusterError as error:
            return JSONResponse({"output": json.dumps(error.to_json()), "title": message.tool, "error": True})
        output = as_json(answer)
        return JSONResponse({"output": output, "title": message.tool, "error": False, "tells": _tells(message, answer)})

    async def env(self, request: Request) -> Response:
        """What the shell of an agent is told: who it is, and the token that makes `muster` typed there be it.

        That of a sub-agent is told the run alone, so that what it leaves behind ends with it: it is nobody itself.
        """
        message = await read_message(request)
        actor = await self._actor(request, message)
        agent = await self.engine.query(self.engine.catalog["actor.seat"], SYSTEM, agent=actor.agent)
        assert actor.agent is not None
        branch = {} if agent.branch is None else {"MUSTER_BRANCH": agent.branch}
        if message.kind == SUB_AGENT:
            return JSONResponse({"env": {"MUSTER_RUN": agent.run, **branch}})
        return JSONResponse(
            {
                "env": {
                    **branch,
                    "MUSTER_AGENT_HOME": str(self.home),
                    "MUSTER_AGENT_ID": actor.agent,
                    "MUSTER_AGENT_TOKEN": self.keyring.agent(actor.agent),
                    "MUSTER_RUN": agent.run,
                }
            }
        )

    async def step(self, request: Request) -> Response:
        """Whether the agent of a session may make its next model request."""
        actor = await self._actor(request, await read_message(request))
        answer = await self.engine.execute(self.engine.catalog["agent.step"], SYSTEM, agent=actor.agent)
        return JSONResponse({"go": answer.go})

    async def standing(self, request: Request) -> Response:
        """What a session of ours carries in its system prompt, and what a compaction of it must keep."""
        message = await read_message(request)
        if caller(request).kind is ActorKind.OPERATOR:
            return JSONResponse(await self._leads.standing(message))
        actor = await self._actor(request, message)
        placed = await self.engine.query(self.engine.catalog["actor.placed"], SYSTEM, agent=actor.agent)
        return JSONResponse({"line": member_line(placed.agent, placed.fleet), "keep": kept(placed.preamble)})

    async def _caller(self, request: Request, message: Message) -> Actor:
        if caller(request).kind is ActorKind.OPERATOR:
            return await self._leads.actor(message)
        return await self._actor(request, message)

    async def _actor(self, request: Request, message: Message) -> Actor:
        server = _require_server(request)
        actor: Actor = await self.engine.query(
            self.engine.catalog["actor.in_session"], SYSTEM, server=server, session=message.session
        )
        return actor


def _tells(message: Message, answer: dict[str, Any]) -> str | None:
    """The fleet whose rest the caller has learned of by this answer, so that it needs no notice of it."""
    whole = "agent_id" not in message.arguments
    return answer.get("fleet_id") if whole and answer.get("status", "running") != "running" else None


def _require_server(request: Request) -> str:
    actor = caller(request)
    if actor.kind is not ActorKind.SERVER or actor.server is None:
        raise Denied(why="The bridge is for host servers.", hint="Call /api/v1/<verb> or /mcp instead.")
    return actor.server
