"""How an older database becomes the present one: Alembic's revisions, applied in order, in one transaction."""

from pathlib import Path

from sqlalchemy import Connection, inspect

KNOWN = ("0001", "0002")  # every revision, oldest first
HEAD = KNOWN[-1]


def upgrade(connection: Connection) -> None:
    """Bring the schema to HEAD inside the caller's transaction; nothing where it is there already."""
    if inspect(connection).has_table("alembic_version"):
        found = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
        if found == HEAD:
            return
    # Heavy, and needed once per release: kept off every other start.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
