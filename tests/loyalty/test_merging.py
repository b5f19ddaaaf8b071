"""Two customers who are one person: nothing is lost, nothing is there twice, and every old name leads on (L17)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, select

from tests.conftest import SECRET
from tests.loyalty.people import a_phone, new_customer, new_email
from tests.support.ledger import an_order
from tests.support.rows import rows_of
from web.cli import commands
from web.foundation.database import Database
from web.foundation.schema import new_id, utc_now
from web.loyalty.balance import find_balance
from web.loyalty.customer import find_by_address, find_contact
from web.loyalty.identity import names_of, resolve
from web.loyalty.ledger_proof import rebuild_balances, verify
from web.loyalty.lot import open_lots
from web.loyalty.membership import Membership, keep_membership, membership
from web.loyalty.merging import NotMergeable, merge
from web.loyalty.personal_data import erase, export_data
from web.loyalty.points import earn, give_back, reserve, reverse, spend
from web.loyalty.program import Program
from web.loyalty.session import find_session, open_session
from web.loyalty.wallet_pass import issue_pass, passes_of


async def test_everything_of_the_one_becomes_the_others(
    database: Database, database_url: str, program: Program
) -> None:
    gone_email, phone = new_email(), a_phone()

    def begin(conn: Connection) -> tuple[str, str, str, str, str]:
        gone = new_customer(conn, program, email=gone_email, phone=phone)
        into = new_customer(conn, program)
        issue_pass(conn, program.id, gone, "google")
        told = Membership(loyalty_customer_id="L7", member_since=utc_now(), tier_status=None)
        for each in (gone, into):
            keep_membership(conn, program.id, each, told)
        cookie = open_session(conn, program.id, gone)
        earned = earn(conn, program, gone, 100, an_order())
        spent = spend(conn, program, gone, 40, an_order())
        earn(conn, program, into, 5, an_order())
        return gone, into, cookie, str(earned.entry_id), str(spent.entry_id)

    gone, into, cookie, earned, spent = await database.write(begin)
    held = await database.write(reserve, program, gone, 10, an_order())
    with pytest.raises(NotMergeable, match="reserved"):
        await database.write(merge, program, gone, into, an_order())
    await database.write(give_back, program, str(held.entry_id), an_order())
    assert (await database.write(merge, program, gone, into, an_order())).available == 65

    # Who asks again, or the other way round, hears that it is so already.
    assert (await database.write(merge, program, gone, into, an_order())).is_repeat
    assert (await database.write(merge, program, into, gone, an_order())).is_repeat
    with pytest.raises(NotMergeable):
        await database.write(merge, program, into, into, an_order())
    with pytest.raises(NotMergeable):
        await database.write(merge, program, new_id(), into, an_order())

    def look(conn: Connection) -> dict[str, Any]:
        return {
            "name": resolve(conn, program.id, gone),
            "contact": find_contact(conn, program.id, into),
            "by phone": find_by_address(conn, program.id, None, phone),
            "by mail": find_by_address(conn, program.id, gone_email, None),
            "session": find_session(conn, program.id, cookie),
            "passes": sorted((each.platform, each.status) for each in passes_of(conn, program.id, into)),
            "memberships": set(conn.scalars(select(membership.c.customer_id))),
            "lots": [each.remaining for each in open_lots(conn, program.id, into)],
            "left": find_balance(conn, program.id, gone),
            "tier": (find_balance(conn, program.id, into) or 0).tier_points,  # type: ignore[union-attr]
            "events": {each["name"] for each in export_data(conn, program.id, into)["event"]},
        }

    seen = await database.read(look)
    assert seen["name"] == into
    # The phone was lent, the address of the mailbox was not: the survivor has one.
    assert (seen["by phone"], seen["by mail"]) == (into, None)
    assert seen["session"] is None
    assert seen["passes"] == [("apple", "created"), ("apple", "voided"), ("google", "created")]
    # There is one for each, and so they stay.
    assert {gone, into} <= seen["memberships"]
    assert sorted(seen["lots"]) == [5, 60]
    assert (seen["left"].available, seen["left"].tier_points, seen["tier"]) == (0, 0, 105)
    assert "Balance changed" in seen["events"]

    # Old entries are undone where their points are now, and the old id still books.
    assert (await database.write(give_back, program, spent, an_order())).available == 105
    assert (await database.write(reverse, program, earned, an_order())).available == 5
    assert (await database.write(earn, program, gone, 1, an_order())).available == 6
    assert await database.read(lambda conn: list(verify(conn, program.id, ()))) == []
    assert await database.write(rebuild_balances, program.id) == 0

    # A third who turns out to be the same person, through the old name; then all of them go.
    third = await database.write(new_customer, program)
    await database.write(earn, program, third, 2, an_order())
    assert (await database.write(merge, program, gone, third, an_order())).available == 8
    assert await database.read(names_of, program.id, third) == [third, into, gone]
    await database.write(erase, program.id, third, [])
    for table in ("customer", "session", "membership", "event"):
        column = "id" if table == "customer" else "customer_id"
        for name in (gone, into, third):
            kept = rows_of(database_url, table, **{column: name})
            assert all(row.get("properties") == {} or row["name"] == "Customer erased" for row in kept), table
    assert await database.read(lambda conn: list(verify(conn, program.id, ()))) == []


async def test_whoever_buys_while_they_are_merged_loses_nothing(database: Database, program: Program) -> None:
    one, other = [await database.write(new_customer, program) for _ in range(2)]
    buying = [database.write(earn, program, each, 1, an_order()) for each in [one, other] * 15]
    merging = [database.write(merge, program, *pair, an_order()) for pair in ((one, other), (other, one))]
    mixed = [*buying[:10], merging[0], *buying[10:20], merging[1], *buying[20:]]
    await asyncio.gather(*mixed)
    survivor = await database.read(resolve, program.id, one)
    held = await database.read(find_balance, program.id, survivor)
    assert held is not None
    assert held.available == 30
    assert await database.read(lambda conn: list(verify(conn, program.id, ()))) == []


async def test_support_merges_by_a_command(
    database: Database, database_url: str, program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one, other = [await database.write(new_customer, program) for _ in range(2)]
    await database.write(earn, program, one, 12, an_order())
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("PASITO_DATA_DIR", str(tmp_path))
    (tmp_path / "secret.key").write_text(SECRET)

    def ask(*words: str) -> Any:
        return CliRunner().invoke(commands, ["customer", "merge", "--program", program.slug, *words])

    done = await asyncio.to_thread(ask, one, other, "--by", "Lola")
    assert done.output.strip() == f"{one} stands for {other} now, who can spend 12."
    assert {row["actor"] for row in rows_of(database_url, "ledger_entry", kind="merge")} == {"Lola"}
    refused = await asyncio.to_thread(ask, one, new_id())
    assert (refused.exit_code, refused.output.strip()) == (1, "Error: Not merged: there is no such customer.")
