"""Letters to a merchant: signed, in order for each customer, at least once, and never of somebody who is gone."""

import asyncio
import base64
import hashlib
import hmac
import random
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select, text, update

from tests.integrations.webhooks.office import Office, the_checker_of_the_readme
from tests.loyalty.people import new_customer, new_email
from tests.support.receiver import Received, Receiver, Reply
from web.foundation.schema import new_id, utc_now
from web.integrations.webhooks.endpoint import (
    change_endpoint,
    remove_endpoint,
)
from web.integrations.webhooks.envelope import follow_up
from web.loyalty.customer import customer
from web.loyalty.event import take_waiting
from web.loyalty.event_catalogue import EIGHTEEN, EVENTS, UnknownEvent
from web.loyalty.personal_data import erase
from web.loyalty.touch import Arrival, record_touch
from web.tables import metadata

is_from_pasito = the_checker_of_the_readme()
BALANCE = {
    "direction": "increase",
    "amount": 20,
    "balance": 120,
    "balanceBefore": 100,
    "unit": "Beans",
    "scale": 0,
    "reason": "Two coffees",
    "source": "pos",
    "sourceRef": None,
    "txnId": "0192f7c0-0000-7000-8000-000000000001",
}


async def a_customer_who_came_by_a_link(office: Office, email: str) -> str:
    """With an id of the merchant's own."""

    def make(conn: Connection) -> str:
        customer_id = new_customer(conn, office.program, email=_email(email))
        arrival = Arrival(source="newsletter", medium="email", campaign="winter")
        touch_id = record_touch(conn, office.program.id, new_id(), arrival)
        conn.execute(
            update(customer)
            .where(customer.c.id == customer_id)
            .values(first_touch_id=touch_id, external_id="shop-7")
        )
        return customer_id

    made = await office.database.write(make)
    await office.work_off()
    return made


def _email(value: str) -> Any:
    return type(new_email())(value, value.lower())


async def test_what_happened_arrives_whole_and_signed(office: Office, receiver: Receiver) -> None:
    endpoint_id, secret = await office.add(receiver.url)
    customer_id = await a_customer_who_came_by_a_link(office, "Zoe@example.org")
    receiver.requests.clear()
    event_id = await office.happen("Balance changed", customer_id, **BALANCE, campaignId="c-1")
    await office.work_off()
    [letter] = receiver.requests
    envelope = letter.envelope
    assert abs(utc_now() - datetime.fromisoformat(envelope.pop("createdAt"))) < timedelta(seconds=20)
    assert envelope == {
        "id": event_id,
        "event": "balance_changed",
        "name": "Balance changed",
        "version": 1,
        "program": {"id": office.program.id, "slug": "brewbar"},
        "customerId": customer_id,
        "email": "Zoe@example.org",
        "externalCustomerId": "shop-7",
        "campaignId": "c-1",
        "utm": {
            "source": "newsletter",
            "medium": "email",
            "campaign": "winter",
            "term": None,
            "content": None,
        },
        "properties": {**BALANCE, "campaignId": "c-1"},
    }
    headers = letter.headers
    assert headers["x-jericommerce-event-type"] == "Balance changed"
    assert headers["content-type"] == "application/json"
    by_hand = hmac.new(secret.encode(), letter.body, hashlib.sha256).digest()
    assert headers["x-jericommerce-hmac-sha256"] == base64.b64encode(by_hand).decode()
    assert is_from_pasito(letter.body, headers["x-pasito-signature"], secret)
    [kept] = [row for row in await office.letters() if row["event_id"] == event_id]
    assert headers["x-pasito-delivery"] == kept["id"]
    assert (kept["state"], kept["payload"]) == ("done", {}), "what was said is not kept"
    assert (await office.endpoint(endpoint_id)).last_success_at is not None


async def test_what_is_forged_altered_or_old_is_refused_by_the_checker(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = await office.add(receiver.url)
    await office.happen("Customer tapped", None)
    await office.work_off()
    [letter] = receiver.requests
    signature = letter.headers["x-pasito-signature"]
    assert is_from_pasito(letter.body, signature, secret)
    moment, _, proof = signature.partition(",")
    for body, shown, key in (
        (letter.body + b" ", signature, secret),
        (letter.body, signature, "whsec_another"),
        (letter.body, f"t={int(moment[2:]) + 1},{proof}", secret),
        (letter.body, proof, secret),
        (letter.body, moment, secret),
        (letter.body, "t=²,v1=é", secret),
        (letter.body, "", secret),
    ):
        assert not is_from_pasito(body, shown, key)
    later = time.time() + 600
    monkeypatch.setattr(time, "time", lambda: later)
    assert not is_from_pasito(letter.body, signature, secret), "a replay ten minutes later"


async def test_an_endpoint_is_told_of_the_eighteen_unless_it_asks_for_others(
    office: Office, receiver: Receiver
) -> None:
    every, _ = await office.add(f"{receiver.url}?every")
    some, _ = await office.add(f"{receiver.url}?some", ["Tier changed", "coupon-used"])
    with pytest.raises(UnknownEvent, match="coffee drunk"):
        await office.add(receiver.url, ["coffee drunk", "balance-changed"])
    for name in (*EVENTS, "Address changed"):
        await office.happen(name, None)
    await office.work_off()
    told = {
        query: {request.envelope["name"] for request in receiver.requests if request.path.endswith(query)}
        for query in ("every", "some")
    }
    assert told["every"] == set(EIGHTEEN)
    assert told["some"] == {"Tier upgraded", "Tier downgraded", "Coupon used"}
    assert len(receiver.requests) == 21
    await office.database.write(
        change_endpoint, office.program.id, some, url=f"{receiver.url}?moved", events=["customer-tapped"]
    )
    await office.database.write(remove_endpoint, office.program.id, every)
    receiver.requests.clear()
    await office.happen("Customer tapped", None)
    await office.happen("Coupon used", None)
    await office.work_off()
    assert [(each.path, each.envelope["name"]) for each in receiver.requests] == [
        ("/hooks?moved", "Customer tapped")
    ]


async def test_each_customer_s_letters_come_in_order_through_all_failures(
    office: Office, receiver: Receiver
) -> None:
    await office.add(receiver.url, ["Customer tapped"])
    people = [await office.database.write(new_customer, office.program) for _ in range(4)]
    chance = random.Random(7)
    refused: list[str] = []

    def moody(request: Received) -> Reply:
        if chance.random() < 0.4:
            refused.append(request.headers["x-pasito-delivery"])
            return Reply(chance.choice([500, 503, 404, 301, 429]))
        return Reply()

    receiver.answer = moody
    for number in range(5):
        for person in people:
            await office.happen("Customer tapped", person, number=number)
    await office.try_until_over()
    assert len(refused) > 5
    for person in people:
        heard = [
            request.envelope["properties"]["number"]
            for request in receiver.requests
            if request.envelope["customerId"] == person
        ]
        assert heard == sorted(heard), "a later one never overtakes an earlier one"
        assert set(heard) == set(range(5))
    bodies: dict[str, set[bytes]] = {}
    for request in receiver.requests:
        bodies.setdefault(request.headers["x-pasito-delivery"], set()).add(request.body)
    assert all(len(told) == 1 for told in bodies.values()), "the same words at each try"
    assert len(bodies) == 20


async def test_after_an_erasure_nothing_of_the_person_is_left_or_told(
    office: Office, receiver: Receiver
) -> None:
    await office.add(receiver.url, [*EIGHTEEN, "Customer erased"])
    receiver.answer = lambda _: Reply(500)
    gone = await a_customer_who_came_by_a_link(office, "Zoe-to-be-erased@example.org")
    await office.happen("Customer tapped", gone)
    await office.work_off()
    await office.database.write(_put_aside_the_first)
    await office.happen("Customer birthday", gone, birthdate="02-29")
    assert "Zoe-to-be-erased" in await office.database.read(everything)
    await office.database.write(erase, office.program.id, gone, [])
    assert "Zoe-to-be-erased" not in await office.database.read(everything)
    receiver.requests.clear()
    receiver.answer = lambda _: Reply()
    await office.try_until_over()
    [last] = receiver.requests
    assert (last.envelope["name"], last.envelope["customerId"]) == ("Customer erased", gone)
    assert last.envelope["email"] is None


async def test_an_erasure_that_meets_a_letter_being_written_leaves_nothing_of_it(
    office: Office, receiver: Receiver
) -> None:
    await office.add(receiver.url)
    gone = await a_customer_who_came_by_a_link(office, "Zoe-in-between@example.org")
    await office.happen("Customer tapped", gone)

    written, loop = asyncio.Event(), asyncio.get_running_loop()

    def follow_slowly(conn: Connection) -> None:
        for happened in take_waiting(conn, 50):
            follow_up(conn, office.program, happened)
        loop.call_soon_threadsafe(written.set)
        if conn.dialect.name == "postgresql":
            conn.exec_driver_sql("SELECT pg_sleep(0.4)")

    slowly = asyncio.create_task(office.database.write(follow_slowly))
    await written.wait()
    await office.database.write(erase, office.program.id, gone, [])
    await slowly
    assert "Zoe-in-between" not in await office.database.read(everything)


def _put_aside_the_first(conn: Connection) -> None:
    first = conn.scalar(text("SELECT id FROM delivery WHERE kind = 'webhook' ORDER BY id"))
    conn.execute(text("UPDATE delivery SET state = 'dead' WHERE id = :id"), {"id": first})


def everything(conn: Connection) -> str:
    # A row by itself shortens what it shows.
    return " ".join(
        str(tuple(row)) for table in metadata.sorted_tables for row in conn.execute(select(table))
    )
