"""Agents with hands: what each does in its checkout is a function of the folder, named by its prompt."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread

from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply

Work = Callable[[Path], None]


@dataclass
class Hands:
    """A prompt without work is echoed; one that begins with `fail` fails after its work."""

    work: dict[str, Work] = field(default_factory=dict)
    gate: anyio.Event = field(default_factory=anyio.Event)
    worked: anyio.Event = field(default_factory=anyio.Event)

    async def play(self, wish: TurnWish) -> Reply:
        prompt = wish.parts[-1]
        if prompt in self.work:
            await anyio.to_thread.run_sync(self.work[prompt], Path(wish.directory))
            self.worked.set()
        if prompt.startswith("hold"):
            await self.gate.wait()
        return Reply(error="no", output="so far", final=True) if prompt.startswith("fail") else Reply(output=prompt)
