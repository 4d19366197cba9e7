"""Notices are written, and ended when they stand in the conversation or have nothing to tell any more."""

from collections.abc import Sequence

from muster.model.actor import Actor
from muster.model.fleet import Fleet, FleetStatus
from muster.model.ids import FleetId, MessageId, NoticeId, SessionId
from muster.model.merge import Merge
from muster.model.notice import Notice, NoticeEnding, NoticeKind
from muster.prompts.notices import Word, digest, undelivered
from muster.store.members import FleetMember, newest_turn, reason_of
from muster.store.records import PREFIXES, Transaction
from muster.verbs import System, command


@command(by=System)
def end(tx: Transaction, actor: Actor, notice: NoticeId, ending: NoticeEnding) -> None:
    """The bridge has seen to it. Said again it changes nothing: the first answer may have been lost."""
    row = tx.get(Notice, notice)
    if row.ending is None:
        ended, event = row.end(ending, tx.now)
        tx.save(ended)
        tx.record(event)


def announce(tx: Transaction, fleet: Fleet, status: FleetStatus, members: Sequence[FleetMember]) -> None:
    """Owe the lead that spawned a fleet the news of its first quiet, and of each pause. Nobody, where none did."""
    kind = NoticeKind.PAUSED if status is FleetStatus.PAUSED else NoticeKind.QUIET
    if fleet.spawned_in is None:
        return
    if kind is NoticeKind.QUIET and tx.any(Notice, fleet=fleet.id, kind=kind):
        return
    merges = {merge.agent: merge for merge in tx.select(Merge, fleet=fleet.id)}
    words = [_word(tx, member, merges.get(member.agent.id)) for member in members]
    text = digest(fleet, status, reason_of(tx, fleet, status, members), words)
    owe(tx, fleet.spawned_in, kind, text, fleet=fleet.id)


def owe(
    tx: Transaction,
    session: SessionId,
    kind: NoticeKind,
    text: str,
    *,
    id: NoticeId | None = None,
    fleet: FleetId | None = None,
    after: str | None = None,
) -> None:
    """Write what a lead is to be told."""
    notice = Notice(
        id=id or NoticeId(tx.new_id(Notice)),
        session=session,
        kind=kind,
        fleet=fleet,
        after=after,
        text=text,
        created_at=tx.now,
    )
    tx.add(notice)
    tx.record(notice.write())


def owe_undelivered(tx: Transaction, session: SessionId, message: MessageId, name: str, why: str) -> None:
    """Owe a lead the news that a message of its own did not arrive: once, at the first recipient without it."""
    id = NoticeId(f"{PREFIXES[Notice]}_{message.partition('_')[2]}")
    if not tx.any(Notice, id=id):
        owe(tx, session, NoticeKind.UNDELIVERABLE, undelivered(message, name, why), id=id)


def _word(tx: Transaction, member: FleetMember, merge: Merge | None) -> Word:
    return Word(
        name=member.agent.name,
        status=member.status,
        output=newest_turn(tx, member.agent.id).output,
        error=None if member.agent.paused else member.run.error,
        merge=merge,
    )
