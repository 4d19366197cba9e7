"""What was learned of who can do what, and which fleet shapes were saved."""

from dataclasses import dataclass

from muster.model.event.told import Event
from muster.model.ids import CapabilityId, OutcomeId, TemplateId


@dataclass(frozen=True, slots=True, kw_only=True)
class CapabilityRegistered(Event):
    capability: CapabilityId
    role: str
    skills: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeRecorded(Event):
    """`recorded` counts the outcomes of this agent at this capability so far."""

    outcome_id: OutcomeId
    capability_key: str
    success: bool
    recorded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSaved(Event):
    template: TemplateId
    name: str
    version: int
    agents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateDeleted(Event):
    template: TemplateId
    name: str
    version: int
