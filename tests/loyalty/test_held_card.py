"""A pass with all that it shows, asked for by its serial alone."""

from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.schema import new_id
from web.loyalty.held_card import HELD_CARD, HeldCard, find_held_card
from web.loyalty.personal_data import erase
from web.loyalty.program import Program
from web.loyalty.standing import standing_of
from web.loyalty.wallet_pass import Pass, find_pass_by_id, pass_for
from web.wallet.issue import card_of


async def given(database: Database, program: Program) -> Pass:
    customer_id = await database.write(new_customer, program)
    return await database.write(pass_for, program.id, customer_id, "apple")


async def found(database: Database, pass_id: str) -> HeldCard:
    shown = await find_held_card(database, pass_id)
    assert shown is not None
    return shown


async def test_it_is_the_pass_and_the_standing_as_they_are(database: Database, program: Program) -> None:
    held = await given(database, program)
    shown = await found(database, held.id)
    assert shown.held == await database.read(find_pass_by_id, program.id, held.id)
    assert shown.standing == await database.read(standing_of, program.id, held.customer_id)
    assert (shown.program_id, shown.program_version) == (program.id, program.version)


async def test_of_an_erased_customer_a_void_card_is_left_that_names_nobody(
    database: Database, program: Program
) -> None:
    held = await given(database, program)
    before = card_of(program, await found(database, held.id))
    await database.write(erase, program.id, held.customer_id, [])
    shown = await found(database, held.id)
    after = card_of(program, shown)
    assert shown.held.version > held.version, "phones have to fetch it"
    assert (after.serial, after.token) == (before.serial, before.token)
    assert after.voided
    assert not before.voided
    assert (after.number, after.member, after.balance, after.tier, after.next_reward) == (
        "",
        None,
        0,
        None,
        None,
    )


async def test_what_is_no_serial_of_ours_is_nothing(database: Database, program: Program) -> None:
    for serial in (new_id(), "", "x" * 5000, "\x00", "0199a1b2"):
        assert await find_held_card(database, serial) is None


async def test_it_is_found_by_index(database: Database, program: Program) -> None:
    held = await given(database, program)
    await database.write(gather_statistics)

    def ask(conn: Connection) -> None:
        sql, values = HELD_CARD.query(conn.dialect, {"pass_id": held.id})
        assert conn.exec_driver_sql(sql, tuple(values)).one()

    plan = await database.write(plan_of, ask)
    assert "ix_wallet_pass_id" in plan
    assert not reads_a_whole_table(plan)
