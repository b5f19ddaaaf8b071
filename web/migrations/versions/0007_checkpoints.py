"""Signed checkpoints of the ledger, the clock's own book, merged customers, and when somebody is told of an end."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Moment

revision = "0007"
down_revision = "0006"

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "clock_run",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("leased_until", Moment(), nullable=True),
        sa.Column("ran_at", Moment(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_clock_run")),
    )
    with op.batch_alter_table("lot") as lot:
        lot.add_column(sa.Column("warn_at", Moment(), nullable=True))
        lot.add_column(sa.Column("written_off", BIG, nullable=False, server_default="0"))
        lot.create_check_constraint(
            op.f("ck_lot_written_off_is_part_of_the_rest"),
            "written_off >= 0 and remaining + written_off <= amount",
        )
    with op.batch_alter_table("lot") as lot:
        lot.alter_column("written_off", existing_type=BIG, server_default=None)
    op.create_index("ix_lot_use_lot", "lot_use", ["program_id", "lot_id"])
    op.add_column("balance", sa.Column("merged_into", Id(), nullable=True))
    is_open = "remaining > 0 AND is_pending IS {} AND warn_at IS NOT NULL"
    op.create_index(
        "ix_lot_to_warn_of",
        "lot",
        ["warn_at"],
        sqlite_where=sa.text(is_open.format("0")),
        postgresql_where=sa.text(is_open.format("false")),
    )
    op.create_index("ix_ledger_entry_at", "ledger_entry", ["program_id", "at"])
    op.create_table(
        "ledger_checkpoint",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("until", Moment(), nullable=False),
        sa.Column("customers", sa.Integer(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("root", sa.String(length=64), nullable=False),
        sa.Column("previous_root", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "number", name=op.f("pk_ledger_checkpoint")),
    )
    for statement in _append_only("ledger_checkpoint", op.get_bind().dialect.name):
        op.execute(statement)


def _append_only(table: str, dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}"
            f" BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            for verb in ("update", "delete")
        ]
    return [
        f"CREATE FUNCTION {table}_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_is_append_only()",
    ]
