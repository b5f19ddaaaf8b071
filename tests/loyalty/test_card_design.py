"""Versions of a card's design, and their way to every pass: whatever interrupts it, none is left out."""

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.database import Database
from web.foundation.delivery import delivery
from web.foundation.schema import new_id
from web.loyalty.card_design import (
    APPLE_CARDS,
    DESIGN_ROLLOUT,
    begin_again,
    designs_of,
    newest_design,
    pause,
    resume,
    roll_out,
    settle_design,
)
from web.loyalty.program import Program
from web.loyalty.wallet_pass import GOOGLE_CARD, pass_row, wallet_pass

LONG_AGO = 1_000_000_000


def some_passes(conn: Connection, program: Program, apple: int, google: int = 0, created: int = 0) -> None:
    """Installed ones of either wallet, and such as nobody put into one; none has changed for long. No others."""
    conn.execute(delete(wallet_pass).where(wallet_pass.c.version > LONG_AGO))
    rows = [
        {**pass_row(program.id, new_id(), platform), "status": status, "version": LONG_AGO, "stored_at": None}
        for platform, status, number in (
            ("apple", "installed", apple),
            ("google", "installed", google),
            ("apple", "created", created),
        )
        for _ in range(number)
    ]
    for row in rows:
        row["installed_at"] = row["created_at"] if row["status"] == "installed" else None
    conn.execute(insert(wallet_pass), rows)


def left_behind(conn: Connection, program: Program) -> int:
    return len(
        conn.execute(
            select(wallet_pass.c.id).where(
                wallet_pass.c.program_id == program.id, wallet_pass.c.version == LONG_AGO
            )
        ).all()
    )


def told(conn: Connection, program: Program, kind: str) -> list[dict[str, object]]:
    return list(
        conn.scalars(
            select(delivery.c.payload).where(delivery.c.program_id == program.id, delivery.c.kind == kind)
        )
    )


def changed(conn: Connection, program: Program, colour: str) -> None:
    settle_design(conn, program.id, {"colours": colour, "texts": "same"})


async def test_the_first_version_has_nothing_to_be_taken_to(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        some_passes(conn, program, 3)
        changed(conn, program, "brown")
        first = newest_design(conn, program.id)
        assert first is not None
        assert (first.number, first.state, first.total) == (1, "done", 0)
        assert roll_out(conn, program.id, 10) == 0
        assert left_behind(conn, program) == 3

    await database.write(story)


async def test_what_is_the_same_is_no_version(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        changed(conn, program, "brown")
        assert settle_design(conn, program.id, {"texts": "same", "colours": "brown"}) is None
        changed(conn, program, "green")
        assert [(each.number, each.changes) for each in designs_of(conn, program.id)] == [
            (2, ["colours"]),
            (1, ["colours", "texts"]),
        ]

    await database.write(story)


async def test_a_version_reaches_every_pass_a_batch_at_a_time(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        changed(conn, program, "brown")
        some_passes(conn, program, apple=7, google=4, created=5)
        changed(conn, program, "green")
        assert told(conn, program, DESIGN_ROLLOUT) == [{}]
        turns = []
        while moved := roll_out(conn, program.id, 5):
            turns.append(moved)
        assert turns == [5, 5, 5]
        assert left_behind(conn, program) == 0
        done = newest_design(conn, program.id)
        assert done is not None
        assert (done.state, done.done, done.total) == ("done", 16, 16)
        # The phones of a batch hear of it together, Google of each card; a card that nobody holds is told to nobody.
        apple = [set(each["pass_ids"]) for each in told(conn, program, APPLE_CARDS)]
        assert sum(map(len, apple)) == len(set().union(*apple)) == 7
        assert len(told(conn, program, GOOGLE_CARD)) == 4

    await database.write(story)


async def test_a_void_pass_is_left_in_peace(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        changed(conn, program, "brown")
        some_passes(conn, program, 2)
        conn.execute(update(wallet_pass).values(voided_at=wallet_pass.c.created_at, status="voided"))
        some_passes(conn, program, 1)
        changed(conn, program, "green")
        roll_out(conn, program.id, 5)
        assert left_behind(conn, program) == 2

    await database.write(story)


async def test_a_newer_version_begins_anew_and_ends_the_older(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        changed(conn, program, "brown")
        some_passes(conn, program, 6)
        changed(conn, program, "green")
        roll_out(conn, program.id, 4)
        changed(conn, program, "blue")
        assert [each.state for each in designs_of(conn, program.id)] == ["running", "superseded", "done"]
        while roll_out(conn, program.id, 4):
            pass
        newest = newest_design(conn, program.id)
        assert newest is not None
        assert (newest.number, newest.done) == (3, 6)

    await database.write(story)


async def test_a_roll_out_rests_and_goes_on_where_it_was(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        changed(conn, program, "brown")
        some_passes(conn, program, 6)
        changed(conn, program, "green")
        roll_out(conn, program.id, 2)
        assert pause(conn, program.id)
        assert not pause(conn, program.id)
        assert roll_out(conn, program.id, 2) == 0
        assert left_behind(conn, program) == 4
        assert resume(conn, program.id)
        assert not resume(conn, program.id)
        assert roll_out(conn, program.id, 2) == 2
        while roll_out(conn, program.id, 2):
            pass
        assert left_behind(conn, program) == 0
        assert begin_again(conn, program.id)
        assert roll_out(conn, program.id, 2) == 2

    await database.write(story)


async def test_a_batch_is_taken_whole_or_not_at_all(database: Database, program: Program) -> None:
    """A worker that dies in the middle leaves the batch to the next one."""

    def begin(conn: Connection) -> None:
        changed(conn, program, "brown")
        some_passes(conn, program, 4)
        changed(conn, program, "green")

    def die(conn: Connection) -> None:
        roll_out(conn, program.id, 3)
        raise ZeroDivisionError

    await database.write(begin)
    with pytest.raises(ZeroDivisionError):
        await database.write(die)
    now = await database.read(newest_design, program.id)
    assert now is not None
    assert (now.done, now.reached) == (0, None)
    assert await database.read(left_behind, program) == 4
    assert await database.read(told, program, APPLE_CARDS) == []
