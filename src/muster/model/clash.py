"""A clash: two agents' work that does not fit together so far, seen before either lands.

There is one row for each two agents whose changed paths have met, whether they clash or not: it says what was compared
last, so that nothing is compared twice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from muster.model.event import ClashEnded, ClashFound
from muster.model.ids import AgentId, ClashId, FleetId

MOST_PATHS = 20  # of one pair that are kept and told; the rest is counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """A path that two agents changed in ways that git cannot bring together; `kind` is git's word for it.

    `sides`: the lines of the one and of the other at each place, where it is a text that both changed.
    """

    path: str
    kind: str
    sides: tuple[tuple[str, str], ...] = ()

    def turned(self) -> "Contested":
        """As the other of the two sees it."""
        return replace(self, sides=tuple((theirs, ours) for ours, theirs in self.sides))


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What came of comparing an agent's tree with another's. Nothing contested: they fit together."""

    other: AgentId
    tree: str
    contested: tuple[Contested, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """`agent` was spawned before `other`; their trees are those that were compared last.

    `paths` are contested, and `more` are not named; none: they fit together. `since`: when the first of them was found.
    The `…_told` are those of them that each of the two, and the lead, has heard of.
    """

    id: ClashId
    fleet: FleetId
    agent: AgentId
    other: AgentId
    agent_tree: str
    other_tree: str
    paths: tuple[str, ...] = ()
    more: int = 0
    since: datetime | None = None
    agent_told: tuple[str, ...] = ()
    other_told: tuple[str, ...] = ()
    lead_told: tuple[str, ...] = ()
    compared_at: datetime

    @property
    def stands(self) -> bool:
        return bool(self.paths)

    @property
    def pair(self) -> frozenset[AgentId]:
        return frozenset((self.agent, self.other))

    def compares(self, trees: Mapping[AgentId, str]) -> bool:
        """Whether these were compared last."""
        return trees == {self.agent: self.agent_tree, self.other: self.other_tree}

    def compare(
        self, trees: tuple[str, str], contested: Sequence[Contested], now: datetime
    ) -> "tuple[Clash, ClashFound | ClashEnded | None]":
        """What was found now. Whoever was told of a path that is contested no longer hears of it again if it returns.

        It is news when it begins, when paths come in, and when it is over.
        """
        names = tuple(dict.fromkeys(one.path for one in contested))
        paths = names[:MOST_PATHS]
        clash = replace(
            self,
            agent_tree=trees[0],
            other_tree=trees[1],
            paths=paths,
            more=len(names) - len(paths),
            since=(self.since or now) if paths else None,
            agent_told=_kept(self.agent_told, paths),
            other_told=_kept(self.other_told, paths),
            lead_told=_kept(self.lead_told, paths),
            compared_at=now,
        )
        if set(paths) - set(self.paths):
            return clash, ClashFound(fleet=self.fleet, agent=self.agent, clash=self.id, other=self.other, paths=paths)
        if self.paths and not paths:
            return clash, ClashEnded(fleet=self.fleet, agent=self.agent, clash=self.id, other=self.other)
        return clash, None

    def tell(self, *, agent: bool, other: bool, lead: bool) -> "Clash":
        """These have heard of all of it."""
        return replace(
            self,
            agent_told=self.paths if agent else self.agent_told,
            other_told=self.paths if other else self.other_told,
            lead_told=self.paths if lead else self.lead_told,
        )

    def has_news(self, told: Collection[str]) -> bool:
        return not set(self.paths) <= set(told)


def _kept(told: Sequence[str], paths: Collection[str]) -> tuple[str, ...]:
    return tuple(path for path in told if path in paths)
