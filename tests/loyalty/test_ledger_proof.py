"""The proof of the ledger: whatever was changed behind its back is found, and named."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, Table, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from tests.conftest import BOTH, SECRET, Fresh
from tests.loyalty.people import new_customer
from tests.support.desk import Desk, open_desk
from tests.support.ledger import an_order
from tests.support.rows import in_database
from web.cli import commands
from web.demo import SLUG
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty import checkpoint
from web.loyalty.balance import balance
from web.loyalty.checkpoint import checkpoints_due, ledger_checkpoint, make_checkpoint, public_keys
from web.loyalty.ledger import entry_at, hash_of, ledger_entry
from web.loyalty.ledger_proof import Fault, rebuild_balances, verify
from web.loyalty.lot import lot, lot_use
from web.loyalty.points import earn, reverse, spend
from web.loyalty.program import Program, create_program, load_program
from web.loyalty.program_settings import ProgramSettings
from web.loyalty.wallet_pass import find_pass_by_id, pass_for

T = TypeVar("T")
APPEND_ONLY = ("ledger_entry", "lot_use", "ledger_checkpoint")


class Undo(Exception):
    """Ends a change that shall not stay."""


class Books:
    """A ledger with two customers and two checkpoints."""

    def __init__(self, desk: Desk, program: Program, sealer: Sealer) -> None:
        self.desk, self.program, self.keys = desk, program, public_keys(sealer, program.id)
        self.sealer = sealer
        self.ana, self.bea = desk.do(self._begin)
        desk.do(lambda conn: make_checkpoint(conn, program, sealer))
        desk.do(lambda conn: spend(conn, program, self.bea, 5, an_order()))
        desk.do(lambda conn: make_checkpoint(conn, program, sealer))
        desk.do(lambda conn: earn(conn, program, self.ana, 7, an_order()))

    def _begin(self, conn: Connection) -> tuple[str, str]:
        ana, bea = new_id(), new_id()
        # A merchant's server counts in its own zone.
        there = datetime.now(timezone(timedelta(hours=5, minutes=30)))
        given = an_order(at=there, source_ref="order 7", actor="Zoë", detail={"rule": "coffee"})
        first = earn(conn, self.program, ana, 100, given, money=350)
        spend(conn, self.program, ana, 30, an_order())
        assert first.entry_id
        reverse(conn, self.program, first.entry_id, an_order(), amount=20)
        earn(conn, self.program, bea, 40, an_order())
        return ana, bea

    def faults(self) -> list[Fault]:
        return self.desk.do(lambda conn: list(verify(conn, self.program.id, self.keys)))

    def undone(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; what it changed is undone again."""
        found: list[T] = []

        def change(conn: Connection) -> None:
            found.append(work(conn))
            raise Undo

        with pytest.raises(Undo):
            self.desk.do(change)
        return found[0]

    def after(self, *statements: Any) -> list[Fault]:
        """The faults that are found after these statements, which are undone again."""

        def change(conn: Connection) -> list[Fault]:
            for statement in statements:
                conn.execute(statement)
            return list(verify(conn, self.program.id, self.keys))

        return self.undone(change)


@contextmanager
def without_waiting() -> Iterator[None]:
    """Nobody is in the middle of a transaction here: a checkpoint may reach to this moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "SETTLED", timedelta())
        patch.setattr(checkpoint, "CLOCKS_DIFFER", timedelta())
        yield


@pytest.fixture(scope="module", params=BOTH)
def books(request: pytest.FixtureRequest, sealer: Sealer) -> Iterator[Books]:
    """Shared by all tests, each of which leaves it as it was."""

    def a_program(conn: Connection) -> Program:
        create_program(conn, "books", ProgramSettings(name="Books"), sealer)
        program = load_program(conn, "books", sealer)
        assert program is not None
        return program

    with ExitStack() as stack:
        desk = stack.enter_context(open_desk(Fresh(request, stack)(request.param)))
        stack.enter_context(without_waiting())
        made = Books(desk, desk.do(a_program), sealer)
        desk.do(_drop_triggers)
        yield made


def _drop_triggers(conn: Connection) -> None:
    for table in APPEND_ONLY:
        if conn.dialect.name == "postgresql":
            conn.execute(text(f"DROP TRIGGER {table}_append_only ON {table}"))
        else:
            conn.execute(text(f"DROP TRIGGER {table}_no_update"))
            conn.execute(text(f"DROP TRIGGER {table}_no_delete"))


def flipped(value: Any) -> Any:
    """The value with the least change that there is."""
    match value:
        case datetime():
            return value + timedelta(microseconds=1)
        case bool():
            return not value
        case int():
            return value + 1
        case dict():
            return {**value, "rule": "tea"}
        case str() if len(value) == 36 and value.count("-") == 4:
            return value[:-1] + ("0" if value[-1] != "0" else "1")
        case str():
            return value[:-1] + chr(ord(value[-1]) ^ 1)
    return "x"


def other_account(value: str) -> str:
    return "redeemed" if value != "redeemed" else "adjusted"


def rows(books: Books, table: Table, *where: Any) -> list[dict[str, Any]]:
    return books.desk.do(
        lambda conn: [
            dict(row._mapping)
            for row in conn.execute(
                select(table)
                .where(table.c.program_id == books.program.id, *where)
                .order_by(*table.primary_key)
            )
        ]
    )


def test_an_untouched_ledger_is_without_fault(books: Books) -> None:
    assert books.faults() == []


def test_a_changed_byte_in_any_column_of_an_entry_is_found_with_the_entry(books: Books) -> None:
    entries = rows(books, ledger_entry, ledger_entry.c.customer_id.in_((books.ana, books.bea)))
    # One in the middle of a chain, and one that is the last of its chain.
    full = next(row for row in entries if row["customer_id"] == books.ana and row["number"] == 1)
    last = next(row for row in entries if row["customer_id"] == books.bea and row["number"] == 2)
    reversal = next(row for row in entries if row["reverses_id"])
    for row in (full, last, reversal):
        for column in ledger_entry.c:
            new = flipped(row[column.name])
            if column.name in ("debit", "credit"):
                new = other_account(row[column.name])
            elif column.name == "reverses_id" and not row["reverses_id"]:
                new = reversal["id"]
            change = (
                update(ledger_entry)
                .where(ledger_entry.c.program_id == books.program.id, ledger_entry.c.id == row["id"])
                .values({column.name: new})
            )
            try:
                found = books.after(change)
            except DBAPIError:
                continue  # the table's own rules refuse it
            assert found, column.name
            named = [fault for fault in found if fault.entry_id in (row["id"], new)]
            if column.name not in ("program_id", "customer_id"):
                assert named, column.name
                assert all(fault.at for fault in named if "not there" not in fault.what), column.name


@pytest.mark.parametrize("table", [lot, lot_use, balance], ids=lambda table: table.name)
def test_a_changed_number_beside_the_entries_is_found(books: Books, table: Table) -> None:
    of_points = {
        "lot": ("amount", "remaining", "is_pending", "customer_id", "entry_id"),
        "lot_use": ("amount", "lot_id", "entry_id"),
        "balance": ("available", "pending", "reserved", "lifetime_earned", "number", "head_hash"),
    }[table.name]
    mine = rows(books, table, table.c[table.primary_key.columns.keys()[1]].is_not(None))
    assert mine
    row = mine[-1]
    whole = [table.c[column.name] == row[column.name] for column in table.primary_key]
    for name in of_points:
        try:
            found = books.after(update(table).where(*whole).values({name: flipped(row[name])}))
        except DBAPIError:
            continue
        assert found, name


def test_a_checkpoint_that_was_touched_or_taken_away_is_found(books: Books) -> None:
    first, second = rows(books, ledger_checkpoint)
    for row in (first, second):
        mine = ledger_checkpoint.c.root == row["root"]
        for column in ledger_checkpoint.c:
            try:
                found = books.after(
                    update(ledger_checkpoint).where(mine).values({column.name: flipped(row[column.name])})
                )
            except DBAPIError:
                continue
            assert found, column.name
    assert books.after(delete(ledger_checkpoint).where(ledger_checkpoint.c.root == first["root"]))


def test_a_customer_who_was_taken_out_of_the_books_as_a_whole_is_missed(books: Books) -> None:
    gone = [
        delete(lot_use).where(
            lot_use.c.entry_id.in_(select(ledger_entry.c.id).where(ledger_entry.c.customer_id == books.bea))
        ),
        *(delete(table).where(table.c.customer_id == books.bea) for table in (lot, ledger_entry, balance)),
    ]
    found = books.after(*gone)
    assert {fault.what.split(" was ")[0] for fault in found} == {"checkpoint 1", "checkpoint 2"}


def test_history_that_was_written_anew_with_right_hashes_is_found_by_the_checkpoints(books: Books) -> None:
    """Whoever can write the database can compute hashes too; the signature they cannot."""
    [entry] = rows(books, ledger_entry, ledger_entry.c.customer_id == books.bea, ledger_entry.c.number == 1)
    entry["reason"] = "Cake"
    changed = update(ledger_entry).where(ledger_entry.c.id == entry["id"])
    found = books.after(changed.values(reason="Cake", hash=hash_of(entry)))
    assert any("checkpoint 1 was made over other entries" in fault.what for fault in found)


def test_a_checkpoint_of_somebody_elses_key_is_not_believed(books: Books) -> None:
    stranger = Sealer(("another secret key, which is long enough",))

    def forge(conn: Connection) -> list[Fault]:
        make_checkpoint(conn, books.program, stranger)
        return list(verify(conn, books.program.id, books.keys))

    assert [fault.what for fault in books.undone(forge)] == [
        "the last checkpoint is signed with an unknown key"
    ]


def test_a_key_that_was_rotated_away_is_vouched_for_by_the_next_checkpoint(books: Books) -> None:
    rotated = Sealer(("another secret key, which is long enough", SECRET))

    def rotate(conn: Connection) -> list[Fault]:
        make_checkpoint(conn, books.program, rotated)
        only_new = Sealer(("another secret key, which is long enough",))
        return list(verify(conn, books.program.id, public_keys(only_new, books.program.id)))

    assert books.undone(rotate) == []


def test_a_broken_row_is_told_and_does_not_hide_the_next(books: Books) -> None:
    if books.desk.do(lambda conn: conn.dialect.name) == "sqlite":
        broken = update(ledger_entry).where(ledger_entry.c.customer_id == books.ana)
        found = books.after(
            broken.where(ledger_entry.c.number == 1).values(effective_at=text("'yesterday'")),
            broken.where(ledger_entry.c.number == 2).values(detail=text("'{'")),
            update(ledger_entry)
            .where(ledger_entry.c.customer_id == books.bea, ledger_entry.c.number == 2)
            .values(reason="Tea"),
        )
        told = {(fault.customer_id, fault.what) for fault in found}
        assert (books.ana, "cannot be read any more") in told
        assert (books.ana, "its detail cannot be read any more") in told
        assert (books.bea, "its content is not what was hashed") in told


def test_balances_and_lots_are_rebuilt_from_the_entries_alone(books: Books) -> None:
    its = balance.c
    kept = (
        select(
            its.customer_id,
            its.available,
            its.pending,
            its.reserved,
            its.lifetime_earned,
            its.number,
            its.head_hash,
        )
        .where(its.program_id == books.program.id)
        .order_by(its.customer_id)
    )
    lots = select(lot).where(lot.c.program_id == books.program.id).order_by(lot.c.id)

    def spoil_and_rebuild(conn: Connection) -> None:
        before = (conn.execute(kept).all(), conn.execute(lots).all())
        spoilt = {"available": 1, "pending": 2, "reserved": 3, "number": 4, "lifetime_earned": 5}
        conn.execute(update(balance).values(**spoilt, head_hash="?"))
        conn.execute(update(lot).values(remaining=0))
        card = pass_for(conn, books.program.id, books.ana, "apple")
        assert rebuild_balances(conn, books.program.id) == 2
        corrected = find_pass_by_id(conn, books.program.id, card.id)
        assert corrected is not None
        assert corrected.version > card.version, "the phone shows what was wrong"
        assert (conn.execute(kept).all(), conn.execute(lots).all()) == before
        assert list(verify(conn, books.program.id, books.keys)) == []
        assert rebuild_balances(conn, books.program.id) == 0

    books.undone(spoil_and_rebuild)


def test_any_moment_can_be_asked_for_what_somebody_had_then(books: Books) -> None:
    running = 0
    for row in sorted(
        rows(books, ledger_entry, ledger_entry.c.customer_id == books.ana), key=lambda row: row["number"]
    ):
        running += row["amount"] * ((row["credit"] == "available") - (row["debit"] == "available"))
        then = books.desk.do(lambda conn, at=row["at"]: entry_at(conn, books.program.id, books.ana, at))
        assert then is not None
        assert then.available_after == running
    assert (
        books.desk.do(
            lambda conn: entry_at(conn, books.program.id, books.ana, datetime(2020, 1, 1, tzinfo=UTC))
        )
        is None
    )


def test_a_checkpoint_is_due_once_a_day_and_only_where_something_was_booked(books: Books) -> None:
    now = utc_now()

    def is_due(days: int) -> bool:
        due = books.desk.do(lambda conn: checkpoints_due(conn, now + timedelta(days=days), 10))
        return (books.program.id, books.program.id) in due

    assert not is_due(0)
    assert is_due(2)


@pytest.mark.parametrize("engine", BOTH)
def test_the_commands_prove_sign_and_explain(
    engine: str, fresh_database: Fresh, sealer: Sealer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = fresh_database(engine)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("PASITO_DATA_DIR", str(tmp_path))
    (tmp_path / "secret.key").write_text(SECRET)

    def book(conn: Connection) -> str:
        program = load_program(conn, SLUG, sealer)
        assert program is not None
        return str(earn(conn, program, new_customer(conn, program), 12, an_order()).entry_id)

    def ask(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(commands, list(words))
        assert done.exit_code == code, done.output
        return done.output

    entry_id = in_database(url, book)
    with without_waiting():
        root = ask("ledger", "checkpoint", "--program", SLUG).split("root ")[1].strip()
    public_key = ask("ledger", "public-key", "--program", SLUG).split(": ")[1].strip()
    assert "as it was written" in ask("ledger", "verify", "--public-key", public_key, "--root", root)
    assert "no checkpoint has the root" in ask("ledger", "verify", "--root", "0" * 64, code=1)
    assert "unknown key" in ask("ledger", "verify", "--public-key", "0" * 64, code=1)
    assert "earn: 12 from issued to available" in ask("ledger", "explain", entry_id)
    assert "0 customers' balances corrected" in ask("ledger", "rebuild")

    def forge(conn: Connection) -> None:
        _drop_triggers(conn)
        conn.execute(update(ledger_entry).where(ledger_entry.c.id == entry_id).values(reason="Champagne"))

    in_database(url, forge)
    told = ask("ledger", "verify", "--program", SLUG, code=1)
    assert entry_id in told
    assert "its content is not what was hashed" in told
