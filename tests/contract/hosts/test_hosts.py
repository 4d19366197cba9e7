"""What every host promises."""

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from contract.hosts.stages import ASK_LEAVE, ASK_QUESTION, FAIL, HOLD, WITHIN_SECONDS, Served, asked, settled
from muster.errors import HostAway, HostFailed, SessionLost
from muster.hosts.contract import Hint, ReplyWish, SessionWish, Standing, TurnWish
from muster.model.ask import AskKind, HostAsk, Option, Question
from muster.model.facts import Line
from muster.model.ids import AgentId, RunId, SessionId, TurnId

pytestmark = pytest.mark.anyio

PROMPTS = (
    "--version",
    "\"double\" and 'single' $HOME `ls`",
    "one\n\n  two\ttabs\r\nthree\n",
    "naïve 😀 日本",
    "x" * 1_000_000,
)
ENDED = (Standing.ANSWERED, Standing.FAILED)


def session_wish(directory: Path, run: str = "run_1") -> SessionWish:
    return SessionWish(
        agent=AgentId("agt_1"),
        run=RunId(run),
        directory=str(directory),
        title="An agent",
        persona="build",
        model=None,
        tools=(),
    )


def turn_wish(session: SessionId, directory: Path, *parts: str, turn: str = "trn_1") -> TurnWish:
    return TurnWish(
        id=TurnId(turn), session=session, directory=str(directory), parts=parts, persona="build", model=None
    )


async def opened(served: Served, directory: Path, *parts: str) -> TurnWish:
    """A session, and a turn in it that is not sent yet."""
    return turn_wish(await served.connection.open_session(session_wish(directory)), directory, *parts)


async def test_session_of_a_run_is_opened_once(served, directory):
    first = await served.connection.open_session(session_wish(directory))
    again = await served.connection.open_session(session_wish(directory))
    other = await served.connection.open_session(session_wish(directory, run="run_2"))
    assert first == again
    assert first != other


async def test_session_is_found_again_after_its_server_was_replaced(served, directory):
    session = await served.connection.open_session(session_wish(directory))
    served.stage.crash(served.wish, served.process)
    replaced = await served.restart()
    assert await replaced.connection.open_session(session_wish(directory)) == session
    await replaced.connection.aclose()


async def test_turn_that_was_not_sent_is_absent(served, directory):
    turn = await opened(served, directory, "hello")
    assert (await served.connection.look(turn)).standing is Standing.ABSENT


async def test_turn_is_open_until_it_is_answered(served, directory):
    turn = await opened(served, directory, HOLD)
    await served.connection.send(turn)
    await served.stage.held()
    assert (await served.connection.look(turn)).standing is Standing.OPEN
    served.stage.release()
    seen = await settled(served.connection, turn, *ENDED)
    assert (seen.standing, seen.output, seen.error) == (Standing.ANSWERED, "released", None)
    assert seen.spent is not None
    assert seen.spent.tokens > 0
    assert seen.spent.steps == 1
    assert seen.spent.cost_usd > 0


async def test_turn_sent_twice_is_asked_of_the_model_once(served, directory):
    turn = await opened(served, directory, HOLD)
    await served.connection.send(turn)
    await served.connection.send(turn)
    await served.stage.held()
    served.stage.release()
    await settled(served.connection, turn, *ENDED)
    await served.connection.send(turn)
    assert (await served.connection.look(turn)).standing is Standing.ANSWERED
    assert served.stage.asked == 1


async def test_turn_is_asked_again_after_a_failure(served, directory):
    turn = await opened(served, directory, FAIL)
    for times in (1, 2):
        await served.connection.send(turn)
        seen = await settled(served.connection, turn, *ENDED)
        assert (seen.standing, seen.final) == (Standing.FAILED, False)
        assert "a scripted failure" in seen.error
        assert served.stage.asked == times


async def test_turn_that_follows_an_answered_one_has_its_own_output(served, directory):
    first = await opened(served, directory, "one")
    second = turn_wish(first.session, directory, "two", turn="trn_2")
    for turn in (first, second):
        assert (await served.connection.look(turn)).standing is Standing.ABSENT
        await served.connection.send(turn)
        await settled(served.connection, turn, *ENDED)
    assert [(await served.connection.look(turn)).output for turn in (first, second)] == ["one", "two"]


async def test_turn_stalls_when_its_server_dies_and_is_answered_when_sent_again(served, directory):
    turn = await opened(served, directory, HOLD)
    await served.connection.send(turn)
    await served.stage.held()
    served.stage.crash(served.wish, served.process)
    replaced = await served.restart()
    assert (await replaced.connection.look(turn)).standing is Standing.STALLED
    served.stage.release()
    await replaced.connection.send(turn)
    seen = await settled(replaced.connection, turn, *ENDED)
    assert (seen.standing, seen.output) == (Standing.ANSWERED, "released")
    await replaced.connection.aclose()


async def test_answer_stands_after_its_server_died(served, directory):
    turn = await opened(served, directory, "hello")
    await served.connection.send(turn)
    before = await settled(served.connection, turn, *ENDED)
    served.stage.crash(served.wish, served.process)
    replaced = await served.restart()
    await replaced.connection.send(turn)
    assert await replaced.connection.look(turn) == before
    assert served.stage.asked == 1
    await replaced.connection.aclose()


async def test_abort_ends_the_turn_without_an_answer(served, directory):
    turn = await opened(served, directory, HOLD)
    await served.connection.send(turn)
    await served.stage.held()
    with anyio.fail_after(2):
        await served.connection.abort(turn.session, turn.directory)
        seen = await settled(served.connection, turn, *ENDED)
    assert seen.standing is Standing.FAILED
    assert seen.error


async def test_abort_of_an_idle_or_unknown_session_is_harmless(served, directory):
    turn = await opened(served, directory, "hello")
    await served.connection.abort(turn.session, turn.directory)
    await served.connection.abort(SessionId("ses_unknown"), turn.directory)
    assert (await served.connection.look(turn)).standing is Standing.ABSENT


async def test_hints_begin_with_a_call_to_look_and_tell_of_an_ended_turn(served, directory):
    turn = await opened(served, directory, "hello")
    with anyio.fail_after(WITHIN_SECONDS):
        hints = served.connection.hints()
        first = await anext(hints)
        await served.connection.send(turn)
        while not ((hint := await anext(hints)).turning and hint.session == turn.session):
            assert hint.session in (None, turn.session)
        await hints.aclose()
    assert first == Hint(session=None, turning=True)


async def test_unknown_session_is_lost(served, directory):
    await opened(served, directory)
    turn = turn_wish(SessionId("ses_unknown"), directory, "hello")
    for act in (served.connection.send, served.connection.look):
        with pytest.raises(SessionLost):
            await act(turn)
    with pytest.raises(SessionLost):
        await served.connection.transcript(turn.session, turn.directory)


async def test_unknown_persona_is_refused(served, directory):
    turn = await opened(served, directory, "hello")
    with pytest.raises(HostFailed):
        await served.connection.send(replace(turn, persona="nobody"))
    assert (await served.connection.look(turn)).standing is Standing.ABSENT


async def test_dead_server_is_away(served, directory):
    turn = await opened(served, directory, "hello")
    served.stage.crash(served.wish, served.process)
    for act in (served.connection.send, served.connection.look):
        with pytest.raises(HostAway):
            await act(turn)
    with pytest.raises(HostAway):
        await served.connection.open_session(session_wish(directory))
    assert not await served.connection.healthy()
    assert not served.stage.host.alive(served.process)


async def test_running_server_is_alive_and_healthy(served):
    assert served.stage.host.alive(served.process)
    assert not served.stage.host.alive(replace(served.process, started_at=served.process.started_at - 60))
    assert await served.connection.healthy()


async def test_stopped_server_is_gone_and_can_be_stopped_again(served):
    for _ in range(2):
        await served.stage.host.stop(served.wish.id)
        assert not served.stage.host.alive(served.process)


async def test_server_leaves_traces_while_it_runs(served):
    assert (await served.stage.host.traces()).servers == {served.wish.id}
    await served.stage.host.stop(served.wish.id)
    await served.stage.host.tidy(served.wish)
    assert (await served.stage.host.traces()).servers == set()


async def test_prompts_reach_the_model_verbatim(served, directory):
    session = await served.connection.open_session(session_wish(directory))
    outputs = []
    for number, text in enumerate(PROMPTS):
        turn = turn_wish(session, directory, text, turn=f"trn_{number}")
        await served.connection.send(turn)
        outputs.append((await settled(served.connection, turn, *ENDED)).output)
    assert outputs == list(PROMPTS)


async def test_transcript_holds_what_was_said_in_order(served, directory):
    turn = await opened(served, directory, "first part", "second part")
    await served.connection.send(turn)
    seen = await settled(served.connection, turn, *ENDED)
    lines = await served.connection.transcript(turn.session, turn.directory)
    assert [replace(line, at=None) for line in lines] == [
        Line(role="user", text="first part", at=None),
        Line(role="user", text="second part", at=None),
        Line(role="assistant", text=seen.output, at=None),
    ]
    assert all(line.at for line in lines)


async def test_personas_can_be_asked_for(served, directory):
    names = [persona.name for persona in served.stage.host.personas(str(directory))]
    assert "build" in names
    assert names == sorted(set(names))


def reply_wish(ask: HostAsk, directory: str, *words: str, allowed: bool = False) -> ReplyWish:
    return ReplyWish(id=ask.id, kind=ask.kind, directory=directory, allowed=allowed, words=words)


@pytest.mark.parametrize("allowed", [True, False])
async def test_permission_is_asked_for_and_the_turn_goes_on_with_the_reply(served, directory, allowed):
    turn = await opened(served, directory, ASK_LEAVE)
    await served.connection.send(turn)
    ask = await asked(served.connection, turn.directory)
    assert (ask.session, ask.kind, ask.what, ask.pattern) == (
        turn.session,
        AskKind.PERMISSION,
        "external_directory",
        "/etc/*",
    )
    assert (await served.connection.look(turn)).standing is Standing.OPEN
    words = () if allowed else ("Not today.",)
    assert await served.connection.reply(reply_wish(ask, turn.directory, *words, allowed=allowed))
    seen = await settled(served.connection, turn, *ENDED)
    assert (seen.standing, "Not today." in seen.output) == (Standing.ANSWERED, not allowed)
    assert await served.connection.asks(turn.directory) == ()


async def test_question_is_asked_with_its_options_and_answered_in_words(served, directory):
    turn = await opened(served, directory, ASK_QUESTION)
    await served.connection.send(turn)
    ask = await asked(served.connection, turn.directory)
    red = Option(label="red", description="warm")
    question = Question(question="Which?", options=(red,), multiple=True)
    assert (ask.session, ask.kind, ask.what, ask.questions) == (
        turn.session,
        AskKind.QUESTION,
        "Which?",
        (question,),
    )
    assert await served.connection.reply(reply_wish(ask, turn.directory, "rather blue"))
    seen = await settled(served.connection, turn, *ENDED)
    assert (seen.standing, "rather blue" in seen.output) == (Standing.ANSWERED, True)


@pytest.mark.parametrize("text", [ASK_LEAVE, ASK_QUESTION])
async def test_reply_to_what_nobody_waits_for_is_not_taken(served, directory, text):
    turn = await opened(served, directory, text)
    await served.connection.send(turn)
    ask = await asked(served.connection, turn.directory)
    for taken in (True, False):
        assert await served.connection.reply(reply_wish(ask, turn.directory, "No.")) is taken


@pytest.mark.parametrize("text", [ASK_LEAVE, ASK_QUESTION])
async def test_aborted_session_asks_no_more(served, directory, text):
    turn = await opened(served, directory, text)
    await served.connection.send(turn)
    await asked(served.connection, turn.directory)
    await served.connection.abort(turn.session, turn.directory)
    assert await served.connection.asks(turn.directory) == ()
    seen = await settled(served.connection, turn, *ENDED)
    assert (seen.standing, served.stage.asked) == (Standing.FAILED, 1)
