"""The schema's history: the whole chain on both databases, and nothing between it and the tables in code."""

import multiprocessing
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, column, inspect, table, text
from sqlalchemy.schema import CheckConstraint

from tests.support.postgres import PostgresServer
from web.foundation.schema import Id, Moment, new_id, utc_now
from web.loyalty.balance import find_balance
from web.loyalty.ledger import find_by_key
from web.loyalty.ledger_proof import rebuild_balances, verify
from web.loyalty.lot import open_lots
from web.migrations import current_revision, head_revision, upgrade, with_connection
from web.tables import metadata


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'deep' / 'down' / 'pasito.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        with server.fresh() as url:
            yield url


def differences(conn: Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(conn, opts=options), metadata))


def checks(conn: Connection) -> dict[str, set[str]]:
    inspector = inspect(conn)
    return {
        name: {str(check["name"]) for check in inspector.get_check_constraints(name)}
        for name in metadata.tables
    }


def test_the_chain_makes_the_tables_that_the_code_describes(empty_url: str) -> None:
    upgrade(empty_url)
    assert with_connection(empty_url, current_revision) == head_revision()
    assert with_connection(empty_url, differences) == []


def test_the_tables_rules_are_there_too(empty_url: str) -> None:
    """Alembic does not compare CHECK constraints."""
    upgrade(empty_url)
    described = {
        name: {
            f"ck_{name}_{check.name}".replace(f"ck_{name}_ck_{name}_", f"ck_{name}_")
            for check in table.constraints
            if isinstance(check, CheckConstraint) and not getattr(check, "_type_bound", False)
        }
        for name, table in metadata.tables.items()
    }
    assert with_connection(empty_url, checks) == described


def test_migrating_again_changes_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    with_connection(empty_url, lambda conn: conn.execute(text("CREATE TABLE mine (n INTEGER)")))
    upgrade(empty_url)
    with_connection(empty_url, lambda conn: conn.execute(text("SELECT n FROM mine")))
    assert with_connection(empty_url, current_revision) == head_revision()


def test_an_empty_database_has_no_revision(empty_url: str) -> None:
    assert with_connection(empty_url, current_revision) is None


def test_several_processes_that_migrate_at_once_do_it_once(empty_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=upgrade, args=(empty_url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert with_connection(empty_url, differences) == []


def test_half_a_migration_leaves_nothing_behind(empty_url: str) -> None:
    def fail_late(conn: Connection) -> None:
        metadata.create_all(conn)
        raise RuntimeError("the power is gone")

    with pytest.raises(RuntimeError):
        with_connection(empty_url, fail_late)
    assert with_connection(empty_url, lambda conn: inspect(conn).get_table_names()) == []
    upgrade(empty_url)


def test_a_command_waits_for_a_server_that_is_writing(tmp_path: Path) -> None:
    """It reads before it writes, which SQLite refuses at once if a commit comes between."""
    path = tmp_path / "pasito.db"
    url = f"sqlite:///{path}"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode=wal")
        other.execute("CREATE TABLE number (n INTEGER)")

    def read_then_write(conn: Connection) -> None:
        conn.execute(text("SELECT count(*) FROM number"))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            sqlite3.connect(path, timeout=0).execute("INSERT INTO number VALUES (1)")
        conn.execute(text("INSERT INTO number VALUES (2)"))

    with_connection(url, read_then_write)


def test_points_that_were_booked_before_the_ledger_had_chains_are_in_them_now(empty_url: str) -> None:
    upgrade(empty_url, "0001")
    program_id, other_id, ana, bea = (new_id() for _ in range(4))
    began = utc_now() - timedelta(days=300)
    booked = [
        *((program_id, ana, amount) for amount in (100, -30, 50, -110, 7)),
        (program_id, bea, 12),
        (other_id, bea, 5),
    ]

    def book(conn: Connection) -> None:
        had: dict[tuple[str, str], int] = {}
        for number, (its, whose, amount) in enumerate(booked):
            had[its, whose] = had.get((its, whose), 0) + amount
            row = {
                "program_id": its,
                "id": new_id(),
                "customer_id": whose,
                "amount": amount,
                "balance_after": had[its, whose],
                "reason": "Café ☕",
                "source": "pos",
                "key": f"order {number}",
                "at": began + timedelta(hours=number, microseconds=number),
            }
            types = [column(name, Id()) for name in ("program_id", "id", "customer_id")]
            names = ("amount", "balance_after", "reason", "source", "key")
            its_table = table(
                "ledger_entry", *types, *(column(name) for name in names), column("at", Moment())
            )
            conn.execute(its_table.insert(), row)
        for (its, whose), available in had.items():
            conn.execute(
                table(
                    "balance",
                    column("program_id", Id()),
                    column("customer_id", Id()),
                    *(column(name) for name in ("available", "tier_points", "version")),
                    column("updated_at", Moment()),
                ).insert(),
                {
                    "program_id": its,
                    "customer_id": whose,
                    "available": available,
                    "tier_points": available,
                    "version": 1,
                    "updated_at": began,
                },
            )

    with_connection(empty_url, book)
    upgrade(empty_url)

    def look(conn: Connection) -> None:
        for its in (program_id, other_id):
            assert list(verify(conn, its, ())) == []
            assert rebuild_balances(conn, its) == 0
        for its, whose, available, in_lots in (
            (program_id, ana, 17, [10, 7]),
            (program_id, bea, 12, [12]),
            (other_id, bea, 5, [5]),
        ):
            held = find_balance(conn, its, whose)
            assert held is not None
            assert held.available == available
            assert [each.remaining for each in open_lots(conn, its, whose)] == in_lots
        found = find_by_key(conn, program_id, "order 0")
        assert found is not None
        assert (found.reason, found.at) == ("Café ☕", began)

    with_connection(empty_url, look)
