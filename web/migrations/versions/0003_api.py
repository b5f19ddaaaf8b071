"""The API: its keys, its answers kept for those who ask again, its messages, what other systems say of a customer."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("prefix", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("scopes", Json(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("last_used_at", Moment(), nullable=True),
        sa.Column("expires_at", Moment(), nullable=True),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["program_id"], ["program.id"], name=op.f("fk_api_key_program_id")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_api_key")),
    )
    op.create_index("uq_api_key_digest", "api_key", ["digest"], unique=True)
    op.create_table(
        "idempotency",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("scope", sa.String(length=120), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("request_hash", sa.String(length=64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("response", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "scope", "key", name=op.f("pk_idempotency")),
    )
    op.create_index("ix_idempotency_created_at", "idempotency", ["created_at"])
    op.create_table(
        "membership",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("loyalty_customer_id", sa.String(length=120), nullable=False),
        sa.Column("member_since", Moment(), nullable=False),
        sa.Column("tier_status", sa.String(length=80), nullable=True),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "customer_id", name=op.f("pk_membership")),
    )
    op.create_table(
        "push_message",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("text", sa.String(length=240), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "status in ('queued', 'notDelivered')", name=op.f("ck_push_message_status_is_known")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_push_message")),
    )
    op.create_index("ix_push_message_customer", "push_message", ["program_id", "customer_id", "id"])
    op.add_column("customer", sa.Column("last_name", sa.String(length=80), nullable=True))
