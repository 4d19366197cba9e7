"""Retries and timeouts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("fleets", sa.Column("timeout_ms", sa.BigInteger(), nullable=True))
    op.add_column("agents", sa.Column("max_attempts", sa.Integer(), nullable=False, server_default="3"))
    op.add_column("agents", sa.Column("timeout_ms", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("due_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("output", sa.Text(), nullable=True))
    op.add_column("turns", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
