"""OpenCode's JSON to what the seam says."""

from datetime import UTC, datetime
from typing import Any

import pytest

from muster.hosts.contract import Hint, Sight, Standing, TurnWish
from muster.hosts.opencode.translate import Reading, hint, lines, parent, permission_ask, prompt, refusal, sight
from muster.model.facts import Line
from muster.model.ids import SessionId, TurnId
from muster.model.spent import Spent

TURN = "msg_trn_1"
BUSY = {"type": "busy"}
SPENT = Spent(tokens=31, cost_usd=0.5, steps=2)


def user(id: str = TURN, text: str = "go", at: int = 1000) -> dict[str, Any]:
    return {"info": {"id": id, "role": "user", "time": {"created": at}}, "parts": [{"type": "text", "text": text}]}


def assistant(parent: str = TURN, *parts: dict[str, Any], **info: Any) -> dict[str, Any]:
    told = {"id": f"msg_of_{parent}", "role": "assistant", "parentID": parent, "time": {"created": 500}} | info
    return {"info": told, "parts": list(parts)}


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def done(finish: str = "stop") -> dict[str, Any]:
    return {"finish": finish, "time": {"created": 500, "completed": 2000}}


def failed(**data: Any) -> dict[str, Any]:
    return {"error": {"name": "APIError", "data": data}, "time": {"created": 500, "completed": 2000}}


def seen(*newest: dict[str, Any], status: dict[str, Any] | None = None) -> Sight:
    question = next((message for message in newest if message["info"]["id"] == TURN), None)
    return sight(Reading(status=status, question=question, newest=newest, spent=SPENT))


def test_unknown_message_is_absent_and_the_totals_are_told():
    assert seen() == Sight(standing=Standing.ABSENT, spent=SPENT)


@pytest.mark.parametrize(
    ("messages", "status", "standing"),
    [
        ([user()], None, Standing.STALLED),
        ([user()], BUSY, Standing.OPEN),
        ([user(), assistant()], None, Standing.STALLED),
        ([user(), assistant(**done("tool-calls"))], None, Standing.STALLED),
        ([user(), assistant(**done("unknown"))], None, Standing.STALLED),
        ([user(), assistant(**done())], None, Standing.ANSWERED),
        ([user(), assistant(**done("length"))], None, Standing.ANSWERED),
        ([user(), assistant(**done())], BUSY, Standing.OPEN),
        ([user(), assistant(**failed(message="no"))], None, Standing.FAILED),
        ([user(), assistant(time={"created": 500, "completed": 2000})], None, Standing.FAILED),
        ([user(), assistant(time={"created": 500, "completed": 2000})], BUSY, Standing.OPEN),
        ([assistant("msg_before", **done()), user()], None, Standing.STALLED),
        ([user(), user("msg_later", at=1500), assistant("msg_later", **done())], None, Standing.ANSWERED),
        (
            [user(), assistant(**done()), user("msg_later", at=1500), assistant("msg_later", **failed())],
            None,
            Standing.ANSWERED,
        ),
        ([user(), assistant(**failed()), assistant(**done())], None, Standing.ANSWERED),
        ([user("msg_before", at=900), user(), assistant("msg_before", **done())], None, Standing.STALLED),
        ([user("msg_sent_again", at=1500), user(), assistant("msg_sent_again", **done())], None, Standing.ANSWERED),
        ([user(), assistant("msg_compaction", summary=True, **done())], None, Standing.STALLED),
    ],
)
def test_standing_follows_from_the_status_and_the_newest_answer(messages, status, standing):
    assert seen(*messages, status=status).standing is standing


def test_turn_older_than_the_newest_messages_is_answered_by_the_last_of_them():
    reading = Reading(status=None, question=user(), newest=[assistant("msg_x", said("late"), **done())], spent=SPENT)
    assert sight(reading) == Sight(standing=Standing.ANSWERED, output="late", spent=SPENT)


def test_output_is_what_was_said_and_nothing_else():
    parts = [said("thinking") | {"type": "reasoning"}, said("one "), said("hidden", synthetic=True), said("two")]
    assert seen(user(), assistant(TURN, *parts, **done())).output == "one two"


def test_output_is_of_the_turn_itself_where_a_later_one_was_answered_too():
    later = [user("msg_later", at=1500), assistant("msg_later", said("later"), **done())]
    assert seen(user(), assistant(TURN, said("mine"), **done()), *later).output == "mine"


@pytest.mark.parametrize(("status", "final"), [(400, False), (401, True), (403, True), (404, True), (500, False)])
def test_failure_has_the_providers_words_and_says_whether_it_is_final(status, final):
    told = seen(user(), assistant(**failed(message="no", statusCode=status)))
    assert (told.error, told.final) == ("no", final)


def test_retry_is_open_and_says_why():
    status = {"type": "retry", "message": "too many requests", "attempt": 1, "next": 60_000}
    told = seen(user(), assistant(), status=status)
    assert (told.standing, told.error) == (Standing.OPEN, "too many requests")
    assert told.retry_at == datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


def test_session_at_work_whose_answer_is_there_is_closing():
    assert seen(user(), assistant(**done()), status=BUSY).closing
    assert not seen(user(), assistant(**done("tool-calls")), status=BUSY).closing
    assert not seen(user(), assistant(**done())).closing


def test_running_tool_is_told_while_the_session_works():
    tools = [tool("read", "completed"), tool("bash", "running")]
    assert seen(user(), assistant(TURN, *tools), status=BUSY).tool == "bash"
    assert seen(user(), assistant(TURN, *tools)).tool is None


def test_prompt_has_ids_of_the_turn_so_that_it_can_be_repeated():
    wish = TurnWish(
        id=TurnId("trn_1"),
        session=SessionId("ses_1"),
        directory="/d",
        parts=("a", "b"),
        persona="build",
        model="provider/family/model",
    )
    assert prompt(wish) == {
        "messageID": TURN,
        "agent": "build",
        "parts": [
            {"id": "prt_trn_1_000", "type": "text", "text": "a"},
            {"id": "prt_trn_1_001", "type": "text", "text": "b"},
        ],
        "model": {"providerID": "provider", "modelID": "family/model"},
    }


@pytest.mark.parametrize(
    ("kind", "properties", "turning"),
    [
        ("session.idle", {}, True),
        ("session.error", {"error": {"name": "X"}}, True),
        ("session.status", {"status": {"type": "idle"}}, True),
        ("session.status", {"status": {"type": "busy"}}, False),
        ("message.part.updated", {"part": {"type": "step-finish"}}, True),
        ("message.part.updated", {"part": {"type": "text"}}, False),
        ("message.updated", {"info": {"role": "assistant", "time": {"completed": 1}}}, True),
        ("message.updated", {"info": {"role": "assistant", "time": {}}}, False),
        ("message.updated", {"info": {"role": "user", "time": {}}}, False),
    ],
)
def test_hint_says_where_a_step_or_turn_may_have_ended(kind, properties, turning):
    told = hint(event(kind, sessionID="ses_1", **properties), {})
    assert told == Hint(session=SessionId("ses_1"), turning=turning, stirring_only=not turning)


@pytest.mark.parametrize("kind", ["server.heartbeat", "plugin.added", "sync"])
def test_noise_is_no_hint(kind):
    assert hint(event(kind), {}) is None
    assert hint({"payload": {"type": kind}}, {}) is None


def test_hints_name_the_tool_from_its_start_to_its_end():
    tools: dict[SessionId, str] = {}
    events = [
        event("message.part.updated", sessionID="ses_1", part=tool("bash", "running")),
        event("message.updated", sessionID="ses_1", info={"role": "user", "time": {}}),
        event("message.part.updated", sessionID="ses_1", part=tool("bash", "completed")),
    ]
    hints = [hint(each, tools) for each in events]
    assert [(told.tool, told.stirring_only) for told in hints if told] == [
        ("bash", False),
        ("bash", True),
        (None, False),
    ]


def test_sub_agents_session_is_told_with_the_one_that_it_works_for():
    info = {"id": "ses_2", "parentID": "ses_1"}
    assert parent(event("session.created", sessionID="ses_2", info=info)) == ("ses_2", "ses_1")
    assert parent(event("session.created", sessionID="ses_1", info={"id": "ses_1"})) is None


def test_error_of_a_session_is_a_refusal_in_its_own_words():
    error = {"name": "UnknownError", "data": {"message": "Model not found: a/b."}}
    assert refusal(event("session.error", sessionID="ses_1", error=error)) == ("ses_1", "Model not found: a/b.")
    assert refusal(event("session.idle", sessionID="ses_1")) is None


def test_transcript_has_words_tools_and_errors():
    messages = [
        user(text="go"),
        assistant(TURN, said("I look"), tool("bash", "completed", output="a file"), **done("tool-calls")),
        assistant(TURN, tool("bash", "error", error="denied"), **failed(message="no key")),
    ]
    at = "1970-01-01T00:00:01.000+00:00"
    half = "1970-01-01T00:00:00.500+00:00"
    assert lines(messages) == (
        Line(role="user", text="go", at=at),
        Line(role="assistant", text="I look", at=half),
        Line(role="tool", text="a file", at=half, tool="bash", status="completed"),
        Line(role="tool", text="denied", at=half, tool="bash", status="error"),
        Line(role="assistant", text="no key", at=half, status="error"),
    )


def tool(name: str, status: str, **state: Any) -> dict[str, Any]:
    return {"type": "tool", "tool": name, "state": {"status": status, **state}}


def event(kind: str, **properties: Any) -> dict[str, Any]:
    return {"directory": "/d", "payload": {"type": kind, "properties": properties}}


@pytest.mark.parametrize("kind", ["permission.asked", "permission.replied", "question.asked", "question.rejected"])
def test_hint_says_that_somebody_asks_or_asks_no_more(kind):
    assert hint(event(kind, sessionID="ses_1"), {}) == Hint(session=SessionId("ses_1"), turning=False, asking=True)


def test_turn_that_a_refusal_ended_is_known_by_its_words():
    words = "The user rejected permission to use this specific tool call with the following feedback: no"
    assert seen(user(), assistant(**failed(message=words))).refused
    assert not seen(user(), assistant(**failed(message="500"))).refused


def test_permission_of_a_long_command_is_cut():
    told = {"id": "per_1", "permission": "bash", "patterns": ["x" * 5000]}
    assert len(permission_ask(told, SessionId("ses_1")).pattern) == 4000
