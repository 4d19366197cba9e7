"""A template: a saved fleet shape, versioned, in words only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from muster.errors import BadValue, MissingField
from muster.model.event import TemplateDeleted, TemplateSaved
from muster.model.ids import TemplateId

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")
SCHEMA: Final = "muster-template-v1"


class Source(StrEnum):
    """Whose a template is: saved here, or come with Muster."""

    OWN = "own"
    SHIPPED = "shipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateAgent:
    """One agent of a template. `agent` is a persona's name, None the usual one."""

    role: str
    prompt: str
    agent: str | None = None
    name: str | None = None
    model: str | None = None

    @property
    def named(self) -> frozenset[str]:
        """Whatever stands in braces and could be a placeholder."""
        return frozenset(PLACEHOLDER.findall(self.role) + PLACEHOLDER.findall(self.prompt))

    def prompt_bytes(self, values: Mapping[str, str]) -> int:
        """How long the prompt will be once it is filled: it is not made before this is known."""
        grown = {name: len(value.encode()) - len(name) - 2 for name, value in values.items()}
        return len(self.prompt.encode()) + sum(grown.get(name, 0) for name in PLACEHOLDER.findall(self.prompt))

    def filled(self, values: Mapping[str, str]) -> "TemplateAgent":
        """With each placeholder that has a value replaced, once: what a value holds is no placeholder."""
        return replace(self, role=_filled(self.role, values), prompt=_filled(self.prompt, values))


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentBrief:
    """An agent of a template without its prompt."""

    role: str
    agent: str | None
    name: str | None
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateRow:
    """A template as it is told. `placeholders` must be filled when it is spawned; `created_at`: null for one that came
    with Muster.
    """

    name: str
    version: int
    description: str | None
    agents: list[TemplateAgent]
    placeholders: list[str]
    source: Source
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateBrief:
    """A template without its prompts."""

    name: str
    version: int
    description: str | None
    agents: list[AgentBrief]
    placeholders: list[str]
    source: Source
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFile:
    """A template to be carried elsewhere: the same bytes wherever it is."""

    schema: str
    name: str
    version: int
    description: str | None
    agents: list[TemplateAgent]
    placeholders: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one version of a template says. As it stands it is one that came with Muster."""

    name: str
    version: int
    description: str | None
    agents: tuple[TemplateAgent, ...]
    placeholders: tuple[str, ...]

    @property
    def source(self) -> Source:
        return Source.SHIPPED

    @property
    def saved_at(self) -> datetime | None:
        return None

    def row(self) -> TemplateRow:
        return TemplateRow(
            name=self.name,
            version=self.version,
            description=self.description,
            agents=list(self.agents),
            placeholders=list(self.placeholders),
            source=self.source,
            created_at=self.saved_at,
        )

    def brief(self) -> TemplateBrief:
        return TemplateBrief(
            name=self.name,
            version=self.version,
            description=self.description,
            agents=[AgentBrief(role=one.role, agent=one.agent, name=one.name, model=one.model) for one in self.agents],
            placeholders=list(self.placeholders),
            source=self.source,
            created_at=self.saved_at,
        )

    def file(self) -> TemplateFile:
        return TemplateFile(
            schema=SCHEMA,
            name=self.name,
            version=self.version,
            description=self.description,
            agents=list(self.agents),
            placeholders=list(self.placeholders),
        )

    def require_values(self, values: Mapping[str, str]) -> None:
        """Raises BadValue for a value nobody asks for, MissingField for one that is absent."""
        for name in values:
            if name not in self.placeholders:
                known = ", ".join(self.placeholders) or "none"
                raise BadValue(field=f"values.{name}", expected=f"a declared placeholder ({known})", got=name)
        for name in self.placeholders:
            if name not in values:
                raise MissingField(verb=f"template {self.name}", field=f"values.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(Shape):
    """One version that was saved here."""

    id: TemplateId
    by: str
    created_at: datetime
    deleted_at: datetime | None = None

    @property
    def source(self) -> Source:
        return Source.OWN

    @property
    def saved_at(self) -> datetime | None:
        return self.created_at

    def save(self) -> TemplateSaved:
        return TemplateSaved(template=self.id, name=self.name, version=self.version, agents=len(self.agents))

    def delete(self, now: datetime) -> "tuple[Template, TemplateDeleted]":
        event = TemplateDeleted(template=self.id, name=self.name, version=self.version)
        return replace(self, deleted_at=now), event


def _filled(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
