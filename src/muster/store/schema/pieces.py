"""What the tables are drawn with: the columns and indexes that many of them have."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, MetaData, text

from muster.store.columns import Utf8

metadata = MetaData()


def seq() -> Column[int]:
    return Column("seq", Integer, primary_key=True, autoincrement=True)


def row_id() -> Column[str]:
    return Column("id", Utf8, nullable=False, unique=True)


def budget() -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in ("max_turns", "max_tokens", "max_seconds")]


def reference(name: str, table: str) -> Column[str]:
    return Column(name, Utf8, ForeignKey(f"{table}.id"), nullable=False, index=True)


def partial(name: str, *columns: str, where: str) -> Index:
    """An index of the rows that still matter: it does not grow with those that do not."""
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))
