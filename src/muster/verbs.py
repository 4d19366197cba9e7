"""One declaration for everything that can be asked for.

    @command(by=Member)
    def claim(tx: Transaction, actor: Actor, task: TaskId) -> Task: ...

makes the verb `task.claim`: its name from module and function, its arguments (checked strictly) and their JSON schema
from the signature, its description from the docstring. Every surface reaches it from there without an edit.
A verb is not callable: only the engine runs it, because only the engine makes a transaction.
"""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from types import ModuleType
from typing import (
    Annotated,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    TypeVar,
)  # Any: arguments and answers of every verb, as JSON

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from muster.errors import (
    BadValue,
    Denied,
    InvalidInput,
    MalformedJson,
    MissingField,
    NotFound,
    NulCharacter,
    UnknownField,
    WrongType,
)
from muster.model.actor import Actor, ActorKind
from muster.store.records import Reading, Transaction

P = ParamSpec("P")
R = TypeVar("R")
Json = dict[str, Any]
Callers = frozenset[ActorKind]

Operator: Callers = frozenset({ActorKind.OPERATOR})
Member: Callers = frozenset({ActorKind.OPERATOR, ActorKind.AGENT})
System: Callers = frozenset({ActorKind.SYSTEM})

Cursor = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A place in a list or in the journal, given to ask for what follows."""

Limit = Annotated[int, Field(ge=1, le=500)]
"""How many rows of a list to give at most."""

DEFAULT_WITHIN = 45.0  # OpenCode gives up on a tool call after 60.0 s


@dataclass(frozen=True, slots=True, kw_only=True)
class Settles:
    """How a verb answers after its effect.

    `until(first, latest, arguments)` says whether a view's answer is final. `within` is a bound in seconds, or the
    name of the argument that holds it. `view` names the view to look at, asked with the fields of the command's
    answer; None for a view that settles itself.
    """

    until: Callable[[Any, Any, Mapping[str, Any]], bool]
    within: float | str = DEFAULT_WITHIN
    view: str | None = None


@dataclass(frozen=True, eq=False)
class Verb(Generic[P, R]):
    """A public command (`changes`) or view. `facts` is the type of what its reader must find before it runs.

    `settles`: it answers after its effect. `awaits`: before a command runs, a view is waited for. `when`: it needs its
    facts only then.
    """

    function: Callable[Concatenate[Any, Actor, P], R]
    by: Callers
    changes: bool
    facts: type | None = None
    settles: Settles | None = None
    awaits: Settles | None = None
    when: Callable[[Actor, Mapping[str, Any]], bool] | None = None
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """`muster.commands.fleets` and `cancel` → `fleet.cancel`; `capabilities` → `capability`."""
        nouns = self.function.__module__.rpartition(".")[2]
        noun = f"{nouns[:-3]}y" if nouns.endswith("ies") else nouns.removesuffix("s")
        return f"{noun}.{self.function.__name__.rstrip('_')}"

    @property
    def description(self) -> str:
        return inspect.getdoc(self.function) or ""

    def is_answered_at_once(self, given: Mapping[str, Any]) -> bool:
        """Whether it does not wait, by these arguments, which nobody has checked yet."""
        if self.settles is not None or self.awaits is None:
            return self.settles is None
        return isinstance(self.awaits.within, str) and not given.get(self.awaits.within)

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The arguments as a strict model: nothing is converted, unknown fields are refused."""
        signature = inspect.signature(self.function, eval_str=True)
        taken = list(signature.parameters.values())[2:]
        fields: Json = {
            parameter.name: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
            for parameter in taken
        }
        return create_model(self.name, __config__=ConfigDict(extra="forbid", strict=True), **fields)

    @cached_property
    def answers(self) -> TypeAdapter[R]:
        """What it answers, without what settling adds."""
        return TypeAdapter(inspect.signature(self.function, eval_str=True).return_annotation)

    def needs_facts(self, actor: Actor, arguments: Mapping[str, Any]) -> bool:
        return self.facts is not None and (self.when is None or self.when(actor, arguments))

    def parse(self, raw: str | bytes) -> Json:
        """Check a JSON object and return the arguments as Python values. Raises InvalidInput, naming the field."""
        try:
            parsed = self.arguments.model_validate_json(raw)
        except ValidationError as error:
            raise _refusal(self, error) from error
        return vars(parsed)

    def render(self, answer: R) -> Json:
        """The answer as JSON values; moments are ISO 8601, UTC."""
        rendered = self.answers.dump_python(answer, mode="json")
        assert isinstance(rendered, dict), f"{self.name} answers with no object"
        return rendered

    def require_caller(self, actor: Actor) -> None:
        if actor.kind not in self.by:
            raise Denied(why=f"{self.name} is not for {actor.kind} callers.", hint="Ask the operator to do it.")


def command(
    *,
    by: Callers,
    facts: type | None = None,
    settles: Settles | None = None,
    awaits: Settles | None = None,
    when: Callable[[Actor, Mapping[str, Any]], bool] | None = None,
) -> Callable[[Callable[Concatenate[Transaction, Actor, P], R]], Verb[P, R]]:
    """Declare a change: a synchronous function in one transaction, which cannot cause an effect."""
    return lambda function: Verb(function, by=by, changes=True, facts=facts, settles=settles, awaits=awaits, when=when)


def view(
    *, by: Callers, facts: type | None = None, settles: Settles | None = None
) -> Callable[[Callable[Concatenate[Reading, Actor, P], R]], Verb[P, R]]:
    """Declare a question: it reads, never writes, never waits."""
    return lambda function: Verb(function, by=by, changes=False, facts=facts, settles=settles)


class Catalog(Mapping[str, Verb[..., Any]]):
    """Every verb there is, by name."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        found = [value for module in modules for value in vars(module).values() if isinstance(value, Verb)]
        self._verbs = {verb.name: verb for verb in sorted(found, key=lambda verb: verb.name)}
        self._public = [verb.name for verb in self._verbs.values() if verb.by != System]

    def __getitem__(self, name: str) -> Verb[..., Any]:
        """Raises NotFound with the nearest names."""
        try:
            return self._verbs[name]
        except KeyError:
            near = get_close_matches(name, self._public, n=3, cutoff=0.4) or self._public
            raise NotFound(kind="verb", id=name, hint=f"Verbs: {', '.join(near)}.") from None

    def __iter__(self) -> "Any":
        return iter(self._verbs)

    def __len__(self) -> int:
        return len(self._verbs)


TYPES = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "an object",
    "dataclass": "an object",
    "model": "an object",
}


def _refusal(verb: Verb[..., Any], error: ValidationError) -> InvalidInput:
    """Our own words for pydantic's first finding."""
    finding = error.errors(include_url=False)[0]
    kind, place = finding["type"], _place(finding["loc"])
    match kind:
        case "json_invalid" | "string_unicode":
            return MalformedJson(why=str(finding.get("ctx", {}).get("error", finding["msg"])))
        case "extra_forbidden" | "unexpected_keyword_argument":
            return UnknownField(verb=verb.name, field=place, fields=", ".join(_siblings(verb, finding["loc"])))
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return MissingField(verb=verb.name, field=place)
    if not finding["loc"]:
        return MalformedJson(why=f"got {_got(finding['input'])}")
    expected = TYPES.get(kind.removesuffix("_type"))
    if expected and kind.endswith("_type"):
        return WrongType(field=place, expected=expected, got=_got(finding["input"]))
    return BadValue(field=place, expected=_limit(finding["msg"]), got=_got(finding["input"]))


def _siblings(verb: Verb[..., Any], location: tuple[int | str, ...]) -> list[str]:
    """The names that may stand where the last part of a place does."""
    schema = verb.arguments.model_json_schema()
    here = schema
    for part in location[:-1]:
        inside = here["items"] if isinstance(part, int) else here["properties"][part]
        here = _shape(inside, schema.get("$defs", {}))
    return list(here["properties"])


def _shape(node: Json, definitions: Json) -> Json:
    match node:
        case {"$ref": str(reference)}:
            return _shape(definitions[reference.rpartition("/")[2]], definitions)
        case {"anyOf": [choice, *_]}:  # the other is null
            return _shape(choice, definitions)
    return node


def _place(location: tuple[int | str, ...]) -> str:
    """`("agents", 0, "role")` → `agents[0].role`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".")


def _got(value: object) -> str:
    """What came, short enough to be told to a model."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}… ({len(text)} characters)"


def _limit(message: str) -> str:
    """`String should have at most 64 characters` → `at most 64 characters`."""
    words = message.removeprefix("Value error, ")
    return words.partition(" should ")[2].removeprefix("have ").removeprefix("be ") or words


def read_object(raw: str | bytes) -> Json:
    """A JSON object as RFC 8259 has it: UTF-8, no name twice, no NaN; and no text that a store could not keep."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        given = DECODER.decode(text)
    except RecursionError:
        raise MalformedJson(why="it is nested too deeply") from None
    except ValueError as error:
        raise MalformedJson(why=str(error)) from error
    if not isinstance(given, dict):
        raise MalformedJson(why=f"got {_got(given)}")
    if "\\u" in text:
        _refuse_letters(given, "")
    return given


def _object(pairs: list[tuple[str, Any]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise MalformedJson(why=f"it names {next(name for name in names if names.count(name) > 1)!a} twice")
    return found


def _refuse_constant(word: str) -> None:
    raise MalformedJson(why=f"{word} is no JSON")


def _refuse_letters(value: object, place: str) -> None:
    """NUL, and halves of a character that no UTF-8 can hold."""
    match value:
        case str() if "\0" in value:
            raise NulCharacter(field=place.removeprefix("."))
        case str() if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise MalformedJson(why=f"{place.removeprefix('.')} holds half of a character (a lone surrogate)")
        case dict():
            for name, inner in value.items():
                _refuse_letters(name, "a name")
                _refuse_letters(inner, f"{place}.{name}")
        case list():
            for index, inner in enumerate(value):
                _refuse_letters(inner, f"{place}[{index}]")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)  # loads would make one each time
