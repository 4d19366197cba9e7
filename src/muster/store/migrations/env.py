"""Run by Alembic: applies the revisions on the connection that `upgrade` hands in."""

from alembic import context

from muster.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,  # the caller's transaction holds all revisions; Alembic must not begin or commit one
)
context.run_migrations()
