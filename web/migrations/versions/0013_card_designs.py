"""Versions of cards' designs with their roll-out, and shops that phones know the place of."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.create_table(
        "card_design",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("parts", Json(), nullable=False),
        sa.Column("changes", Json(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("reached", Id(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.CheckConstraint(
            "state in ('running', 'paused', 'done', 'superseded')", name=op.f("ck_card_design_state_is_known")
        ),
        sa.PrimaryKeyConstraint("program_id", "number", name=op.f("pk_card_design")),
    )
    with op.batch_alter_table("location") as batch_op:
        batch_op.add_column(sa.Column("latitude", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("longitude", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("nearby_text", Json(), nullable=True))
        batch_op.add_column(sa.Column("on_card", sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column("rank", sa.Integer(), nullable=True))
    op.execute("update location set on_card = true, rank = 100")
    with op.batch_alter_table("location") as batch_op:
        batch_op.alter_column("on_card", existing_type=sa.Boolean(), nullable=False)
        batch_op.alter_column("rank", existing_type=sa.Integer(), nullable=False)
        batch_op.create_check_constraint(
            op.f("ck_location_place_is_whole"), "(latitude is null) = (longitude is null)"
        )
        batch_op.create_check_constraint(
            op.f("ck_location_place_is_on_earth"),
            "latitude between -90 and 90 and longitude between -180 and 180",
        )
