"""A conversation of the person's own becomes a lead, and is seen again in another process."""

from muster.commands.notices import owe
from muster.errors import NotFound
from muster.model.actor import Actor
from muster.model.ids import SessionId
from muster.model.lead import Lead
from muster.model.notice import Notice, NoticeKind
from muster.prompts.notices import OPENED
from muster.store.records import Transaction
from muster.verbs import System, command

KINDS = ("fleet",)


@command(by=System)
def see(tx: Transaction, actor: Actor, session: SessionId, directory: str, bridge: str) -> None:
    """The conversation did something in this OpenCode process, which tells it its notices from now on."""
    lead = tx.find(Lead, id=session)
    if lead is None:
        entered, entry = Lead.enter(id=session, directory=directory, bridge=bridge, now=tx.now)
        tx.add(entered)
        tx.record(entry)
    elif lead.bridge != bridge:
        moved, move = lead.move(directory=directory, bridge=bridge)
        tx.save(moved)
        tx.record(move)


@command(by=System)
def knock(tx: Transaction, actor: Actor, session: SessionId, kind: str, message: str) -> None:
    """A lead asked for a toolkit: it is owed a turn that has it. Raises NotFound for a kind that there is not."""
    if kind not in KINDS:
        raise NotFound(kind="toolkit for a", id=kind, hint=f"There is: {', '.join(KINDS)}.")
    if tx.any(Notice, session=session, kind=NoticeKind.DOOR, ending=None):
        return
    owe(tx, session, NoticeKind.DOOR, OPENED, after=message)
