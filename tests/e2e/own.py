"""The person's own OpenCode with the bridge installed, as `muster init` leaves it: another process than Muster's."""

import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
import httpx2

from e2e.stage import MUSTER, OPENCODE, Stage

LISTENING = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnOpenCode:
    """`opencode serve`, in whose sessions a person types."""

    http: httpx2.AsyncClient
    process: subprocess.Popen[bytes]

    async def session(self, **more: Any) -> str:
        return (await self.http.post("/session", json=more)).json()["id"]

    async def say(self, session: str, text: str, **more: Any) -> None:
        """What the person types; returns at once."""
        body = {"parts": [{"type": "text", "text": text}], **more}
        assert (await self.http.post(f"/session/{session}/prompt_async", json=body)).status_code == 204

    async def messages(self, session: str) -> list[dict[str, Any]]:
        return (await self.http.get(f"/session/{session}/message")).json()

    async def texts(self, session: str, role: str) -> list[str]:
        """What was said in a session, by `user` or `assistant`, in order."""
        return [
            part["text"]
            for message in await self.messages(session)
            for part in message["parts"]
            if message["info"]["role"] == role and part["type"] == "text"
        ]

    async def idle(self, session: str, *, answers: int, within: float = 40) -> list[str]:
        """What was answered, once nothing runs and there are so many answers."""
        with anyio.fail_after(within):
            while True:
                said = await self.texts(session, "assistant")
                if len(said) >= answers and not (await self.http.get("/session/status")).json().get(session):
                    return said
                await anyio.sleep(0.1)


async def install_bridge(on: Stage) -> None:
    await anyio.run_process([*MUSTER, "init"], env=on.env)


@asynccontextmanager
async def own_opencode(on: Stage, **environment: str) -> AsyncIterator[OwnOpenCode]:
    """Ended with the context, as a person closes a window; entered again it is the next one."""
    assert OPENCODE is not None
    log = on.folder / "own.log"
    begun = log.stat().st_size if log.exists() else 0
    env = on.env | {"PWD": str(on.project)} | environment
    with log.open("ab") as output:
        process = subprocess.Popen(
            [OPENCODE, "serve", "--port", "0"], env=env, cwd=on.project, stdout=output, stderr=output
        )
    try:
        with anyio.fail_after(30):
            while not (found := LISTENING.search(log.read_text()[begun:])):
                assert process.poll() is None, log.read_text()
                await anyio.sleep(0.05)
        directory = {"x-opencode-directory": str(on.project)}
        async with httpx2.AsyncClient(base_url=found[1], headers=directory, trust_env=False, timeout=30) as http:
            yield OwnOpenCode(http=http, process=process)
    finally:
        process.kill()
        await anyio.to_thread.run_sync(process.wait)
