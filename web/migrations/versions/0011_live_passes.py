"""Passes that follow the ledger: their versions, the phones that hold them, updates that merge while they wait."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Moment

revision = "0011"
down_revision = "0010"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# When a pass was made, in whole Unix seconds.
SECONDS = {
    "sqlite": "cast(strftime('%s', created_at) as integer)",
    "postgresql": "floor(extract(epoch from created_at))",
}
UNTAKEN = sa.text("state = 'waiting' and merge_key is not null")


def upgrade() -> None:
    with op.batch_alter_table("wallet_pass") as batch_op:
        batch_op.add_column(sa.Column("version", BIG, nullable=True))
        batch_op.add_column(sa.Column("handed_version", BIG, nullable=True))
        batch_op.add_column(sa.Column("uninstalled_at", Moment(), nullable=True))
    op.execute(f"update wallet_pass set version = {SECONDS[op.get_bind().dialect.name]}")  # noqa: S608 - our own text
    with op.batch_alter_table("wallet_pass") as batch_op:
        batch_op.alter_column("version", existing_type=BIG, nullable=False)
    op.create_index("ix_wallet_pass_customer", "wallet_pass", ["program_id", "customer_id"])
    op.create_index("ix_wallet_pass_id", "wallet_pass", ["id"])
    op.create_table(
        "pass_device",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("pass_id", Id(), nullable=False),
        sa.Column("device_id", sa.String(length=120), nullable=False),
        sa.Column("push_token", sa.String(length=200), nullable=False),
        sa.Column("registered_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "pass_id", "device_id", name=op.f("pk_pass_device")),
    )
    op.create_index("ix_pass_device_device", "pass_device", ["device_id"])
    op.create_index("ix_pass_device_push_token", "pass_device", ["push_token"])
    op.add_column("delivery", sa.Column("merge_key", sa.String(length=80), nullable=True))
    op.create_index(
        "uq_delivery_merge_key",
        "delivery",
        ["program_id", "merge_key"],
        unique=True,
        sqlite_where=UNTAKEN,
        postgresql_where=UNTAKEN,
    )
    # What waits to be told to Google names the pass from now on.
    op.execute(
        "update delivery set payload = '{\"pass_id\":\"' || substr(lane, length('google_card:') + 1) || '\"}' "
        "where kind = 'google_card' and state in ('waiting', 'dead')"
    )
