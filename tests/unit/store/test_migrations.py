"""Migrations make what the schema says, and nothing twice."""

import sqlite3
from contextlib import closing

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from muster.store import migrations
from muster.store.schema import metadata
from unit.stage import contents


def test_migrations_make_the_tables_of_the_schema():
    with create_engine("sqlite://").begin() as connection:
        migrations.upgrade(connection)
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_tables_that_migrations_make_count_on_as_the_schema_says(tmp_path):
    """Alembic's comparison sees no AUTOINCREMENT, on which it rests that no cursor is ever used twice."""
    made, drawn = tmp_path / "made.db", tmp_path / "drawn.db"
    for path, make in ((made, migrations.upgrade), (drawn, metadata.create_all)):
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            make(connection)
        engine.dispose()
    assert columns(made) == columns(drawn)


def columns(path) -> dict[str, list[tuple[object, ...]]]:
    """Every table's columns, and whether it counts on."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'").fetchall()
        return {
            name: [*connection.execute(f"PRAGMA table_info({name})"), ("AUTOINCREMENT" in sql,)]
            for name, sql in found
            if not name.startswith(("sqlite_", "alembic_"))
        }


def test_upgrade_of_what_is_up_to_date_changes_nothing(tmp_path):
    path = tmp_path / "muster.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrations.upgrade(connection)
    before = contents(path)
    with engine.begin() as connection:
        migrations.upgrade(connection)
    engine.dispose()
    assert contents(path) == before


def test_every_revision_is_known_by_name_oldest_first():
    scripts = ScriptDirectory(migrations.__path__[0])
    assert tuple(reversed([script.revision for script in scripts.walk_revisions()])) == migrations.KNOWN
