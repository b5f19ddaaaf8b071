"""Webhook endpoints, and whose birthday was had in which year."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("url", sa.String(length=2000), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("sealed_before", sa.Text(), nullable=True),
        sa.Column("before_until", Moment(), nullable=True),
        sa.Column("events", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("paused_at", Moment(), nullable=True),
        sa.Column("pause_reason", sa.String(length=200), nullable=True),
        sa.Column("last_success_at", Moment(), nullable=True),
        sa.Column("last_failure_at", Moment(), nullable=True),
        sa.Column("failing_since", Moment(), nullable=True),
        sa.Column("dead_in_a_row", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_webhook_endpoint")),
    )
    op.create_table(
        "birthday",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "customer_id", "year", name=op.f("pk_birthday")),
    )
    op.create_index(
        "ix_customer_birthday",
        "customer",
        ["program_id", "birthday"],
        unique=False,
        sqlite_where=sa.text("birthday IS NOT NULL"),
        postgresql_where=sa.text("birthday IS NOT NULL"),
    )
