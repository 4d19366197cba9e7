"""The words that agents speak, mapped to verbs.

A tool is a name, the verb behind it, and who is offered it. Its schema is the verb's, without what the reader of
the schema need not see: every byte of it is paid for on every model call.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any  # JSON schemas and JSON arguments

from muster.errors import Denied, NotFound
from muster.model.actor import Actor, ActorKind
from muster.verbs import Verb

Schema = dict[str, Any]
BOUNDS = frozenset({
    "additionalProperties", "default", "maxLength", "minLength", "maximum", "minimum", "maxItems", "minItems",
    "maxProperties",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """`members`: offered to fleets' agents too; `bridged`: in their sessions as well, on each model call.

    `implied`: what a member never gives, for it is itself. `opaque`: objects that are handed on as another tool gave
    them, so that nobody need know what is inside.
    """

    name: str
    verb: Verb[..., Any]
    members: bool = False
    bridged: bool = True
    implied: frozenset[str] = frozenset()
    opaque: frozenset[str] = frozenset()

    def schema(self, *, member: bool) -> Schema:
        """The arguments, for the operator or for a member."""
        full = self.verb.arguments.model_json_schema()
        compact: Schema = _compact(full, full.get("$defs", {}))
        hidden = self.implied if member else frozenset()
        closed = {name: {"type": "object"} for name in self.opaque}
        shown = {name: value for name, value in (compact["properties"] | closed).items() if name not in hidden}
        brief: Schema = _brief(compact | {"properties": shown})
        return brief


class Toolkit:
    def __init__(self, name: str, tools: Iterable[Tool]) -> None:
        self.name = name
        self._tools = {tool.name: tool for tool in tools}

    def describe(self, tool: Tool) -> str:
        """The first paragraph of the verb's description, on one line, in this toolkit's own words."""
        text = " ".join(tool.verb.description.split("\n\n")[0].split())
        for other in self._tools.values():
            text = text.replace(other.verb.name, other.name)
        return text

    def offered(self, actor: Actor) -> list[Tool]:
        """The tools that a caller may see: the operator all, an agent the member's part."""
        return [tool for tool in self._tools.values() if tool.members or actor.kind is ActorKind.OPERATOR]

    def bridged_part(self) -> list[Tool]:
        return [tool for tool in self._tools.values() if tool.members and tool.bridged]

    def tool(self, name: str, actor: Actor) -> Tool:
        """Raises NotFound with the nearest names, Denied where it is not offered to the caller."""
        return find([self], name, actor)

    def named(self) -> Mapping[str, Tool]:
        return self._tools


def find(toolkits: Iterable[Toolkit], name: str, actor: Actor) -> Tool:
    """A tool of any of these toolkits. Raises NotFound with the nearest names, Denied where it is not offered."""
    offers = {tool: toolkit for toolkit in toolkits for tool in toolkit.named()}
    if name not in offers:
        near = get_close_matches(name, offers, n=3, cutoff=0.3) or list(offers)
        raise NotFound(kind="tool", id=name, hint=f"Tools: {', '.join(near)}.")
    tool = offers[name].named()[name]
    if tool not in offers[name].offered(actor):
        raise Denied(why=f"{name} is not offered to fleet members.", hint="Say in your result what should be done.")
    return tool


def _brief(node: Any) -> Any:
    """Without the bounds: a model rarely meets one, and the refusal names it then."""
    match node:
        case {"properties": dict(properties)}:
            shapes = {name: _brief(shape) for name, shape in properties.items()}
            return {key: value for key, value in node.items() if key not in BOUNDS} | {"properties": shapes}
        case dict():
            return {key: _brief(value) for key, value in node.items() if key not in BOUNDS or isinstance(value, dict)}
    return node


def _compact(node: Any, definitions: Mapping[str, Any]) -> Any:
    """A JSON schema that says the same in fewer bytes: no titles, no references, no null beside a default of null."""
    match node:
        case list():
            return [_compact(item, definitions) for item in node]
        case {"$ref": str(reference)}:
            return _compact(definitions[reference.rpartition("/")[2]], definitions)
        case {"anyOf": [choice, {"type": "null"}], "default": None}:
            return _compact({key: node[key] for key in node if key not in ("anyOf", "default")} | choice, definitions)
        case {"properties": dict(properties)}:
            shapes = {name: _compact(shape, definitions) for name, shape in properties.items()}
            return _bare(node, definitions) | {"properties": shapes}
        case dict():
            return _bare(node, definitions)
    return node


def _bare(node: Schema, definitions: Mapping[str, Any]) -> Schema:
    dropped = ("title", "$defs", "properties")
    return {key: _compact(value, definitions) for key, value in node.items() if key not in dropped}
