"""How values stand in columns: moments as microseconds since the epoch, UTC; small lists as JSON."""

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any  # SQLAlchemy's own signature of process_* hands the dialect as Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.types import TypeDecorator

from muster.model.ask import Option, Question
from muster.model.merge import MergeFacts, PathNote, Sides
from muster.model.template import TemplateAgent

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HALVES = re.compile("[\ud800-\udfff]")


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def whole(text: str) -> str:
    """As UTF-8 can hold it: half a character, in which an answer that was cut may end, becomes U+FFFD."""
    return text if text.isascii() else HALVES.sub("\ufffd", text)


class Moment(TypeDecorator[datetime]):
    """A point in time, exact to the microsecond and sortable in every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        return None if value is None else EPOCH + value * MICROSECOND


class Utf8(TypeDecorator[str]):
    """Text that is whole."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        return None if value is None else whole(value)


class Words(TypeDecorator[tuple[str, ...]]):
    """A few texts, as JSON."""

    impl = Utf8
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Any) -> str | None:
        return None if value is None else json.dumps(value, ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Any) -> tuple[str, ...] | None:
        return None if value is None else tuple(json.loads(value))


class Numbers(TypeDecorator[tuple[int, ...]]):
    """A few whole numbers, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[int, ...] | None, dialect: Any) -> str | None:
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Any) -> tuple[int, ...] | None:
        return None if value is None else tuple(json.loads(value))


class Questions(TypeDecorator[tuple[Question, ...]]):
    """Questions with their options, as JSON."""

    impl = Utf8
    cache_ok = True

    def process_bind_param(self, value: tuple[Question, ...] | None, dialect: Any) -> str | None:
        return None if value is None else json.dumps([asdict(question) for question in value], ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Any) -> tuple[Question, ...] | None:
        return None if value is None else tuple(_question(told) for told in json.loads(value))


class Findings(TypeDecorator[MergeFacts]):
    """What is told of a merge, as JSON: only what there is to tell."""

    impl = Utf8
    cache_ok = True

    def process_bind_param(self, value: MergeFacts | None, dialect: Any) -> str | None:
        return None if value is None else json.dumps(value.told(), ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Any) -> MergeFacts | None:
        return None if value is None else _facts(json.loads(value))


class TemplateAgents(TypeDecorator[tuple[TemplateAgent, ...]]):
    """The agents of a fleet shape, as JSON."""

    impl = Utf8
    cache_ok = True

    def process_bind_param(self, value: tuple[TemplateAgent, ...] | None, dialect: Any) -> str | None:
        return None if value is None else json.dumps([asdict(agent) for agent in value], ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Any) -> tuple[TemplateAgent, ...] | None:
        return None if value is None else tuple(TemplateAgent(**told) for told in json.loads(value))


def _facts(told: dict[str, Any]) -> MergeFacts:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in told.items()}
    for name, kind in (("obstacles", PathNote), ("kept", PathNote), ("sides", Sides)):
        values[name] = tuple(kind(**one) for one in told.get(name, ()))
    return MergeFacts(**values)


def _question(told: dict[str, Any]) -> Question:
    return Question(**told | {"options": tuple(Option(**option) for option in told["options"])})
