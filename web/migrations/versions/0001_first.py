"""The first tables: programmes, customers, cards, links, the ledger, events and deliveries."""

import sqlalchemy as sa
from alembic import op

from web.foundation.schema import Id, Json, Moment

revision = "0001"
down_revision = None

APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER ledger_entry_no_{verb} BEFORE {verb} ON ledger_entry"
        " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb in ("update", "delete")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON ledger_entry"
        " FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only()",
    ],
}


def upgrade() -> None:
    op.create_table(
        "address_change",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("channel", sa.String(length=5), nullable=False),
        sa.Column("value", sa.String(length=254), nullable=False),
        sa.Column("key", sa.String(length=254), nullable=False),
        sa.Column("old_agreed_at", Moment(), nullable=True),
        sa.Column("new_agreed_at", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.CheckConstraint("channel in ('email', 'phone')", name=op.f("ck_address_change_channel_is_known")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_address_change")),
    )
    with op.batch_alter_table("address_change", schema=None) as batch_op:
        batch_op.create_index("uq_address_change_customer", ["program_id", "customer_id"], unique=True)

    op.create_table(
        "balance",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("available", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("tier_points", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint("available >= 0", name=op.f("ck_balance_never_below_zero")),
        sa.PrimaryKeyConstraint("program_id", "customer_id", name=op.f("pk_balance")),
    )
    op.create_table(
        "consent_event",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=False),
        sa.Column("wording_version", sa.Integer(), nullable=False),
        sa.Column("wording_sha256", sa.String(length=64), nullable=False),
        sa.Column("locale", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("mechanism", sa.String(length=16), nullable=False),
        sa.Column("decided_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "decision in ('granted', 'refused', 'withdrawn')", name=op.f("ck_consent_event_decision_is_known")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_consent_event")),
    )
    with op.batch_alter_table("consent_event", schema=None) as batch_op:
        batch_op.create_index("ix_consent_event_customer", ["program_id", "customer_id", "id"], unique=False)

    op.create_table(
        "customer",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("email_key", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=20), nullable=True),
        sa.Column("name", sa.String(length=80), nullable=True),
        sa.Column("locale", sa.String(length=16), nullable=False),
        sa.Column("birthday", sa.String(length=10), nullable=True),
        sa.Column("extra", Json(), nullable=False),
        sa.Column("notifications", Json(), nullable=True),
        sa.Column("external_id", sa.String(length=120), nullable=True),
        sa.Column("card_number", sa.String(length=16), nullable=False),
        sa.Column("email_verified_at", Moment(), nullable=True),
        sa.Column("phone_verified_at", Moment(), nullable=True),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("visit_id", Id(), nullable=True),
        sa.Column("first_touch_id", Id(), nullable=True),
        sa.Column("last_touch_id", Id(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint(
            "email_key is not null or phone is not null", name=op.f("ck_customer_reachable_somehow")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_customer")),
    )
    with op.batch_alter_table("customer", schema=None) as batch_op:
        batch_op.create_index("uq_customer_card_number", ["program_id", "card_number"], unique=True)
        batch_op.create_index("uq_customer_email_key", ["program_id", "email_key"], unique=True)
        batch_op.create_index("uq_customer_external_id", ["program_id", "external_id"], unique=True)
        batch_op.create_index("uq_customer_phone", ["program_id", "phone"], unique=True)
        batch_op.create_index("uq_customer_visit_id", ["program_id", "visit_id"], unique=True)

    op.create_table(
        "delivery",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("lane", sa.String(length=80), nullable=False),
        sa.Column("event_id", Id(), nullable=True),
        sa.Column("payload", Json(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state in ('waiting', 'done', 'dead', 'dropped')", name=op.f("ck_delivery_state_is_known")
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_delivery")),
    )
    with op.batch_alter_table("delivery", schema=None) as batch_op:
        batch_op.create_index(
            "ix_delivery_dead",
            ["program_id", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'dead'"),
            postgresql_where=sa.text("state = 'dead'"),
        )
        batch_op.create_index(
            "ix_delivery_due",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )
        batch_op.create_index(
            "ix_delivery_lane",
            ["program_id", "lane", "id"],
            unique=False,
            sqlite_where=sa.text("state = 'waiting'"),
            postgresql_where=sa.text("state = 'waiting'"),
        )

    op.create_table(
        "event",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("customer_id", Id(), nullable=True),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("properties", Json(), nullable=False),
        sa.Column("dispatched_at", Moment(), nullable=True),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_event")),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_customer", ["program_id", "customer_id", "id"], unique=False)
        batch_op.create_index(
            "ix_event_waiting",
            ["id"],
            unique=False,
            sqlite_where=sa.text("dispatched_at IS NULL"),
            postgresql_where=sa.text("dispatched_at IS NULL"),
        )
        batch_op.create_index(
            "ix_event_waiting_customer",
            ["program_id", "customer_id", "id"],
            unique=False,
            sqlite_where=sa.text("dispatched_at IS NULL"),
            postgresql_where=sa.text("dispatched_at IS NULL"),
        )

    op.create_table(
        "ledger_entry",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("amount", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("balance_after", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("reason", sa.String(length=120), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=120), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_ledger_entry_amount_moves_something")),
        sa.CheckConstraint("balance_after >= 0", name=op.f("ck_ledger_entry_never_below_zero")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint("program_id", "key", name=op.f("uq_ledger_entry_program_id_key")),
    )
    with op.batch_alter_table("ledger_entry", schema=None) as batch_op:
        batch_op.create_index("ix_ledger_entry_customer", ["program_id", "customer_id", "id"], unique=False)

    op.create_table(
        "mailbox_message",
        sa.Column("id", Id(), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("message", Json(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox_message")),
    )
    op.create_table(
        "one_time_link",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("jti_hash", sa.String(length=64), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("purpose", sa.String(length=8), nullable=False),
        sa.Column("address_hash", sa.String(length=64), nullable=True),
        sa.Column("inbox_hash", sa.String(length=64), nullable=True),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("most_uses", sa.Integer(), nullable=True),
        sa.Column("utm", Json(), nullable=False),
        sa.Column("created_by", sa.String(length=40), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("used_at", Moment(), nullable=True),
        sa.Column("revoked_at", Moment(), nullable=True),
        sa.CheckConstraint(
            "purpose in ('download', 'verify', 'handoff', 'auth', 'change')",
            name=op.f("ck_one_time_link_purpose_is_known"),
        ),
        sa.CheckConstraint(
            "most_uses is null or uses <= most_uses", name=op.f("ck_one_time_link_used_no_more_than_allowed")
        ),
        sa.PrimaryKeyConstraint("program_id", "jti_hash", name=op.f("pk_one_time_link")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("one_time_link", schema=None) as batch_op:
        batch_op.create_index(
            "ix_one_time_link_customer", ["program_id", "customer_id", "purpose", "created_at"], unique=False
        )
        batch_op.create_index("ix_one_time_link_expires_at", ["expires_at"], unique=False)
        batch_op.create_index(
            "ix_one_time_link_inbox", ["program_id", "inbox_hash", "created_at"], unique=False
        )

    op.create_table(
        "program",
        sa.Column("id", Id(), nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("settings", Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("updated_at", Moment(), nullable=False),
        sa.CheckConstraint("version > 0", name=op.f("ck_program_version_counts_up")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_program")),
        sa.UniqueConstraint("slug", name=op.f("uq_program_slug")),
    )
    op.create_table(
        "reward",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("title", Json(), nullable=False),
        sa.Column("description", Json(), nullable=False),
        sa.Column("cost", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("active", sa.Boolean(name="active_is_boolean"), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint("cost >= 0", name=op.f("ck_reward_cost_not_negative")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_reward")),
    )
    with op.batch_alter_table("reward", schema=None) as batch_op:
        batch_op.create_index("ix_reward_cost", ["program_id", "active", "cost"], unique=False)

    op.create_table(
        "session",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("browser", sa.String(length=40), nullable=False),
        sa.Column("device", sa.String(length=40), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_session")),
        sa.UniqueConstraint("program_id", "token_hash", name=op.f("uq_session_program_id_token_hash")),
    )
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.create_index("ix_session_customer", ["program_id", "customer_id"], unique=False)
        batch_op.create_index("ix_session_expires_at", ["expires_at"], unique=False)

    op.create_table(
        "suppression",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("address_tag", sa.String(length=64), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "address_tag", name=op.f("pk_suppression")),
    )
    op.create_table(
        "tier",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("name", Json(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("required_points", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.CheckConstraint("required_points >= 0", name=op.f("ck_tier_required_points_not_negative")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_tier")),
        sa.UniqueConstraint("program_id", "level", name=op.f("uq_tier_program_id_level")),
    )
    with op.batch_alter_table("tier", schema=None) as batch_op:
        batch_op.create_index("ix_tier_required_points", ["program_id", "required_points"], unique=False)

    op.create_table(
        "touch",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("visit_id", Id(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.Column("source", sa.String(length=120), nullable=True),
        sa.Column("medium", sa.String(length=120), nullable=True),
        sa.Column("campaign", sa.String(length=120), nullable=True),
        sa.Column("term", sa.String(length=120), nullable=True),
        sa.Column("content", sa.String(length=120), nullable=True),
        sa.Column("location_id", Id(), nullable=True),
        sa.Column("referrer_host", sa.String(length=120), nullable=True),
        sa.Column("landing_path", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_touch")),
    )
    with op.batch_alter_table("touch", schema=None) as batch_op:
        batch_op.create_index("ix_touch_visit", ["program_id", "visit_id"], unique=False)

    op.create_table(
        "visit",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("draft", Json(), nullable=False),
        sa.Column("first_touch_id", Id(), nullable=True),
        sa.Column("last_touch_id", Id(), nullable=True),
        sa.Column("customer_id", Id(), nullable=True),
        sa.Column("granted_until", Moment(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_visit")),
        sa.UniqueConstraint("program_id", "token_hash", name=op.f("uq_visit_program_id_token_hash")),
    )
    with op.batch_alter_table("visit", schema=None) as batch_op:
        batch_op.create_index("ix_visit_expires_at", ["expires_at"], unique=False)

    op.create_table(
        "wallet_pass",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("customer_id", Id(), nullable=False),
        sa.Column("platform", sa.String(length=8), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("touch_id", Id(), nullable=True),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("stored_at", Moment(), nullable=True),
        sa.Column("installed_at", Moment(), nullable=True),
        sa.Column("voided_at", Moment(), nullable=True),
        sa.CheckConstraint(
            "kind in ('loyalty', 'coupon', 'gift_card', 'membership')",
            name=op.f("ck_wallet_pass_kind_is_known"),
        ),
        sa.CheckConstraint("platform in ('apple', 'google')", name=op.f("ck_wallet_pass_platform_is_known")),
        sa.CheckConstraint(
            "status in ('created', 'installed', 'uninstalled', 'voided')",
            name=op.f("ck_wallet_pass_status_is_known"),
        ),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_wallet_pass")),
    )
    with op.batch_alter_table("wallet_pass", schema=None) as batch_op:
        batch_op.create_index(
            "uq_wallet_pass_living",
            ["program_id", "customer_id", "platform", "kind"],
            unique=True,
            sqlite_where=sa.text("voided_at IS NULL AND kind = 'loyalty'"),
            postgresql_where=sa.text("voided_at IS NULL AND kind = 'loyalty'"),
        )

    op.create_table(
        "consent_wording",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("locale", sa.String(length=16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["program.id"], name=op.f("fk_consent_wording_program_id")),
        sa.PrimaryKeyConstraint(
            "program_id", "purpose", "version", "locale", name=op.f("pk_consent_wording")
        ),
    )
    op.create_table(
        "location",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("id", Id(), nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["program.id"], name=op.f("fk_location_program_id")),
        sa.PrimaryKeyConstraint("program_id", "id", name=op.f("pk_location")),
        sa.UniqueConstraint("program_id", "slug", name=op.f("uq_location_program_id_slug")),
    )
    op.create_table(
        "program_image",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["program.id"], name=op.f("fk_program_image_program_id")),
        sa.PrimaryKeyConstraint("program_id", "kind", name=op.f("pk_program_image")),
    )
    op.create_table(
        "sign",
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("program_slug", sa.String(length=40), nullable=False),
        sa.Column("location_id", Id(), nullable=True),
        sa.Column("source", sa.String(length=120), nullable=False),
        sa.Column("medium", sa.String(length=120), nullable=False),
        sa.Column("campaign", sa.String(length=120), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.ForeignKeyConstraint(["program_id"], ["program.id"], name=op.f("fk_sign_program_id")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_sign")),
    )
    with op.batch_alter_table("sign", schema=None) as batch_op:
        batch_op.create_index(
            "uq_sign_purpose", ["program_id", "source", "medium", "campaign", "location_id"], unique=True
        )
        batch_op.create_index(
            "uq_sign_purpose_everywhere",
            ["program_id", "source", "medium", "campaign"],
            unique=True,
            sqlite_where=sa.text("location_id IS NULL"),
            postgresql_where=sa.text("location_id IS NULL"),
        )

    op.create_table(
        "signing_key",
        sa.Column("program_id", Id(), nullable=False),
        sa.Column("kid", sa.String(length=40), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("retires_at", Moment(), nullable=True),
        sa.ForeignKeyConstraint(["program_id"], ["program.id"], name=op.f("fk_signing_key_program_id")),
        sa.PrimaryKeyConstraint("program_id", "kid", name=op.f("pk_signing_key")),
        sa.UniqueConstraint("kid", name=op.f("uq_signing_key_kid")),
    )
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)
