"""What the radar found of two agents' work is noted, and told once to those whom it concerns."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.commands.notices import owe
from muster.commands.posting import tell
from muster.errors import Stale
from muster.model.actor import Actor
from muster.model.agent import ACTIVE, Agent, agent_status
from muster.model.clash import Clash, Contested, Finding
from muster.model.fleet import Fleet
from muster.model.ids import ClashId, WorktreeId
from muster.model.message import MessageType
from muster.model.notice import NoticeKind
from muster.model.run import Run
from muster.model.worktree import Worktree
from muster.prompts.clashes import to_agent, to_lead
from muster.store.records import Transaction
from muster.verbs import System, command


@command(by=System)
def note(tx: Transaction, actor: Actor, worktree: WorktreeId, tree: str, findings: Sequence[Finding]) -> None:
    """An agent's tree was compared with those of others, as they were then. Refused where it is another by now."""
    row = tx.get(Worktree, worktree)
    if row.snapshot_tree != tree:
        raise Stale(kind="worktree", id=row.id, state="changed since it was compared")
    tx.save(row.compare())
    agent = tx.get(Agent, row.agent)
    for finding in findings:
        _note(tx, agent, tree, finding)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Comparison:
    """What came of comparing two, in the order of spawning."""

    agent: Agent
    other: Agent
    trees: tuple[str, str]
    contested: Sequence[Contested]


def _note(tx: Transaction, agent: Agent, tree: str, finding: Finding) -> None:
    comparison = _in_order(agent, tx.get(Agent, finding.other), tree, finding)
    found = tx.find(Clash, agent=comparison.agent.id, other=comparison.other.id)
    clash, event = (found or _first(tx, comparison)).compare(comparison.trees, comparison.contested, tx.now)
    (tx.save if found else tx.add)(clash)
    if event is not None:
        tx.record(event)
    _tell(tx, comparison, clash)


def _in_order(agent: Agent, other: Agent, tree: str, finding: Finding) -> _Comparison:
    if agent.position < other.position:
        return _Comparison(agent=agent, other=other, trees=(tree, finding.tree), contested=finding.contested)
    turned = [one.turned() for one in finding.contested]
    return _Comparison(agent=other, other=agent, trees=(finding.tree, tree), contested=turned)


def _first(tx: Transaction, comparison: _Comparison) -> Clash:
    agent_tree, other_tree = comparison.trees
    return Clash(
        id=ClashId(tx.new_id(Clash)),
        fleet=comparison.agent.fleet,
        agent=comparison.agent.id,
        other=comparison.other.id,
        agent_tree=agent_tree,
        other_tree=other_tree,
        compared_at=tx.now,
    )


def _tell(tx: Transaction, comparison: _Comparison, clash: Clash) -> None:
    """Those of the two that work, and the conversation that spawned them. Nobody is woken for it."""
    agent, other, contested = comparison.agent, comparison.other, comparison.contested
    session = tx.get(Fleet, clash.fleet).spawned_in
    told_agent = clash.has_news(clash.agent_told) and _is_at_work(tx, agent)
    told_other = clash.has_news(clash.other_told) and _is_at_work(tx, other)
    told_lead = clash.has_news(clash.lead_told) and session is not None
    if told_agent:
        tell(tx, agent.id, MessageType.ALERT, to_agent(other.name, contested), clash.id, lapses=True)
    if told_other:
        text = to_agent(agent.name, [one.turned() for one in contested])
        tell(tx, other.id, MessageType.ALERT, text, clash.id, lapses=True)
    if session is not None and told_lead:
        owe(tx, session, NoticeKind.CLASH, to_lead(clash.fleet, agent.name, other.name, contested), fleet=clash.fleet)
    if told_agent or told_other or told_lead:
        tx.save(clash.tell(agent=told_agent, other=told_other, lead=told_lead))


def _is_at_work(tx: Transaction, agent: Agent) -> bool:
    return agent_status(agent, tx.get(Run, agent.run)) in ACTIVE
