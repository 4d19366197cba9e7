"""What agents stand still for is written down, answered, and told to the host: once, in this order."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from muster.commands.endings import withdraw_ask
from muster.commands.texts import not_blank
from muster.errors import BadValue, InvalidInput, Stale
from muster.model.actor import Actor
from muster.model.ask import OPEN, Answer, Ask, AskKind, AskState, HostAsk, OnAsk, Verdict
from muster.model.fleet import Fleet
from muster.model.ids import AskId, RunId, ServerId
from muster.model.run import LIVE, Run
from muster.prompts.refusal import REFUSAL, operators_refusal
from muster.store.records import Transaction
from muster.verbs import Operator, Settles, System, command

OPERATOR, POLICY = "operator", "policy"
STANDING = (*OPEN, AskState.DELIVERED)


Words = Annotated[str, Field(max_length=10_000), AfterValidator(not_blank)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    ask_id: AskId


@command(by=System)
def ask(tx: Transaction, actor: Actor, run: RunId, told: HostAsk, policy: OnAsk, timeout: timedelta) -> None:
    """A run stands still. What a policy can answer is answered here, its project's before the hub's; the rest waits for
    the operator.

    Told again, or of a run that has ended meanwhile, it changes nothing.
    """
    row = tx.get(Run, run)
    known = row.server is None or tx.any(Ask, server=row.server, host_id=told.id, state=STANDING)
    if known or row.state not in LIVE:
        return
    verdict = _by_policy(tx.get(Fleet, row.fleet).on_ask or policy, told)
    asked = _written(tx, row, told, None if verdict else tx.now + timeout)
    if verdict:
        _decide(tx, asked, verdict)


@command(
    by=Operator,
    settles=Settles(view="ask.brief", until=lambda _, latest, __: latest.state is not AskState.DECIDED),
)
def answer(
    tx: Transaction,
    actor: Actor,
    ask_id: AskId,
    answers: list[Words] | None = None,
    sentence: Words | None = None,
    *,
    allow: bool | None = None,
) -> Answered:
    """Answer what an agent waits for. `allow` true grants a permission, this time only; false refuses, and `sentence`
    tells the agent why. A question takes `answers`: one text for each, an option's label or words of your own.
    """
    waiting = tx.get(Ask, ask_id)
    _decide(tx, waiting, _by_operator(waiting, answers, sentence, allow=allow))
    return Answered(ask_id=waiting.id)


@command(by=System)
def expire(tx: Transaction, actor: Actor, ask: AskId) -> None:
    """Nobody answered in time: it is refused. Refused itself before that moment."""
    waiting = tx.get(Ask, ask)
    if waiting.deadline_at is None or tx.now < waiting.deadline_at:
        raise Stale(kind="ask", id=ask, state="within its time")
    _decide(tx, waiting, _refusal(len(waiting.questions), REFUSAL, POLICY))


@command(by=System)
def deliver(tx: Transaction, actor: Actor, ask: AskId) -> None:
    """The host took the answer."""
    delivered, event = tx.get(Ask, ask).deliver()
    tx.save(delivered)
    tx.record(event)


@command(by=System)
def withdraw(tx: Transaction, actor: Actor, ask: AskId) -> None:
    """The host no longer waits for it."""
    withdraw_ask(tx, tx.get(Ask, ask))


def _written(tx: Transaction, run: Run, told: HostAsk, deadline_at: datetime | None) -> Ask:
    asked = Ask(
        id=AskId(tx.new_id(Ask)),
        agent=run.agent,
        fleet=run.fleet,
        run=run.id,
        server=run.server or ServerId(""),
        host_id=told.id,
        kind=told.kind,
        what=told.what,
        pattern=told.pattern,
        questions=told.questions,
        asked_at=tx.now,
        deadline_at=deadline_at,
    )
    tx.add(asked)
    tx.record(asked.ask())
    return asked


def _by_policy(policy: OnAsk, told: HostAsk) -> Verdict | None:
    match policy:
        case OnAsk.OPERATOR:
            return None
        case OnAsk.ALLOW if told.kind is AskKind.PERMISSION:
            return Verdict(answer=Answer.ALLOWED, words=(), by=POLICY)
        case OnAsk.ALLOW | OnAsk.REFUSE:
            return _refusal(len(told.questions), REFUSAL, POLICY)


def _by_operator(ask: Ask, answers: list[str] | None, sentence: str | None, *, allow: bool | None) -> Verdict:
    if (allow is None) == (answers is None):
        raise InvalidInput(why="Give either `allow` or `answers`.")
    if sentence is not None and allow is not False:
        raise InvalidInput(why="`sentence` says why something is refused; it goes with `allow` false.")
    if allow is False:
        return _refusal(len(ask.questions), operators_refusal(sentence), OPERATOR)
    if answers is None:
        return _permission(ask)
    return _reply(ask, answers)


def _permission(ask: Ask) -> Verdict:
    if ask.kind is AskKind.QUESTION:
        raise InvalidInput(why=f"Ask {ask.id} is a question, which cannot be allowed; it takes `answers`.")
    return Verdict(answer=Answer.ALLOWED, words=(), by=OPERATOR)


def _reply(ask: Ask, answers: list[str]) -> Verdict:
    if ask.kind is AskKind.PERMISSION:
        raise InvalidInput(why=f"Ask {ask.id} is a permission, which has no answer in words; it takes `allow`.")
    if len(answers) != len(ask.questions):
        expected = f"one text for each question ({len(ask.questions)})"
        raise BadValue(field="answers", expected=expected, got=f"{len(answers)}")
    return Verdict(answer=Answer.ANSWERED, words=tuple(answers), by=OPERATOR)


def _refusal(questions: int, sentence: str, by: str) -> Verdict:
    return Verdict(answer=Answer.REFUSED, words=(sentence,) * max(1, questions), by=by)


def _decide(tx: Transaction, ask: Ask, verdict: Verdict) -> None:
    decided, event = ask.decide(verdict, tx.now)
    tx.save(decided)
    tx.save(tx.get(Run, ask.run).stir(tx.now))
    tx.record(event)
