"""Fleet shapes are saved, deleted, brought from elsewhere, and spawned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field

from muster.commands.agents import (
    PROMPT_BYTES,
    USUAL_PERSONA,
    AgentWish,
    Directory,
    Model,
    Name,
    Persona,
    Prompt,
    Role,
    Timeout,
    require_free,
)
from muster.commands.fleets import BudgetArgument, FleetName, FleetWish, Spawned, found
from muster.commands.texts import at_most, not_blank
from muster.errors import BadValue, NotDone
from muster.model.actor import Actor
from muster.model.facts import Place
from muster.model.ids import TemplateId
from muster.model.template import SCHEMA, Shape, Template, TemplateAgent, TemplateRow
from muster.store.records import Transaction
from muster.templates import FIRST, chosen, shipped
from muster.verbs import Operator, command

ROLE_LETTERS = 64

TemplateName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
Description = Annotated[str, Field(max_length=2000), AfterValidator(not_blank)]
Placeholder = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Placeholders = Annotated[list[Placeholder], Field(max_length=32)]
Value = Annotated[str, AfterValidator(at_most(64 * 1024, "64 KiB"))]
Version = Annotated[int, Field(ge=1, le=10**6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateAgentWish:
    """An agent of a template. `agent` is the persona; `name` defaults to the role's slug."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    role: Role
    prompt: Prompt
    agent: Persona | None = None
    name: Name | None = None
    model: Model | None = None

    def taken(self) -> TemplateAgent:
        return TemplateAgent(role=self.role, prompt=self.prompt, agent=self.agent, name=self.name, model=self.model)


Agents = Annotated[list[TemplateAgentWish], Field(min_length=1, max_length=32)]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWish:
    """What template.export gives, here or on Meshfleet. When it was exported is let go."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    schema: Literal["muster-template-v1", "meshfleet-template-v1"]
    name: TemplateName
    agents: Agents
    version: Version = FIRST
    description: Description | None = None
    placeholders: Placeholders | None = None
    exported_at: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    template: TemplateRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    template: TemplateRow
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """`versions` are those that are gone, newest first."""

    name: str
    versions: list[int]


@command(by=Operator)
def save(
    tx: Transaction,
    actor: Actor,
    name: TemplateName,
    agents: Agents,
    description: Description | None = None,
    placeholders: Placeholders | None = None,
) -> Saved:
    """Save a fleet's shape; a name that exists gets the next version. `placeholders`: which {words} in roles and
    prompts template.spawn fills; other braces stay.
    """
    told = FileWish(schema=SCHEMA, name=name, agents=agents, description=description, placeholders=placeholders)
    return Saved(template=_kept(tx, _shape(told, name, _last_version(tx, name) + 1, field="")).row())


@command(by=Operator)
def import_(tx: Transaction, actor: Actor, template: FileWish, name: TemplateName | None = None) -> Imported:
    """Save what template.export gave, here or in Meshfleet, under `name` if you like. A name that exists gets the next
    version.

    Nothing is overwritten. Where the name is new here and not changed, the version stays what it was.
    """
    called = name or template.name
    last = _last_version(tx, called)
    version = template.version if not last and called == template.name else last + 1
    notes = [f"There was a template {called} already: this is its version {version}."] if last else []
    return Imported(template=_kept(tx, _shape(template, called, version, field="template.")).row(), notes=notes)


@command(by=Operator)
def delete(tx: Transaction, actor: Actor, name: str, version: int | None = None) -> Deleted:
    """Delete one version of a template, or all that were saved. A number is not used again."""
    own = tx.select(Template, name=name, deleted_at=None, newest_first=True)
    doomed = [template for template in own if version in (None, template.version)]
    if not doomed:
        there = chosen(name, own, version)
        raise NotDone(
            why=f"Version {there.version} of template {name} comes with Muster and cannot be deleted.",
            then="Save your own under this name: the newest version is what is spawned.",
        )
    for template in doomed:
        deleted, event = template.delete(tx.now)
        tx.save(deleted)
        tx.record(event)
    return Deleted(name=name, versions=[template.version for template in doomed])


@command(by=Operator, facts=Place)
def spawn(
    tx: Transaction,
    actor: Actor,
    name: str,
    version: int | None = None,
    values: dict[str, Value] | None = None,
    model: Model | None = None,
    project: Directory | None = None,
    fleet_name: FleetName | None = None,
    timeout_ms: Timeout | None = None,
    budget: BudgetArgument = None,
) -> Spawned:
    """Start a template's fleet, with `values` for all of its placeholders; wait with fleet.wait.

    The newest version, unless one is named. `model` is for agents whose own is not told. The rest is as fleet.spawn
    takes it.
    """
    shape = chosen(name, tx.select(Template, name=name, deleted_at=None), version)
    agents = _filled(shape, values or {}, model)
    return found(tx, FleetWish(agents=agents, name=fleet_name or name, timeout_ms=timeout_ms, budget=budget))


def _last_version(tx: Transaction, name: str) -> int:
    """The highest number that was ever used; 0 for a name that nobody used."""
    used = [template.version for template in tx.select(Template, name=name)]
    return max([FIRST, *used] if name in shipped() else used, default=0)


def _shape(told: FileWish, name: str, version: int, *, field: str) -> Shape:
    """`field` begins the places that refusals name."""
    require_free([agent.name for agent in told.agents], set(), field + "agents[{0}].{1}")
    shape = Shape(
        name=name,
        version=version,
        description=told.description,
        agents=tuple(agent.taken() for agent in told.agents),
        placeholders=tuple(told.placeholders or ()),
    )
    _require_used(shape, field)
    return shape


def _require_used(shape: Shape, field: str) -> None:
    """Each placeholder stands somewhere, and is declared once."""
    used = frozenset().union(*(agent.named for agent in shape.agents))
    for index, name in enumerate(shape.placeholders):
        place = f"{field}placeholders[{index}]"
        if name in shape.placeholders[:index]:
            raise BadValue(field=place, expected="each placeholder once", got=name)
        if name not in used:
            raise BadValue(
                field=place, expected=f"a word that stands in braces, {{{name}}}, in a role or prompt", got=name
            )


def _kept(tx: Transaction, shape: Shape) -> Template:
    template = Template(
        id=TemplateId(tx.new_id(Template)),
        name=shape.name,
        version=shape.version,
        description=shape.description,
        agents=shape.agents,
        placeholders=shape.placeholders,
        by=tx.actor.label,
        created_at=tx.now,
    )
    tx.add(template)
    tx.record(template.save())
    return template


def _filled(shape: Shape, values: Mapping[str, str], model: str | None) -> list[AgentWish]:
    shape.require_values(values)
    for agent in shape.agents:
        _require_room(agent, values)
    return [_wish(agent.filled(values), model) for agent in shape.agents]


def _require_room(agent: TemplateAgent, values: Mapping[str, str]) -> None:
    """What roles and prompts are held to holds with their values too. A prompt is weighed before it is made."""
    if (size := agent.prompt_bytes(values)) > PROMPT_BYTES:
        raise BadValue(
            field="values", expected=f"values with which {agent.role} has a prompt of 1 MiB", got=f"{size} B"
        )
    told = agent.filled(values)
    if not told.prompt.strip():
        raise BadValue(field="values", expected=f"values with which {agent.role} has a prompt", got="blanks")
    if not told.role.strip() or len(told.role) > ROLE_LETTERS:
        expected = f"values with which the role {agent.role} has 1 to {ROLE_LETTERS} characters"
        raise BadValue(field="values", expected=expected, got=f"{len(told.role)}")


def _wish(agent: TemplateAgent, model: str | None) -> AgentWish:
    return AgentWish(
        role=agent.role,
        prompt=agent.prompt,
        agent=agent.agent or USUAL_PERSONA,
        name=agent.name,
        model=agent.model or model,
    )
