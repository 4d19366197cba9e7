"""The words of all agents that live, and of the personas in a directory, indexed.

It is an index of rows and files, brought up to date before each look; a restart builds it anew. Synchronous: the reader
looks into it off the event loop, one at a time.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from muster.hosts.contract import Host
from muster.model.capability import Capability
from muster.model.facts import Contender, Persona
from muster.model.ids import AgentId, FleetId
from muster.routing.scoring import Fit, Index, Profile, Rarity, blended
from muster.routing.tokens import words_of
from muster.routing.vocabulary import Vocabulary
from muster.views.routes import Candidate

PERSONA = "persona:"  # before a name, among the ids of agents
BUILT_IN = "built-in"
MOST_MEANT = 300  # agents whose meaning is compared: of more, those that fit best by words


@dataclass(frozen=True, kw_only=True)
class Call:
    """What is asked, and of whom: of a fleet, or of all; of the personas in a directory too, where there is one."""

    text: str
    fleet: FleetId | None
    personas_in: str | None

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(words_of(self.text))


class Crowd:
    """`corpus` are the personas by which it is known how rare a word is."""

    def __init__(self, host: Host, corpus: Sequence[Persona], vocabulary: Vocabulary) -> None:
        self._host = host
        self._vocabulary = vocabulary
        self._rarity = Rarity(map(_profile_of, corpus), vocabulary)
        self._agents = Index(vocabulary, self._rarity)
        self._known: dict[str, Candidate] = {}
        self._fleets: dict[FleetId, set[str]] = defaultdict(set)
        self._personas: dict[str, tuple[tuple[Persona, ...], Index]] = {}

    def take_in(self, found: Iterable[Candidate]) -> None:
        for one in found:
            self._known[one.agent] = one
            self._fleets[one.fleet].add(one.agent)
            self._agents.put(self._profile(one, one.role, ()))

    def believe(self, claims: Iterable[Capability]) -> None:
        for claim in claims:
            if (one := self._known.get(claim.agent)) is not None:
                self._agents.put(self._profile(one, claim.role, claim.skills))

    def hear(self, call: Call) -> tuple[dict[str, Profile], dict[str, Fit]]:
        """Whoever is asked about, and how well those fit who have some of the words."""
        own = self._known.keys() if call.fleet is None else self._fleets[call.fleet]
        fits = {fit.id: fit for fit in self._agents.fits(call.text, None if call.fleet is None else own)}
        nearest = [*fits, *(id for id in own if id not in fits)][:MOST_MEANT]
        known = {id: self._agents[id] for id in nearest}
        if call.personas_in is not None:
            personas = self._offered(call.personas_in)
            fits |= {fit.id: fit for fit in personas.fits(call.text)}
            known |= {profile.id: profile for profile in personas}
        return known, fits

    def contender(self, id: str, call: Call, fit: Fit | None, meant: float | None) -> Contender:
        score = blended(fit, meant)
        reasons = [str(reason) for reason in fit.why()] if fit and score else []
        if meant is not None:
            reasons.append(f"meaning: {meant:.2f}")
        one = self._known.get(id)
        return Contender(
            agent=AgentId(id) if one else None,
            persona=None if one else id.removeprefix(PERSONA),
            role=one.role if one else id.removeprefix(PERSONA),
            score=score,
            keys=call.words,
            reasons=tuple(reasons),
        )

    def _profile(self, one: Candidate, role: str, skills: tuple[str, ...]) -> Profile:
        """An agent is what it says of itself and, where it says no skills, what its persona can."""
        found = (each for each in self._host.personas(one.directory) if each.name == one.persona)
        persona = next(found, None)
        if persona is None or persona.source == BUILT_IN:
            return Profile(id=one.agent, name=one.name, role=role, skills=skills)
        return Profile(
            id=one.agent,
            name=f"{one.name} {persona.name}",
            role=role,
            skills=skills or persona.skills,
            about=persona.description,
            text=persona.text,
        )

    def _offered(self, directory: str) -> Index:
        """The personas that may be asked for there, indexed anew where a file has changed."""
        found = self._host.personas(directory)
        before = self._personas.get(directory)
        if before is not None and before[0] == found:
            return before[1]
        index = Index(self._vocabulary, self._rarity)
        for persona in found:
            if persona.source != BUILT_IN:
                index.put(_profile_of(persona))
        self._personas[directory] = (found, index)
        return index


def _profile_of(persona: Persona) -> Profile:
    return Profile(
        id=f"{PERSONA}{persona.name}",
        name=persona.name,
        skills=persona.skills,
        about=persona.description,
        text=persona.text,
    )
