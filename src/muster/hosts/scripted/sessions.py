"""Sessions in memory: what was asked, what was answered, and what is being worked on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from anyio import CancelScope

from muster.hosts.contract import SessionWish, Sight, Standing, TurnWish
from muster.model.delivery import Arrival
from muster.model.facts import Line
from muster.model.ids import SessionId, TurnId
from muster.model.spent import NOTHING, Spent


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a turn comes to. With an `error` it failed, and `output` is what stood there until then."""

    output: str = ""
    error: str | None = None
    final: bool = False
    tokens: int = 10
    cost_usd: float = 0.001
    steps: int = 1

    @property
    def spent(self) -> Spent:
        return Spent(tokens=self.tokens, cost_usd=self.cost_usd, steps=self.steps)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Play: TypeAlias = Callable[[TurnWish], Awaitable[Reply]] | Mapping[str, Reply | str]


async def perform(play: Play, wish: TurnWish) -> Reply:
    """A table answers the first of its keys that stands in the prompt, and echoes the prompt where none does."""
    if not isinstance(play, Mapping):
        return await play(wish)
    text = "\n".join(wish.parts)
    found = next((reply for key, reply in play.items() if key in text), text)
    return Reply(output=found) if isinstance(found, str) else found


@dataclass(slots=True)
class Asked:
    """One turn of a session. `work` is there while somebody works on it."""

    wish: TurnWish
    at: str
    reply: Reply | None = None
    work: CancelScope | None = None
    answered_at: datetime = EPOCH

    @property
    def standing(self) -> Standing:
        if self.work is not None:
            return Standing.OPEN
        if self.reply is None:
            return Standing.STALLED
        return Standing.FAILED if self.reply.error else Standing.ANSWERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The answer of a tool call, and the turn in which it was made."""

    turn: TurnId
    text: str


@dataclass(slots=True)
class Session:
    """A conversation, with its turns in the order in which they came."""

    id: SessionId
    wish: SessionWish
    turns: dict[TurnId, Asked] = field(default_factory=dict)
    spent: Spent = NOTHING
    calls: dict[str, Arrival] = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)

    def ask(self, wish: TurnWish) -> Asked | None:
        """The turn, if it is to be worked on now; None where it is answered or in work."""
        asked = self.turns.setdefault(wish.id, Asked(wish=wish, at=_now()))
        if asked.standing in (Standing.ANSWERED, Standing.OPEN):
            return None
        asked.reply = None
        return asked

    def settle(self, asked: Asked, reply: Reply) -> None:
        asked.reply, asked.answered_at = reply, datetime.now(UTC)
        self.spent += reply.spent

    def interrupt(self, reply: Reply | None) -> None:
        """End whatever is worked on: with a reply when it was aborted, without one when its server died."""
        for asked in self.turns.values():
            if asked.work is not None:
                asked.work.cancel()
                asked.work, asked.reply = None, reply

    def sight(self, turn: TurnId) -> Sight:
        asked = self.turns.get(turn)
        reply = (asked.reply if asked else None) or Reply()
        at_work = any(one.work is not None for one in self.turns.values())  # on whichever turn, as in OpenCode
        if asked is None:
            return Sight(standing=Standing.ABSENT, spent=self.spent)
        return Sight(
            standing=Standing.OPEN if at_work else asked.standing,
            output=reply.output,
            error=reply.error,
            final=reply.final,
            spent=self.spent,
        )

    def arrival(self, turn: TurnId) -> Arrival:
        """Turns are answered one by one here, so a turn is read once it, or one after it, is answered."""
        if turn not in self.turns:
            return Arrival.ABSENT
        later = list(self.turns)[list(self.turns).index(turn) :]
        answered = any(self.turns[one].standing is Standing.ANSWERED for one in later)
        return Arrival.SEEN if answered else Arrival.STANDS

    def call_arrival(self, call: str) -> Arrival:
        if call in self.heard:
            return self.arrival(self.heard[call].turn)
        at_work = any(asked.work is not None for asked in self.turns.values())
        return self.calls.get(call, Arrival.PENDING if at_work else Arrival.ABSENT)

    def arrival_since(self, moment: datetime) -> Arrival:
        answered = [asked for asked in self.turns.values() if asked.standing is Standing.ANSWERED]
        return Arrival.SEEN if any(asked.answered_at > moment for asked in answered) else Arrival.STANDS

    def lines(self) -> tuple[Line, ...]:
        found: list[Line] = []
        for asked in self.turns.values():
            found += [Line(role="user", text=part, at=asked.at) for part in asked.wish.parts]
            if asked.reply and asked.reply.output:
                found.append(Line(role="assistant", text=asked.reply.output, at=asked.at))
            if asked.reply and asked.reply.error:
                found.append(Line(role="assistant", text=asked.reply.error, at=asked.at, status="error"))
        return tuple(found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
