"""A phone that is gone: its card is worthless at once, and its owner has a new one."""

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from tests.support.ledger import change_points
from web.foundation.database import Database
from web.loyalty.balance import find_balance
from web.loyalty.customer import find_contact
from web.loyalty.customer_link import make_download_link
from web.loyalty.event import CARD_REPLACED, PASS_VOIDED, event
from web.loyalty.link import one_time_link
from web.loyalty.pass_item import NewItem, issue_item, require_item
from web.loyalty.program import Program
from web.loyalty.replacing import replace_card
from web.loyalty.scan import ReplacedCard, scan_card
from web.loyalty.visit import begin_visit, find_visit, grant
from web.loyalty.wallet_pass import find_pass, find_pass_by_id, pass_for


async def test_the_old_card_is_worthless_and_the_new_one_has_everything(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        customer_id = new_customer(conn, program)
        change_points(conn, program.slug, customer_id, 70)
        before = find_contact(conn, program.id, customer_id)
        old = pass_for(conn, program.id, customer_id, "apple")
        make_download_link(conn, program, customer_id, created_by="test")
        visit_id, token = begin_visit(conn, program.id)
        grant(conn, program.id, visit_id, customer_id)
        assert before is not None
        number = replace_card(conn, program.id, customer_id)
        assert number not in (None, before.card_number)
        gone = find_pass_by_id(conn, program.id, old.id)
        assert gone is not None
        assert gone.status == "voided"
        assert gone.version > old.version
        assert find_pass(conn, program.id, customer_id, "apple") is None
        new = pass_for(conn, program.id, customer_id, "apple")
        assert new.id != old.id
        assert new.token != old.token
        with pytest.raises(ReplacedCard):
            scan_card(conn, program, before.card_number, location_id=None)
        scanned = scan_card(conn, program, str(number), location_id=None)
        assert (scanned.customer_id, scanned.available) == (customer_id, 70)
        held = find_balance(conn, program.id, customer_id)
        assert held is not None
        assert held.available == 70
        links = select(one_time_link.c.revoked_at).where(one_time_link.c.customer_id == customer_id)
        assert all(conn.scalars(links)), "a link in a lost phone's inbox opens nothing"
        visit = find_visit(conn, program.id, token)
        assert visit is not None
        assert visit.granted_customer() is None, "nor does its browser"
        voided = select(event.c.properties).where(
            event.c.customer_id == customer_id, event.c.name == PASS_VOIDED
        )
        assert conn.scalar(voided) == {"passId": old.id, "platform": "apple", "kind": "loyalty"}
        told = select(event.c.properties).where(
            event.c.customer_id == customer_id, event.c.name == CARD_REPLACED
        )
        assert conn.scalar(told) == {"passesVoided": 1}

    await database.write(story)


async def test_what_else_was_on_it_has_other_addresses(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        customer_id = new_customer(conn, program)
        new = NewItem(kind="gift_card", title={"en": "Gift card"}, number="1", amount=500)
        before = issue_item(conn, program.id, customer_id, new)
        replace_card(conn, program.id, customer_id)
        after = require_item(conn, program.id, before.id)
        assert after.code != before.code
        assert (after.amount, after.voided_at) == (500, None)

    await database.write(story)


async def test_lost_again_it_is_replaced_again(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        customer_id = new_customer(conn, program)
        numbers = [replace_card(conn, program.id, customer_id) for _ in range(3)]
        assert len(set(numbers)) == 3
        for old in numbers[:2]:
            with pytest.raises(ReplacedCard):
                scan_card(conn, program, str(old), location_id=None)
        assert scan_card(conn, program, str(numbers[2]), location_id=None).customer_id == customer_id

    await database.write(story)
