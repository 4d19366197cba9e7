"""Two fleets and what they said, and an agent of one that tries to be somebody else at every door."""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx2

from muster.commands import runs as run_commands
from muster.commands import servers as server_commands
from muster.model.actor import OPERATOR, SYSTEM
from muster.model.ceiling import Ceilings, Sharding
from muster.model.server import StopReason
from muster.surfaces.toolkits.mesh import MESH
from unit.stage import Stage, agent_actor

DOORS = ("http", "mcp", "bridge")
MCP_HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
NAMES = ("mallory", "alice", "bob", "ghost")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`agents` and `servers` by name: mallory, alice, bob and ghost, who was cancelled, are in `fleet`; carol and dave
    in `foreign`. Each has a server of its own and is in the session `ses_<name>`; that of bob is of an old generation.

    `proposal`: alice's, on which bob votes; `foreign_proposal`: carol's, on which dave does.
    `asked`: alice to bob. `told`: alice to mallory. `own`: mallory to alice. `secret`: carol to dave.
    """

    client: httpx2.AsyncClient
    stage: Stage
    fleet: str
    foreign: str
    agents: dict[str, str]
    servers: dict[str, str]
    asked: str
    told: str
    own: str
    secret: str
    proposal: str
    foreign_proposal: str

    def token(self, name: str) -> str:
        return self.stage.keyring.agent(self.agents[name])

    def server_token(self, name: str, generation: int = 1) -> str:
        return self.stage.keyring.server(self.servers[name], generation)

    async def tool(self, door: str, name: str, /, **arguments: Any) -> dict[str, Any]:
        """What mallory is answered to a tool call at a door: the answer, or the error under `error`."""
        match door:
            case "http":
                return await self.verb(self.token("mallory"), MESH.named()[name].verb.name, **arguments)
            case "mcp":
                return await self.mcp(self.token("mallory"), name, **arguments)
            case _:
                return await self.bridge(self.server_token("mallory"), "ses_mallory", name, **arguments)

    async def verb(self, token: str | None, name: str, /, **arguments: Any) -> dict[str, Any]:
        return await self.post(f"/api/v1/{name}", token, arguments)

    async def mcp(self, token: str, name: str, /, **arguments: Any) -> dict[str, Any]:
        call = {"name": name, "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        told = await self.post("/mcp", token, body, **MCP_HEADERS)
        answer: dict[str, Any] = told["result"]["structuredContent"] if "result" in told else told
        return answer

    async def bridge(self, token: str, session: object, name: str, /, **arguments: Any) -> dict[str, Any]:
        return await self.bridged(token, session=session, tool=name, arguments=arguments)

    async def bridged(self, token: str, **body: Any) -> dict[str, Any]:
        told = await self.post("/bridge/call", token, {"message": "msg_1", "call": "call_1"} | body)
        answer: dict[str, Any] = json.loads(told["output"]) if "output" in told else told
        return answer

    async def post(self, path: str, token: str | None, body: Any, **headers: str) -> dict[str, Any]:
        return await self.ask("POST", path, token, json=body, headers=headers)

    async def ask(self, method: str, path: str, token: str | None = None, **rest: Any) -> dict[str, Any]:
        proof = {} if token is None else {"authorization": f"Bearer {token}"}
        headers = proof | rest.pop("headers", {})
        return _read(await self.client.request(method, path, headers=headers, **rest))

    async def raw(self, path: str, body: bytes, *headers: tuple[str, str]) -> dict[str, Any]:
        return _read(await self.client.post(path, content=body, headers=list(headers)))


def code(answer: dict[str, Any]) -> str:
    """The code of a refusal; what was answered otherwise."""
    error = answer.get("error")
    return error["code"] if isinstance(error, dict) else f"let in: {json.dumps(answer)[:200]}"


def stored(on: World, table: str, id: str) -> dict[str, Any]:
    """A row as it stands in the database."""
    with closing(sqlite3.connect(f"file:{on.stage.path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return dict(connection.execute(f"SELECT * FROM {table} WHERE id = ?", (id,)).fetchone())  # ours


def _read(answer: httpx2.Response) -> dict[str, Any]:
    """JSON, also where MCP streams it as one event."""
    text = answer.text.partition("data: ")[2] if answer.text.startswith("event:") else answer.text
    try:
        told: dict[str, Any] = json.loads(text)
    except ValueError:
        return {"status": answer.status_code, "text": text}
    return told


async def world(stage: Stage, client: httpx2.AsyncClient) -> World:
    """Set it up through the verbs that the hub itself uses."""
    fleet = await _fleet(stage, *NAMES)
    foreign = await _fleet(stage, "carol", "dave")
    agents = dict(zip((*NAMES, "carol", "dave"), (*fleet["agent_ids"], *foreign["agent_ids"]), strict=True))
    await _admit(stage)
    servers = {name: await _seated(stage, name, agent) for name, agent in agents.items()}
    await cancel(stage, agents["ghost"])
    await stage.engine.execute(server_commands.stop, SYSTEM, server=servers["bob"], generation=1, why=StopReason.LOST)
    await _admit(stage)

    async def said(sender: str, to: str, fleet: str, payload: str) -> str:
        wish = {"to_agent_id": to, "type": "question", "payload": payload}
        sent = await stage.call("message.send", agent_actor(agents[sender], fleet), **wish)
        return str(sent["message_id"])

    async def proposed(proposer: str, voter: str, fleet: str) -> str:
        wish = {"subject": "Shall we?", "quorum": 1, "voters": [agents[voter]]}
        opened = await stage.call("decision.open", agent_actor(agents[proposer], fleet), **wish)
        return str(opened["message_id"])

    return World(
        client=client,
        stage=stage,
        fleet=fleet["fleet_id"],
        foreign=foreign["fleet_id"],
        agents=agents,
        servers=servers,
        asked=await said("alice", "bob", fleet["fleet_id"], "for bob alone"),
        told=await said("alice", "mallory", fleet["fleet_id"], "for mallory"),
        own=await said("mallory", "alice", fleet["fleet_id"], "from mallory"),
        secret=await said("carol", "dave", foreign["fleet_id"], "for dave alone"),
        proposal=await proposed("alice", "bob", fleet["fleet_id"]),
        foreign_proposal=await proposed("carol", "dave", foreign["fleet_id"]),
    )


async def cancel(stage: Stage, agent: str) -> None:
    """At once: nobody is there to stop its work."""
    await stage.engine.execute(stage.engine.catalog["agent.cancel"], OPERATOR, agent_id=agent)


async def _fleet(stage: Stage, *names: str) -> dict[str, Any]:
    wishes = [{"role": name, "name": name, "prompt": "Work.", "max_attempts": 1} for name in names]
    return await stage.call("fleet.spawn", agents=wishes, project=str(stage.project))


async def _admit(stage: Stage) -> None:
    sharding = Sharding(agents=1)
    await stage.engine.execute(run_commands.admit, SYSTEM, ceilings=Ceilings(), sharding=sharding, host="scripted")


async def _seated(stage: Stage, name: str, agent: str) -> str:
    """Its run is started; returns the server that it was placed on."""
    seat = await stage.engine.query(stage.engine.catalog["actor.seat"], SYSTEM, agent=agent)
    work = await stage.engine.query(stage.engine.catalog["run.work"], SYSTEM, run=seat.run)
    await stage.engine.execute(run_commands.start, SYSTEM, run=seat.run, session=f"ses_{name}")
    return str(work.run.server)
