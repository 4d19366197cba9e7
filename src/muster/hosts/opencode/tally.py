"""What a session has cost so far: the host's own totals, and the model requests counted in its messages.

Both with those of its sub-agents. What is remembered here saves reading long sessions anew; no truth rests on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any  # Any: OpenCode's JSON, which has no finite type

from muster.hosts.opencode.client import Client
from muster.model.spent import Spent

Json = Mapping[str, Any]
DEPTH = 8  # of sub-agents below an agent


@dataclass(slots=True)
class Counted:
    """The steps up to a message. `moved`: what the session said of its last change then."""

    last: str
    steps: int
    moved: int = 0


@dataclass(slots=True)
class Tally:
    client: Client
    _counted: dict[str, Counted] = field(default_factory=dict)

    async def of(self, session: Json, newest: Sequence[Json], children: Sequence[Json], directory: str) -> Spent:
        """`newest`: the session's newest messages, oldest of them first. `children`: its sub-agents' sessions."""
        spent = totals(session, await self._steps(session["id"], newest, directory))
        for child in children:
            spent += await self._of_child(child, DEPTH)
        return spent

    async def _of_child(self, child: Json, depth: int) -> Spent:
        directory, moved = child["directory"], child["time"]["updated"]
        known = self._counted.get(child["id"])
        if known is None or known.moved != moved:
            steps = await self._steps(child["id"], (), directory)
            self._counted[child["id"]] = Counted(last="", steps=steps, moved=moved)
        else:
            steps = known.steps
        spent = totals(child, steps)
        for grandchild in await self._children(child["id"], directory) if depth > 1 else ():
            spent += await self._of_child(grandchild, depth - 1)
        return spent

    async def _children(self, session: str, directory: str) -> Sequence[Json]:
        found: Sequence[Json] = await self.client.get(f"/session/{session}/children", directory, session=session)
        return found

    async def _steps(self, session: str, newest: Sequence[Json], directory: str) -> int:
        known = self._counted.get(session)
        following = None if known is None else _after(known.last, newest)
        if known is None or following is None:
            known = Counted(last="", steps=0)
            following = await self.client.get(f"/session/{session}/message", directory, session=session)
        ended = _ended(following)
        steps = known.steps + sum(map(_is_step, ended))
        last = ended[-1]["info"]["id"] if ended else known.last
        self._counted[session] = Counted(last=last, steps=steps)
        return steps


def totals(session: Json, steps: int) -> Spent:
    """Input, output, reasoning and cache, as OpenCode sums them up over a session."""
    tokens = session.get("tokens") or {}
    cache = tokens.get("cache") or {}
    counted = (tokens.get("input"), tokens.get("output"), tokens.get("reasoning"), *cache.values())
    return Spent(
        tokens=int(sum(count or 0 for count in counted)), cost_usd=float(session.get("cost") or 0), steps=steps
    )


def _after(last: str, newest: Sequence[Json]) -> Sequence[Json] | None:
    """What stands behind a message; None where that is out of sight."""
    for index, message in enumerate(newest):
        if message["info"]["id"] == last:
            return newest[index + 1 :]
    return None


def _ended(messages: Sequence[Json]) -> Sequence[Json]:
    """Up to an answer that is still being written. One that was broken off for good has others behind it."""
    answers = [index for index, message in enumerate(messages) if message["info"]["role"] == "assistant"]
    if not answers or messages[answers[-1]]["info"]["time"].get("completed"):
        return messages
    return messages[: answers[-1]]


def _is_step(message: Json) -> bool:
    """A request was made for it: an answer began."""
    return message["info"]["role"] == "assistant" and any(part["type"] == "step-start" for part in message["parts"])
