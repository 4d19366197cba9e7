"""A template: a saved fleet shape, versioned, in words only."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from muster.errors import BadValue, MissingField
from muster.model.event import TemplateDeleted, TemplateSaved
from muster.model.ids import TemplateId

PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]{0,31})\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateAgent:
    """One agent of a template. `agent` is a persona's name, None the usual one."""

    role: str
    prompt: str
    agent: str | None = None
    name: str | None = None
    model: str | None = None

    def filled(self, values: Mapping[str, str]) -> "TemplateAgent":
        """With each placeholder that has a value replaced, once: what a value holds is no placeholder."""
        return replace(self, role=_filled(self.role, values), prompt=_filled(self.prompt, values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One version of a fleet shape. `placeholders` are those that must be filled when it is spawned."""

    id: TemplateId
    name: str
    version: int
    description: str | None
    agents: tuple[TemplateAgent, ...]
    placeholders: tuple[str, ...]
    by: str
    created_at: datetime
    deleted_at: datetime | None = None

    def save(self) -> TemplateSaved:
        return TemplateSaved(template=self.id, name=self.name, version=self.version, agents=len(self.agents))

    def delete(self, now: datetime) -> "tuple[Template, TemplateDeleted]":
        event = TemplateDeleted(template=self.id, name=self.name, version=self.version)
        return replace(self, deleted_at=now), event

    def filled(self, values: Mapping[str, str]) -> tuple[TemplateAgent, ...]:
        """The agents to spawn. Raises BadValue for a value nobody asks for, MissingField for one that is absent."""
        for name in values:
            if name not in self.placeholders:
                known = ", ".join(self.placeholders) or "none"
                raise BadValue(field=f"values.{name}", expected=f"a declared placeholder ({known})", got=name)
        for name in self.placeholders:
            if name not in values:
                raise MissingField(verb=f"template {self.name}", field=f"values.{name}")
        return tuple(agent.filled(values) for agent in self.agents)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
