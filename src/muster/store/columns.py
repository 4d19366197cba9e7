"""How values stand in columns: moments as microseconds since the epoch, UTC; small lists as JSON."""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar  # Any: what stands in columns, and SQLAlchemy's dialect

from sqlalchemy import BigInteger, Text
from sqlalchemy.types import TypeDecorator

from muster.model.ask import Option, Question
from muster.model.merge import MergeFacts, PathNote, Sides
from muster.model.template import TemplateAgent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
T = TypeVar("T")
HALVES = re.compile("[\ud800-\udfff]")
_written = json.JSONEncoder(ensure_ascii=False).encode


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def whole(text: str) -> str:
    """As UTF-8 can hold it: half a character, in which an answer that was cut may end, becomes U+FFFD."""
    return text if text.isascii() else HALVES.sub("\ufffd", text)


def _moment(stored: int) -> datetime:
    return EPOCH + stored * MICROSECOND


def _json(value: object) -> str:
    return whole(_written(value))


def _tuple(stored: str) -> tuple[Any, ...]:
    return tuple(json.loads(stored))


def _json_of_each(values: Iterable[Any]) -> str:
    return _json([asdict(value) for value in values])


def _questions(stored: str) -> tuple[Question, ...]:
    return tuple(_question(told) for told in json.loads(stored))


def _question(told: dict[str, Any]) -> Question:
    return Question(**told | {"options": tuple(Option(**option) for option in told["options"])})


def _json_of_facts(facts: MergeFacts) -> str:
    return _json(facts.told())


def _facts(stored: str) -> MergeFacts:
    told = json.loads(stored)
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    for name, kind in (("obstacles", PathNote), ("kept", PathNote), ("sides", Sides)):
        values[name] = tuple(kind(**one) for one in told.get(name, ()))
    return MergeFacts(**values)


def _template_agents(stored: str) -> tuple[TemplateAgent, ...]:
    return tuple(TemplateAgent(**told) for told in json.loads(stored))


class Stored(TypeDecorator[T]):
    """Two plain functions say how a value stands in its column, and what it is there: who has them needs no SQLAlchemy.

    `told` None: as it stands there. Neither is asked about nothing.
    """

    cache_ok = True
    kept: Callable[[Any], Any]
    told: Callable[[Any], Any] | None = None

    def process_bind_param(self, value: T | None, dialect: Any) -> Any:
        return None if value is None else self.kept(value)

    def process_result_value(self, value: Any, dialect: Any) -> Any:
        return value if value is None or self.told is None else self.told(value)


class Moment(Stored[datetime]):
    """A point in time, exact to the microsecond and sortable in every database."""

    impl = BigInteger
    kept = staticmethod(microseconds)
    told = staticmethod(_moment)


class Utf8(Stored[str]):
    """Text that is whole."""

    impl = Text
    kept = staticmethod(whole)


class Words(Stored[tuple[str, ...]]):
    """A few texts, as JSON."""

    impl = Text
    kept = staticmethod(_json)
    told = staticmethod(_tuple)


class Numbers(Stored[tuple[int, ...]]):
    """A few whole numbers, as JSON."""

    impl = Text
    kept = staticmethod(_json)
    told = staticmethod(_tuple)


class Questions(Stored[tuple[Question, ...]]):
    """Questions with their options, as JSON."""

    impl = Text
    kept = staticmethod(_json_of_each)
    told = staticmethod(_questions)


class Findings(Stored[MergeFacts]):
    """What is told of a merge, as JSON: only what there is to tell."""

    impl = Text
    kept = staticmethod(_json_of_facts)
    told = staticmethod(_facts)


class TemplateAgents(Stored[tuple[TemplateAgent, ...]]):
    """The agents of a fleet shape, as JSON."""

    impl = Text
    kept = staticmethod(_json_of_each)
    told = staticmethod(_template_agents)
