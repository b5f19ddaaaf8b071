"""Column types mean the same on both databases, and every table is keyed by its programme."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import StatementError

from tests.support.rows import in_database
from web.foundation.schema import Id, Json, Moment, new_id, utc_now
from web.tables import TABLES, metadata

kept = Table(
    "kept", MetaData(), Column("id", Id, primary_key=True), Column("at", Moment), Column("what", Json)
)


def there_and_back(database_url: str, **values: Any) -> Any:
    def work(conn: Any) -> Any:
        kept.create(conn, checkfirst=True)
        key = new_id()
        conn.execute(insert(kept).values(id=key, **values))
        return conn.execute(select(kept).where(kept.c.id == key)).one()

    return in_database(database_url, work)


def test_a_moment_comes_back_in_utc_to_the_microsecond(database_url: str) -> None:
    madrid = datetime(2026, 10, 25, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    back = there_and_back(database_url, at=madrid).at
    assert back == madrid
    assert back.utcoffset() == timedelta(0)
    assert there_and_back(database_url, at=None).at is None


def test_a_moment_without_a_zone_is_refused(database_url: str) -> None:
    with pytest.raises(StatementError, match="a moment needs its time zone"):
        there_and_back(database_url, at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_json_comes_back_as_it_was(database_url: str) -> None:
    document = {"ñ": ["€", 1, 2.5, None, True, {"deep": {}}], "empty": []}
    assert there_and_back(database_url, what=document).what == document


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values.filter(lambda value: value is not None))
def test_any_json_is_the_same_text_on_both_databases(value: Any) -> None:
    written = [
        Json().process_bind_param(value, dialect) for dialect in (sqlite.dialect(), postgresql.dialect())
    ]
    assert written[0] == written[1]
    assert Json().process_result_value(written[0], sqlite.dialect()) == value


def test_later_ids_sort_after_earlier_ones() -> None:
    ids = [new_id() for _ in range(5000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {id[14] for id in ids} == {"7"}


def test_the_clock_has_its_zone() -> None:
    assert utc_now().tzinfo is UTC


def test_every_table_is_keyed_by_its_programme() -> None:
    """But the programme itself, what is looked up before it is known, the clock, the development mailbox, and what
    phones complain of: they name no programme."""
    outside = {"program", "sign", "clock_run", "mailbox_message", "phone_log"}
    for table in TABLES:
        if table.name not in outside:
            assert next(iter(table.primary_key.columns)).name == "program_id", table.name


def test_no_table_is_forgotten_where_the_whole_database_is_searched() -> None:
    assert {table.name for table in TABLES} == set(metadata.tables)


def test_foreign_keys_lead_to_programmes_only() -> None:
    """So that a programme can be moved as a whole."""
    targets = {key.target_fullname for table in TABLES for key in table.foreign_keys}
    assert targets == {"program.id"}


def test_every_index_of_a_programme_s_rows_begins_with_it() -> None:
    """But those of the workers, who look for what is due in all programmes at once."""
    for table in TABLES:
        for index in table.indexes:
            first = next(iter(index.columns)).name
            allowed = first in ("program_id", "due_at", "expires_at")
            assert allowed or index.name in WORKERS | BEFORE_IT_IS_KNOWN, index.name


WORKERS = {
    "ix_event_waiting",
    "ix_mailbox_message_created_at",
    "ix_idempotency_created_at",
    "ix_balance_tier_due",
    "ix_lot_to_warn_of",
    "ix_lot_held",
    "ix_redemption_reserved",
    "ix_delivery_due",
    "ix_wallet_pass_voided",
    "ix_google_callback_purge",
    "ix_google_notice_at",
}
# A key says which programme it is for; so does a pass, and a phone knows of no programmes.
BEFORE_IT_IS_KNOWN = {
    "uq_api_key_digest",
    "ix_wallet_pass_id",
    "ix_pass_device_device",
    "ix_pass_device_push_token",
    "ix_phone_log_last_at",
}


def test_the_tables_can_be_made_anywhere() -> None:
    metadata.create_all(create_engine("sqlite://"))
