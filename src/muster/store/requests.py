"""Requests that were answered, remembered for a day, so that a resend is safe."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from muster.store import statements
from muster.store.schema import requests

KEPT = timedelta(hours=24)
COLUMNS = tuple(column.name for column in requests.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """`fingerprint` tells other arguments apart; `answer` is the first answer, as JSON text."""

    request_id: str
    verb: str
    fingerprint: str
    answer: str


def find(connection: Connection, actor: str, request_id: str, at: datetime) -> Remembered | None:
    """One that was answered at most a day before `at`."""
    where = {"actor": actor, "request_id": request_id, "at": statements.Above(at - KEPT)}
    for _, id, verb, fingerprint, answer, _ in statements.rows(connection, requests, where):
        return Remembered(request_id=id, verb=verb, fingerprint=fingerprint, answer=answer)
    return None


def add(connection: Connection, actor: str, remembered: Remembered, at: datetime) -> None:
    """Remember one, and forget those that are over a day old."""
    statements.delete(connection, requests, {"at": statements.Below(at - KEPT)})
    row = (actor, remembered.request_id, remembered.verb, remembered.fingerprint, remembered.answer, at)
    statements.insert(connection, requests, COLUMNS, [row])
