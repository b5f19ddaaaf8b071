"""Who holds which tier, until when and why: in the row of the balance, with a history that is only added to."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Moment

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    _widen_tier()
    _widen_balance()
    _make_history()


def _widen_tier() -> None:
    with op.batch_alter_table("tier") as tier:
        tier.add_column(sa.Column("active", sa.Boolean(), nullable=True))
    op.execute(sa.text("UPDATE tier SET active = :yes").bindparams(sa.bindparam("yes", True, sa.Boolean())))
    with op.batch_alter_table("tier") as tier:
        tier.alter_column("active", existing_type=sa.Boolean(), nullable=False)
    op.drop_index("ix_tier_required_points", "tier")
    op.create_index(
        "ix_tier_required_points",
        "tier",
        ["program_id", "required_points"],
        unique=True,
        sqlite_where=sa.text("active IS 1"),
        postgresql_where=sa.text("active IS true"),
    )


def _widen_balance() -> None:
    with op.batch_alter_table("balance") as balance:
        for name in ("secured", "won", "grace", "granted"):
            balance.add_column(sa.Column(f"tier_{name}_id", Id(), nullable=True))
        for name in ("tier_grace_until", "enrolled_at", "tier_due_at"):
            balance.add_column(sa.Column(name, Moment(), nullable=True))
    op.create_index(
        "ix_balance_tier_due",
        "balance",
        ["tier_due_at"],
        sqlite_where=sa.text("tier_due_at IS NOT NULL"),
        postgresql_where=sa.text("tier_due_at IS NOT NULL"),
    )
    # Until now a tier was read off the points. The rest of its state is made when the balance next changes.
    op.execute(
        "UPDATE balance SET tier_id = (SELECT tier.id FROM tier WHERE tier.program_id = balance.program_id"
        " AND tier.required_points <= balance.tier_points ORDER BY tier.required_points DESC LIMIT 1)"
    )


def _make_history() -> None:
    op.create_table(
        "tier_change",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("previous_id", Id(), nullable=True),
        sa.Column("current_id", Id(), nullable=True),
        sa.Column("cause", sa.String(length=8), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("recorded_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "cause in ('cycle', 'refund', 'manual', 'earned')", name=op.f("ck_tier_change_cause_is_known")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_tier_change")),
    )
    op.create_index("ix_tier_change_customer", "tier_change", ["program_id", "customer_id", "at", "id"])
    for statement in _append_only(op.get_bind().dialect.name):
        op.execute(statement)


def _append_only(dialect: str) -> list[str]:
    """Nobody's history is rewritten; only with the person themselves does it go."""
    if dialect == "sqlite":
        return [
            "CREATE TRIGGER tier_change_no_update BEFORE UPDATE ON tier_change"
            " BEGIN SELECT RAISE(ABORT, 'tier_change is append-only'); END"
        ]
    return [
        "CREATE FUNCTION tier_change_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'tier_change is append-only'; END $$",
        "CREATE TRIGGER tier_change_append_only BEFORE UPDATE ON tier_change"
        " FOR EACH ROW EXECUTE FUNCTION tier_change_is_append_only()",
    ]
