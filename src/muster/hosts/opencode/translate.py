"""OpenCode's JSON to the seam's records. Pure.

The rules about the end of a turn were measured on the real program (1.18): a message or a part that is sent again under
its old id stands once and keeps its place, but its time is that of the last try, so what came after it is known by
place and not by time; prompts that arrive while the session works are merged into the running loop, so the last answer
may have another prompt as its parent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any  # Any: OpenCode's JSON, which has no finite type

from muster.hosts.contract import Hint, ReplyWish, Sight, Standing, TurnWish
from muster.model.ask import AskKind, HostAsk, Option, Question
from muster.model.facts import Line
from muster.model.ids import SessionId, TurnId
from muster.model.spent import Spent

Json = Mapping[str, Any]

# The loop goes on after these; a session that stands still with one of them was interrupted.
UNFINISHED = {"tool-calls", "unknown"}
RUNNING = {"pending", "running"}
# Statuses that no later try can mend: no or a wrong key, no right, no such model.
FINAL_STATUSES = {401, 403, 404}
ABORTED = "Aborted"
PATTERN_LETTERS = 4000  # of what a permission is wanted for: a command may hold a whole file
TURNING = {"session.idle", "session.error", "session.compacted"}
ASKING = {"permission.asked", "permission.replied", "question.asked", "question.replied", "question.rejected"}
# How the words begin of a refusal that ended the turn: one of `doom_loop` does, whatever comes with it.
REFUSED = "The user rejected permission"


def message_id(turn: TurnId) -> str:
    return f"msg_{turn}"


def part_id(turn: TurnId, index: int) -> str:
    return f"prt_{turn}_{index:03d}"


def prompt(wish: TurnWish) -> dict[str, Any]:
    """The body that makes sure that a turn is answered, however often it is sent."""
    parts = [{"id": part_id(wish.id, index), "type": "text", "text": text} for index, text in enumerate(wish.parts)]
    body: dict[str, Any] = {"messageID": message_id(wish.id), "agent": wish.persona, "parts": parts}
    if wish.model:
        provider, _, model = wish.model.partition("/")
        body["model"] = {"providerID": provider, "modelID": model}
    return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What was read of a session: its status (None is idle), the turn's own message, the newest messages in order."""

    status: Json | None
    question: Json | None
    newest: Sequence[Json]
    spent: Spent

    @property
    def at_work(self) -> bool:
        return self.status is not None

    @property
    def answer(self) -> Json | None:
        """The assistant message that tells how the turn stands: its own finished answer, else the newest after it."""
        after = [message for message in self._after() if self._may_answer(message["info"])]
        own = [message for message in after if self._is_own(message["info"]) and _is_good(message["info"])]
        candidates = own or after
        return candidates[-1] if candidates else None

    @property
    def said_so_far(self) -> str:
        """The newest words of the turn, for as long as it has no answer; a step that has just begun has none yet."""
        words = (_said(message["parts"]) for message in reversed(self._after()) if _is_answer(message["info"]))
        return next((text for text in words if text), "")

    def last_moved_at(self) -> float:
        """Seconds since the epoch."""
        infos = [message["info"] for message in (self.question, self.answer) if message]
        return max((_milliseconds(info) for info in infos), default=0) / 1000

    def _after(self) -> Sequence[Json]:
        """What stands behind the question; a question older than the newest messages has all of them behind it."""
        if self.question is None:
            return []
        for index, message in enumerate(self.newest):
            if message["info"]["id"] == self.question["info"]["id"]:
                return self.newest[index + 1 :]
        return self.newest

    def _may_answer(self, info: Json) -> bool:
        return _is_answer(info) and (self.question is None or was_asked_with(self.question, info, self.newest))

    def _is_own(self, info: Json) -> bool:
        return self.question is not None and info.get("parentID") == self.question["info"]["id"]


def sight(reading: Reading) -> Sight:
    """How far a turn has got."""
    if reading.question is None:
        return Sight(standing=Standing.ABSENT, spent=reading.spent)
    info = reading.answer["info"] if reading.answer else {}
    parts = reading.answer["parts"] if reading.answer else []
    standing = _standing(reading, info)
    return Sight(
        standing=standing,
        output=_said(parts) if standing is Standing.ANSWERED else reading.said_so_far,
        error=_retrying(reading.status) if reading.at_work else _failure(info),
        final=not reading.at_work and _is_final(info),
        refused=not reading.at_work and (_failure(info) or "").startswith(REFUSED),
        spent=reading.spent,
        tool=_running_tool(parts) if reading.at_work else None,
        closing=reading.at_work and _is_good(info),
        retry_at=_retry_at(reading.status),
    )


def _said(parts: Sequence[Json]) -> str:
    return "".join(part["text"] for part in parts if _is_said(part))


def _standing(reading: Reading, info: Json) -> Standing:
    if reading.at_work:
        return Standing.OPEN
    if _failure(info):
        return Standing.FAILED
    return Standing.ANSWERED if _is_good(info) else Standing.STALLED


def has_new_answer(before: Reading, now: Reading) -> bool:
    """True where an assistant message stands that did not stand before."""
    old = {message["info"]["id"] for message in before.newest}
    return any(message["info"]["role"] == "assistant" and message["info"]["id"] not in old for message in now.newest)


def hint(event: Json, tools: dict[SessionId, str]) -> Hint | None:
    """What an event says to whoever waits, if anything; `tools` remembers the tool that runs in each session."""
    payload: Json = event.get("payload") or {}
    kind = payload.get("type", "")
    properties: Json = payload.get("properties") or {}
    part: Json = properties.get("part") or {}
    info: Json = properties.get("info") or {}
    named = properties.get("sessionID") or part.get("sessionID")
    if not named or not kind.startswith(("session.", "message.", "permission.", "question.")):
        return None
    session = SessionId(named)
    if kind in ASKING:
        return Hint(session=session, turning=False, asking=True, tool=tools.get(session))
    before = tools.get(session)
    if part.get("type") == "tool":
        _note_tool(session, part, tools)
    turning = kind in TURNING or _ends_step(kind, properties, part, info)
    tool = tools.get(session)
    return Hint(session=session, turning=turning, tool=tool, stirring_only=not turning and tool == before)


def parent(event: Json) -> tuple[SessionId, SessionId] | None:
    """A sub-agent's session and the one that it works for."""
    payload: Json = event.get("payload") or {}
    info: Json = (payload.get("properties") or {}).get("info") or {}
    if payload.get("type") not in ("session.created", "session.updated") or not info.get("parentID"):
        return None
    return SessionId(info["id"]), SessionId(info["parentID"])


def refusal(event: Json) -> tuple[SessionId, str] | None:
    """The session and the words of an error that may leave no trace in the messages (no such model)."""
    payload: Json = event.get("payload") or {}
    properties: Json = payload.get("properties") or {}
    if payload.get("type") != "session.error" or not properties.get("sessionID"):
        return None
    return SessionId(properties["sessionID"]), _failure(properties) or "unknown error"


def permission_ask(told: Json, session: SessionId) -> HostAsk:
    pattern = ", ".join(str(pattern) for pattern in told.get("patterns") or [])
    return HostAsk(
        id=told["id"],
        session=session,
        kind=AskKind.PERMISSION,
        what=told["permission"],
        pattern=pattern[:PATTERN_LETTERS],
    )


def question_ask(told: Json, session: SessionId) -> HostAsk:
    questions = tuple(_question(one) for one in told.get("questions") or [])
    what = questions[0].question if questions else ""
    return HostAsk(id=told["id"], session=session, kind=AskKind.QUESTION, what=what, pattern="", questions=questions)


def reply(wish: ReplyWish) -> tuple[str, dict[str, Any]]:
    """The route and the body that answer an ask. A rejection without a message would end the turn."""
    match wish.kind:
        case AskKind.PERMISSION if wish.allowed:
            return f"/permission/{wish.id}/reply", {"reply": "once"}
        case AskKind.PERMISSION:
            return f"/permission/{wish.id}/reply", {"reply": "reject", "message": wish.words[0]}
        case AskKind.QUESTION:
            return f"/question/{wish.id}/reply", {"answers": [[words] for words in wish.words]}


def withdrawal(ask: HostAsk) -> tuple[str, dict[str, Any]]:
    """The route and the body that end an ask of a session that does nothing any more."""
    match ask.kind:
        case AskKind.PERMISSION:
            return f"/permission/{ask.id}/reply", {"reply": "reject"}
        case AskKind.QUESTION:
            return f"/question/{ask.id}/reject", {}


def _question(told: Json) -> Question:
    options = [
        Option(label=str(option.get("label", "")), description=str(option.get("description", "")))
        for option in told.get("options") or []
    ]
    return Question(question=str(told.get("question", "")), options=tuple(options), multiple=bool(told.get("multiple")))


def lines(messages: Sequence[Json]) -> tuple[Line, ...]:
    """A transcript: what was said, and each tool call on a line of its own."""
    return tuple(line for message in messages for line in _message_lines(message["info"], message["parts"]))


def _message_lines(info: Json, parts: Sequence[Json]) -> list[Line]:
    at = datetime.fromtimestamp(info["time"]["created"] / 1000, UTC).isoformat(timespec="milliseconds")
    found: list[Line] = []
    for part in parts:
        if part["type"] == "text" and part["text"]:
            found.append(Line(role=info["role"], text=part["text"], at=at))
        elif part["type"] == "tool":
            state = part["state"]
            text = state.get("output") or state.get("error") or ""
            found.append(Line(role="tool", text=text, at=at, tool=part["tool"], status=state["status"]))
    if words := _failure(info):
        found.append(Line(role=info["role"], text=words, at=at, status="error"))
    return found


def _is_answer(info: Json) -> bool:
    """A summary is what a compaction leaves for the model to read, no answer."""
    return info["role"] == "assistant" and not info.get("summary")


def was_asked_with(prompt: Json, step: Json, newest: Sequence[Json]) -> bool:
    """Whether the request of a step that stands behind a prompt had that prompt in it.

    OpenCode reads the messages first and notes the step then, so a prompt that comes in between stands before it all
    the same. The step's parent is the latest prompt that was read, by OpenCode's own order of times.
    """
    prompts = {message["info"]["id"]: message["info"] for message in newest if message["info"]["role"] == "user"}
    asked, parent = prompt["info"], prompts.get(step["parentID"])
    if asked["id"] not in prompts:
        return True
    return parent is not None and _moment(parent) >= _moment(asked)


def _moment(info: Json) -> tuple[int, str]:
    return int(info["time"]["created"]), str(info["id"])


def is_ended_step(info: Json) -> bool:
    """A model request that came to its end, whether the turn goes on after it or not."""
    ended = bool(info.get("time", {}).get("completed")) and bool(info.get("finish"))
    return ended and _is_answer(info) and not info.get("error")


def _is_good(info: Json) -> bool:
    return bool(info.get("time", {}).get("completed")) and not info.get("error") and _is_finished(info)


def _is_finished(info: Json) -> bool:
    return bool(info.get("finish")) and info["finish"] not in UNFINISHED


def _is_said(part: Json) -> bool:
    return part["type"] == "text" and not part.get("synthetic") and not part.get("ignored")


def _milliseconds(info: Json) -> int:
    time = info["time"]
    return int(time.get("completed") or time["created"])


def _retrying(status: Json | None) -> str | None:
    return status.get("message") if status and status["type"] == "retry" else None


def _retry_at(status: Json | None) -> datetime | None:
    if not status or status["type"] != "retry":
        return None
    return datetime.fromtimestamp(status["next"] / 1000, UTC)


def _failure(info: Json) -> str | None:
    error = info.get("error")
    if not error:
        return ABORTED if _is_cut_short(info) else None
    message = error.get("data", {}).get("message")
    return str(message or error["name"])


def _is_cut_short(info: Json) -> bool:
    """An abort while the provider is waited for closes the message with neither a finish nor an error."""
    closed = bool(info.get("time", {}).get("completed"))
    return closed and not info.get("finish") and info.get("role") == "assistant"


def _is_final(info: Json) -> bool:
    error = info.get("error") or {}
    return error.get("name") == "ProviderAuthError" or error.get("data", {}).get("statusCode") in FINAL_STATUSES


def _running_tool(parts: Sequence[Json]) -> str | None:
    running = [part["tool"] for part in parts if part["type"] == "tool" and part["state"]["status"] in RUNNING]
    return running[-1] if running else None


def _note_tool(session: SessionId, part: Json, tools: dict[SessionId, str]) -> None:
    if part["state"]["status"] in RUNNING:
        tools[session] = part["tool"]
    else:
        tools.pop(session, None)


def _ends_step(kind: str, properties: Json, part: Json, info: Json) -> bool:
    if kind == "session.status":
        return bool(properties["status"]["type"] != "busy")
    if kind == "message.part.updated":
        return part.get("type") == "step-finish"
    return kind == "message.updated" and info.get("role") == "assistant" and "completed" in info["time"]
