"""Messages that reach cards: kinds, holds and results, what each card says, and which field of it may say so."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Moment

revision = "0012"
down_revision = "0011"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("wallet_pass") as batch_op:
        batch_op.add_column(sa.Column("voice", sa.SmallInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("wallet_pass") as batch_op:
        batch_op.alter_column("voice", existing_type=sa.SmallInteger(), server_default=None)
    _extend_push_message()
    op.create_table(
        "message_on_pass",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("message_id", Id(), nullable=False),
        sa.Column("pass_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("platform", sa.String(length=8), nullable=False),
        sa.Column("version", BIG, nullable=False),
        sa.Column("delivery_id", Id(), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=True),
        sa.Column("followed_by", Id(), nullable=True),
        sa.PrimaryKeyConstraint("program_id", "message_id", "pass_id", name=op.f("pk_message_on_pass")),
    )
    op.create_index("ix_message_on_pass_customer", "message_on_pass", ["program_id", "customer_id"])
    op.create_table(
        "card_message",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("message_id", Id(), nullable=False),
        sa.Column("text", sa.String(length=480), nullable=False),
        sa.Column("code", sa.String(length=12), nullable=True),
        sa.Column("released_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "customer_id", name=op.f("pk_card_message")),
    )


def _extend_push_message() -> None:
    with op.batch_alter_table("push_message") as batch_op:
        batch_op.add_column(
            sa.Column("kind", sa.String(length=12), nullable=False, server_default="marketing")
        )
        batch_op.add_column(sa.Column("code", sa.String(length=12), nullable=True))
        batch_op.add_column(sa.Column("reason", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("event_id", Id(), nullable=True))
        batch_op.add_column(sa.Column("held_until", Moment(), nullable=True))
        batch_op.add_column(sa.Column("released_at", Moment(), nullable=True))
        batch_op.add_column(sa.Column("clicks", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("clicked_at", Moment(), nullable=True))
        batch_op.drop_constraint(op.f("ck_push_message_status_is_known"), type_="check")
        batch_op.create_check_constraint(
            op.f("ck_push_message_status_is_known"),
            "status in ('queued', 'held', 'released', 'notDelivered')",
        )
    with op.batch_alter_table("push_message") as batch_op:
        batch_op.alter_column("kind", existing_type=sa.String(length=12), server_default=None)
        batch_op.alter_column("clicks", existing_type=sa.Integer(), server_default=None)
    # Nothing showed messages until now. What was taken in and never told is no news any more.
    op.execute(
        "update push_message set status = 'notDelivered', "
        "reason = case when status = 'queued' then 'expired' else 'no_pass' end"
    )
    op.execute(
        "update delivery set state = 'dropped', payload = '{}' where kind = 'push' and state <> 'done'"
    )
    for name in ("code", "event_id"):
        there = sa.text(f"{name} is not null")
        op.create_index(
            f"uq_push_message_{name}",
            "push_message",
            ["program_id", name],
            unique=True,
            sqlite_where=there,
            postgresql_where=there,
        )
