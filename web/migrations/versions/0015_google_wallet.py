"""What Google was told of each card, what it tells of them, and which messages lit up a phone."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0015"
down_revision = "0014"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "google_told",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("fields", Json(), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("told_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_google_told")),
    )
    op.create_table(
        "google_callback",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("nonce", sa.String(length=200), nullable=False),
        sa.Column("pass_id", Id(), nullable=False),
        sa.Column("event_type", sa.String(length=4), nullable=False),
        sa.Column("exp_millis", BIG, nullable=False),
        sa.Column("purge_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "nonce", name=op.f("pk_google_callback")),
    )
    op.create_index("ix_google_callback_pass", "google_callback", ["program_id", "pass_id"])
    op.create_index("ix_google_callback_purge", "google_callback", ["purge_at"])
    op.create_table(
        "google_notice",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("pass_id", Id(), nullable=False),
        sa.Column("message_id", sa.String(length=64), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("notifies", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "pass_id", "message_id", name=op.f("pk_google_notice")),
    )
    op.create_index("ix_google_notice_at", "google_notice", ["at"])
