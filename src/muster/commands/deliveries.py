"""Deliveries go their way: reports and wishes of the deliveries reconciler."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from muster.commands.endings import let_lapse, note_rest, noting_rest, open_turns, queue_again
from muster.commands.proofs import give_up, note_return, note_seen
from muster.commands.turns import say
from muster.model.actor import Actor
from muster.model.agent import Agent, Wanted, why_gone, why_unread
from muster.model.delivery import BATCH, Arrival, Delivery, first_batch
from muster.model.event import TurnComposed
from muster.model.fleet import Fleet
from muster.model.ids import AgentId, WakeupId
from muster.model.message import Message
from muster.model.run import Run, RunState
from muster.model.turn import Ending, Turn, TurnKind
from muster.model.wakeup import Wakefulness, Wakeup, pair_of
from muster.prompts.messages import digest
from muster.store import inboxes
from muster.store.decisions import proposals_among
from muster.store.records import Transaction
from muster.store.statements import Above
from muster.verbs import System, command

HELD = "{who} woke each other {limit} times by messages. `muster resume {fleet}` lets them go on."


@command(by=System)
def compose(tx: Transaction, actor: Actor, agent: AgentId, wakefulness: Wakefulness) -> None:
    """Write the prompt that brings an agent what waits for it: all of it when it is idle, else what is urgent.

    A run whose turns were cut is ending: nothing is brought into it any more. What it left unread is settled first.
    """
    row = tx.get(Agent, agent)
    run = tx.get(Run, row.run)
    if row.wanted is Wanted.STOPPED or row.paused is not None:
        return
    if run.state is RunState.ENDED:
        if why_unread(row, run) and inboxes.any_underway(tx, [agent]):
            return
        _wake(tx, row, run, wakefulness)
    elif run.state is RunState.WORKING:
        turns = open_turns(tx, agent)
        if turns and all(turn.sent_in == run.id for turn in turns):
            _interject(tx, row)


@command(by=System)
def prove(tx: Transaction, actor: Actor, agent: AgentId, arrivals: Mapping[str, Arrival]) -> None:
    """Note how far that has got which was brought to an agent, or taken by it, and settle what cannot arrive any more.

    `arrivals`: what was read in its conversation, by turn, call or delivery; what is not in it could not be read.
    """
    row = tx.get(Agent, agent)
    run = tx.get(Run, row.run)
    with noting_rest(tx, row.fleet) if run.state is RunState.ENDED else nullcontext():
        for delivery in inboxes.underway(tx, agent):
            _settle(tx, delivery, arrivals.get(delivery.mark), row, run)
        if (gone := why_gone(row, run)) is not None:
            for delivery in inboxes.all_waiting(tx, agent):
                give_up(tx, delivery, gone)


def _settle(tx: Transaction, delivery: Delivery, arrival: Arrival | None, agent: Agent, run: Run) -> None:
    if arrival is Arrival.SEEN:
        note_seen(tx, delivery)
    elif delivery.turn is None and arrival is Arrival.ABSENT:
        note_return(tx, delivery)
    elif (why := why_unread(agent, run)) is not None:
        give_up(tx, delivery, why)
    elif delivery.turn is not None:
        _settle_carried(tx, delivery, tx.get(Turn, delivery.turn), arrival, run)


def _settle_carried(tx: Transaction, delivery: Delivery, turn: Turn, arrival: Arrival | None, run: Run) -> None:
    """What is absent may still arrive for as long as the turn is open, or the run that sent it goes on."""
    if turn.ending is Ending.ANSWERED:
        note_seen(tx, delivery)
    elif arrival is Arrival.STANDS and delivery.injected_at is None:
        stands, event = delivery.inject(tx.now)
        tx.save(stands)
        tx.record(event)
    elif arrival is Arrival.ABSENT and turn.begun_at and turn.ending and not _may_send(run, turn):
        note_return(tx, delivery)


def _may_send(run: Run, turn: Turn) -> bool:
    """`run` is the newest of the turn's agent."""
    return run.state is not RunState.ENDED and turn.sent_in in (None, run.id)


def _wake(tx: Transaction, agent: Agent, run: Run, wakefulness: Wakefulness) -> None:
    let_lapse(tx, agent)
    free = _free_to_wake(tx, agent, wakefulness)
    if not free:
        note_rest(tx, agent.fleet)  # what would have woken it is held back: where nothing else goes on, the fleet rests
        return
    chosen = first_batch(free)
    turn = _bring(tx, agent, chosen, at_work=False)
    queue_again(tx, run, agent)
    for sender in {delivery.sender for delivery in chosen if delivery.sender is not None}:
        tx.add(_wakeup(tx, agent, sender, turn))


def _wakeup(tx: Transaction, agent: Agent, sender: AgentId, turn: Turn) -> Wakeup:
    pair = pair_of(sender, agent.id)
    return Wakeup(id=WakeupId(tx.new_id(Wakeup)), fleet=agent.fleet, pair=pair, turn=turn.id, at=tx.now)


def _free_to_wake(tx: Transaction, agent: Agent, wakefulness: Wakefulness) -> list[Delivery]:
    """The oldest that may wake the agent; those before them that may not are held back, and the operator hears."""
    while waiting := inboxes.waiting(tx, agent.id, limit=BATCH):
        reasons = {sender: _why_held(tx, agent, sender, wakefulness) for sender in {one.sender for one in waiting}}
        for delivery in waiting:
            if (why := reasons[delivery.sender]) is not None:
                _hold(tx, delivery, why)
        if free := [delivery for delivery in waiting if reasons[delivery.sender] is None]:
            return free
    return []


def _hold(tx: Transaction, delivery: Delivery, why: str) -> None:
    held, event = delivery.hold(why)
    tx.save(held)
    tx.record(event)


def _why_held(tx: Transaction, agent: Agent, sender: AgentId | None, wakefulness: Wakefulness) -> str | None:
    """Only what agents say to each other can go round in circles."""
    if sender is None:
        return None
    fleet = tx.get(Fleet, agent.fleet)
    since = {} if fleet.let_through_at is None else {"at": Above(fleet.let_through_at)}
    pair, total = wakefulness.per_pair, wakefulness.per_fleet
    if pair and tx.count(Wakeup, pair=pair_of(sender, agent.id), **since) >= pair:
        return _held(f"{tx.get(Agent, sender).name} and {agent.name}", pair, fleet)
    if total and tx.count(Wakeup, fleet=fleet.id, **since) >= total:
        return _held("The fleet's agents", total, fleet)
    return None


def _held(who: str, limit: int, fleet: Fleet) -> str:
    return HELD.format(who=who, limit=limit, fleet=fleet.id)


def _interject(tx: Transaction, agent: Agent) -> None:
    """One sender at a time: what is urgent, and all that it said before, so that its words keep their order."""
    urgent = inboxes.oldest_urgent(tx, agent.id)
    if urgent is not None:
        said = inboxes.waiting_from(tx, agent.id, urgent.sender, limit=BATCH)
        _bring(tx, agent, first_batch(said), at_work=True)


def _bring(tx: Transaction, agent: Agent, deliveries: Sequence[Delivery], *, at_work: bool) -> Turn:
    more = inboxes.count_waiting(tx, agent.id) - len(deliveries)
    messages = tx.select(Message, id=[delivery.message for delivery in deliveries])
    text = digest(
        messages,
        proposals=proposals_among(tx, messages),
        routed=inboxes.routed(tx, messages, agent.id),
        more=more,
        at_work=at_work,
    )
    turn = say(tx, agent, TurnKind.DIGEST, text=text)
    for delivery in deliveries:
        tx.save(delivery.carry(turn.id))
    told = tuple(message.id for message in messages)
    tx.record(TurnComposed(fleet=agent.fleet, agent=agent.id, turn=turn.id, messages=told))
    return turn
