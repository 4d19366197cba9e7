"""Who plays the agents of a scripted host, and lets the test say when they go on."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

from muster.hosts.contract import TurnWish
from muster.hosts.scripted import Reply
from unit.stage import WITHIN_SECONDS


@dataclass
class Cast:
    """Plays by the prompt: `hold` waits for the test, `fail …` fails, everything else is echoed."""

    asked: Counter[str] = field(default_factory=Counter)
    held: int = 0
    moved: anyio.Event = field(default_factory=anyio.Event)
    gate: anyio.Event = field(default_factory=anyio.Event)

    async def play(self, wish: TurnWish) -> Reply:
        prompt = wish.parts[-1]
        self.asked[prompt] += 1
        self._wake()
        if prompt.startswith("hold"):
            self.held += 1
            self._wake()
            try:
                await self.gate.wait()
            finally:
                self.held -= 1
                self._wake()
        if prompt.startswith("fail"):
            return Reply(error=prompt.removeprefix("fail "), output="so far")
        return Reply(output=prompt)

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(WITHIN_SECONDS):
            while not condition():
                await self.moved.wait()

    def _wake(self) -> None:
        self.moved.set()
        self.moved = anyio.Event()
