"""Fleet shapes: those that were saved, and those that come with Muster."""

from dataclasses import dataclass

from muster.model.actor import Actor
from muster.model.template import Shape, Template, TemplateBrief, TemplateFile, TemplateRow
from muster.store.records import Reading
from muster.templates import chosen, shipped
from muster.templates import versions as versions_among
from muster.verbs import Cursor, Limit, Operator, view


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatePage:
    """`cursor` is given to ask for the next page; null: this was the last."""

    templates: list[TemplateBrief]
    cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionPage:
    """Newest first. `cursor` is given to ask for older ones; null: this was the last page."""

    versions: list[TemplateBrief]
    cursor: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    template: TemplateRow


@view(by=Operator)
def list_(tx: Reading, actor: Actor, limit: Limit = 50, cursor: Cursor | None = None) -> TemplatePage:
    """Fleet templates by name, the newest version of each; template.get gives the prompts."""
    names = sorted({*shipped(), *tx.distinct(Template, "name", deleted_at=None)})
    first = cursor or 0
    briefs = [chosen(name, _own(tx, name), None).brief() for name in names[first : first + limit]]
    return TemplatePage(templates=briefs, cursor=first + limit if first + limit < len(names) else None)


@view(by=Operator)
def versions(tx: Reading, actor: Actor, name: str, limit: Limit = 50, cursor: Cursor | None = None) -> VersionPage:
    """The versions of a template, newest first; template.get gives the prompts."""
    newest = chosen(name, _own(tx, name), None)
    before = newest.version + 1 if cursor is None else cursor
    found = [shape for shape in versions_among(name, _own(tx, name)) if shape.version < before]
    page = found[:limit]
    return VersionPage(
        versions=[shape.brief() for shape in page], cursor=page[-1].version if len(found) > limit else None
    )


@view(by=Operator)
def get(tx: Reading, actor: Actor, name: str, version: int | None = None) -> Found:
    """A template with its prompts, by default the newest version."""
    return Found(template=chosen(name, _own(tx, name), version).row())


@view(by=Operator)
def export(tx: Reading, actor: Actor, name: str, version: int | None = None) -> TemplateFile:
    """A template as an object to carry to another hub, where template.import reads it."""
    return chosen(name, _own(tx, name), version).file()


def _own(tx: Reading, name: str) -> list[Shape]:
    return [*tx.select(Template, name=name, deleted_at=None)]
