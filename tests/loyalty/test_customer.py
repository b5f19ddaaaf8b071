"""Registering: exactly once, with everything that belongs to it, whoever else is at it at the same moment."""

import asyncio
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from tests.loyalty.people import a_phone, a_registration, new_customer, new_email, register_in_new_visit
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.address import address_hash
from web.foundation.database import Database
from web.foundation.schema import new_id, utc_now
from web.loyalty import customer as customers
from web.loyalty.consent import consent_event
from web.loyalty.customer import (
    AlreadyKnown,
    Registered,
    confirm_address,
    customer,
    find_by_address,
    find_contact,
    register,
)
from web.loyalty.event import event
from web.loyalty.program import Program, consent_wording
from web.loyalty.touch import Arrival
from web.loyalty.visit import GRANT, arrive, begin_visit, find_visit
from web.loyalty.wallet_pass import wallet_pass


def count(conn: Connection, table: Any, **where: Any) -> int:
    query = select(func.count()).select_from(table)
    for name, value in where.items():
        query = query.where(table.c[name] == value)
    return int(conn.scalar(query) or 0)


async def test_a_registration_makes_all_that_belongs_to_it(database: Database, program: Program) -> None:
    visit_id, token = await database.write(begin_visit, program.id)
    new = a_registration(program, visit_id, birthday="--02-29", extra={"favourite": "tea"})
    done = await database.write(register, new)
    assert isinstance(done, Registered)
    row = await database.read(
        lambda conn: conn.execute(select(customer).where(customer.c.id == done.customer_id)).one()
    )
    assert new.email is not None
    assert (row.email, row.email_key, row.name, row.birthday) == (
        new.email.value,
        new.email.key,
        "Zoë",
        "--02-29",
    )
    assert row.extra == {"favourite": "tea"}
    assert row.email_verified_at is None, "ruling 6: unverified until the link in the mail is used"
    assert await database.read(count, wallet_pass, customer_id=done.customer_id) == 1
    happened = await database.read(
        lambda conn: conn.execute(select(event).where(event.c.customer_id == done.customer_id)).one()
    )
    assert happened.name == "Customer created"
    assert happened.properties == {"origin": "web", "consents": ["news"]}
    visit = await database.read(find_visit, program.id, token)
    assert visit is not None
    assert visit.granted_customer() == done.customer_id
    assert visit.draft == {}, "what was typed is with the customer now"


async def test_each_box_is_kept_with_the_wording_that_was_beside_it(
    database: Database, program: Program
) -> None:
    customer_id = await database.write(new_customer, program)
    rows = await database.read(
        lambda conn: conn.execute(
            select(
                consent_event.c.purpose,
                consent_event.c.decision,
                consent_wording.c.text,
                consent_event.c.wording_sha256,
            )
            .join(
                consent_wording,
                (consent_wording.c.program_id == consent_event.c.program_id)
                & (consent_wording.c.purpose == consent_event.c.purpose)
                & (consent_wording.c.version == consent_event.c.wording_version)
                & (consent_wording.c.locale == consent_event.c.locale),
            )
            .where(consent_event.c.customer_id == customer_id)
        ).all()
    )
    assert {row.purpose: row.decision for row in rows} == {"news": "granted", "card_messages": "refused"}
    for row in rows:
        assert row.wording_sha256 == hashlib.sha256(row.text.encode()).hexdigest()
        wording = next(each.wording for each in program.settings.consents if each.purpose == row.purpose)
        assert row.text == wording["en"]


async def test_fifty_at_once_with_one_address_make_one_customer(database: Database, program: Program) -> None:
    email = new_email()
    outcomes = await asyncio.gather(
        *(database.write(register_in_new_visit, program, email=email) for _ in range(50))
    )
    assert sum(isinstance(outcome, Registered) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyKnown) for outcome in outcomes) == 49
    [customer_id] = {outcome.customer_id for outcome in outcomes}
    assert await database.read(count, customer, email_key=email.key) == 1
    assert await database.read(count, event, customer_id=customer_id) == 1
    assert await database.read(count, wallet_pass, customer_id=customer_id) == 1
    assert await database.read(count, consent_event, customer_id=customer_id) == 2


async def test_fifty_taps_in_one_visit_make_one_customer_and_all_succeed(
    database: Database, program: Program
) -> None:
    visit_id, _ = await database.write(begin_visit, program.id)
    new = a_registration(program, visit_id)
    outcomes = await asyncio.gather(*(database.write(register, new) for _ in range(50)))
    assert {type(outcome) for outcome in outcomes} == {Registered}
    [customer_id] = {outcome.customer_id for outcome in outcomes}
    assert await database.read(count, customer, visit_id=visit_id) == 1
    assert await database.read(count, event, customer_id=customer_id) == 1


async def test_an_address_is_one_in_any_case(database: Database, program: Program) -> None:
    email = new_email()
    first = await database.write(register_in_new_visit, program, email=email)
    other = type(email)(email.value.upper(), email.key)
    assert await database.write(register_in_new_visit, program, email=other) == AlreadyKnown(
        first.customer_id
    )


async def test_a_phone_is_an_address_like_any_other(database: Database, program: Program) -> None:
    phone = a_phone()
    outcomes = await asyncio.gather(
        *(database.write(register_in_new_visit, program, phone=phone) for _ in range(20))
    )
    assert [type(outcome) for outcome in outcomes].count(Registered) == 1
    known = await database.read(find_by_address, program.id, None, phone)
    assert known == outcomes[0].customer_id
    contact = await database.read(find_contact, program.id, known)
    assert contact is not None
    assert (contact.email, contact.phone) == (None, phone.e164)


async def test_a_known_phone_with_a_new_e_mail_address_is_known(database: Database, program: Program) -> None:
    phone = a_phone()
    first = await database.write(register_in_new_visit, program, phone=phone)
    again = await database.write(register_in_new_visit, program, phone=phone, email=new_email())
    assert again == AlreadyKnown(first.customer_id)


async def test_nobody_registers_without_any_address(database: Database, program: Program) -> None:
    with pytest.raises(Exception, match="reachable_somehow"):
        await database.write(register_in_new_visit, program, email=None)


async def test_card_numbers_that_meet_are_drawn_again(
    database: Database, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(["SAMESAMESAME", "SAMESAMESAME", "SAMESAMESAME", "OTHEROTHER00"])
    monkeypatch.setattr(customers, "new_code", lambda _length: next(numbers))
    first = await database.write(new_customer, program)
    second = await database.write(new_customer, program)
    contacts = [await database.read(find_contact, program.id, each) for each in (first, second)]
    assert [contact and contact.card_number for contact in contacts] == ["SAMESAMESAME", "OTHEROTHER00"]


async def test_the_same_address_in_two_programmes_is_two_customers(
    database: Database, program: Program
) -> None:
    email, other = new_email(), new_id()

    def elsewhere(conn: Connection) -> Any:
        visit_id, _ = begin_visit(conn, other)
        return register(conn, a_registration(program, visit_id, program_id=other, email=email))

    here = await database.write(register_in_new_visit, program, email=email)
    there = await database.write(elsewhere)
    assert isinstance(there, Registered)
    assert there.customer_id != here.customer_id
    assert await database.read(find_by_address, program.id, email, None) == here.customer_id
    assert await database.read(find_contact, program.id, there.customer_id) is None


async def test_the_first_and_the_last_arrival_follow_to_the_customer_and_the_pass(
    database: Database, program: Program
) -> None:
    token = await database.write(arrive, program.id, None, Arrival(source="poster", medium="qr"))
    await database.write(arrive, program.id, token, Arrival(source="newsletter"))
    await database.write(arrive, program.id, token, Arrival(source="friend"))
    visit = await database.read(find_visit, program.id, token)
    assert visit is not None
    assert visit.first_touch_id != visit.last_touch_id
    done = await database.write(
        register,
        a_registration(
            program, visit.id, first_touch_id=visit.first_touch_id, last_touch_id=visit.last_touch_id
        ),
    )
    row = await database.read(
        lambda conn: conn.execute(select(customer).where(customer.c.id == done.customer_id)).one()
    )
    assert (row.first_touch_id, row.last_touch_id) == (visit.first_touch_id, visit.last_touch_id)
    issued = await database.read(
        lambda conn: conn.execute(select(wallet_pass).where(wallet_pass.c.customer_id == row.id)).one()
    )
    assert issued.touch_id == visit.last_touch_id


async def test_the_grant_of_a_registration_ends_after_a_quarter_of_an_hour(
    database: Database, program: Program
) -> None:
    visit_id, token = await database.write(begin_visit, program.id)
    done = await database.write(register, a_registration(program, visit_id))
    visit = await database.read(find_visit, program.id, token)
    assert visit is not None
    assert timedelta(minutes=15) == GRANT
    soon, late = utc_now() + GRANT - timedelta(seconds=5), utc_now() + GRANT + timedelta(seconds=1)
    assert visit.granted_customer(soon) == done.customer_id
    assert visit.granted_customer(late) is None


async def test_an_address_is_confirmed_once_and_told_once(database: Database, program: Program) -> None:
    customer_id = await database.write(new_customer, program)
    outcomes = await asyncio.gather(
        *(database.write(confirm_address, program.id, customer_id, "email") for _ in range(20))
    )
    assert outcomes.count(True) == 1
    contact = await database.read(find_contact, program.id, customer_id)
    assert contact is not None
    assert contact.email_verified_at is not None
    assert contact.phone_verified_at is None
    assert await database.read(count, event, customer_id=customer_id, name="Account verified") == 1


def test_the_hash_of_an_address_does_not_depend_on_its_case() -> None:
    assert (
        address_hash("Ana@Example.com") == address_hash("ana@example.com") != address_hash("bea@example.com")
    )


async def test_a_customer_is_found_by_index(database: Database, program: Program) -> None:
    await database.write(gather_statistics)
    plans = {
        "uq_customer_email_key": lambda conn: find_by_address(conn, program.id, new_email(), None),
        "uq_customer_phone": lambda conn: find_by_address(conn, program.id, None, a_phone()),
        "pk_customer": lambda conn: find_contact(conn, program.id, program.id),
    }
    for index, query in plans.items():
        plan = await database.write(plan_of, query)
        assert index in plan or "sqlite_autoindex_customer_1" in plan
        assert not reads_a_whole_table(plan)
