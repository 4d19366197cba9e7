"""Requests that were answered, remembered for a day, so that a resend is safe."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from muster.store.schema import requests

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """`fingerprint` tells other arguments apart; `answer` is the first answer, as JSON text."""

    request_id: str
    verb: str
    fingerprint: str
    answer: str


def find(connection: Connection, actor: str, request_id: str, at: datetime) -> Remembered | None:
    """One that was answered at most a day before `at`."""
    columns = requests.c
    row = connection.execute(
        select(columns.verb, columns.fingerprint, columns.answer).where(
            columns.actor == actor, columns.request_id == request_id, columns.at >= at - KEPT
        )
    ).first()
    return None if row is None else Remembered(request_id=request_id, verb=row[0], fingerprint=row[1], answer=row[2])


def add(connection: Connection, actor: str, remembered: Remembered, at: datetime) -> None:
    """Remember one, and forget those that are over a day old."""
    connection.execute(requests.delete().where(requests.c.at < at - KEPT))
    connection.execute(
        requests.insert().values(
            actor=actor,
            request_id=remembered.request_id,
            verb=remembered.verb,
            fingerprint=remembered.fingerprint,
            answer=remembered.answer,
            at=at,
        )
    )
