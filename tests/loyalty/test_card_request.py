"""Asking for the card: what follows for known and unknown, with the message on and off (rulings 5, 11)."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from sqlalchemy import select

from tests.loyalty.people import a_phone, new_email, register_in_new_visit
from web.foundation import tokens
from web.foundation.address import Email
from web.foundation.database import Database
from web.foundation.delivery import Delivery, claim
from web.loyalty.card_request import CARD_REQUEST, Asked, answer_request, ask_for_card, request_pass
from web.loyalty.customer import AlreadyKnown, Registered
from web.loyalty.event import event
from web.loyalty.event_catalogue import check_properties
from web.loyalty.link import MOST_LINK_MESSAGES_AN_HOUR, find_link, one_time_link, use_link
from web.loyalty.program import Program
from web.loyalty.registration import CONTACT, Completion, Outcome, complete_visits
from web.loyalty.visit import keep_draft

BASE = "https://cards.example.com"
ASKED = Asked(browser="Safari", device="iPhone")


def with_message(program: Program, on: bool) -> Program:
    flows = msgspec.structs.replace(program.settings.flows, download_message=on)
    return msgspec.structs.replace(program, settings=msgspec.structs.replace(program.settings, flows=flows))


async def requests(database: Database, customer_id: str) -> list[dict[str, Any]]:
    query = select(event.c.properties).where(
        event.c.customer_id == customer_id, event.c.name == "Wallet pass requested"
    )
    return list(await database.read(lambda conn: conn.execute(query).scalars().all()))


async def ask(database: Database, program: Program, **address: Any) -> Delivery:
    """The request as a worker finds it."""
    await database.write(ask_for_card, program.id, address.get("email"), address.get("phone"), ASKED)
    [taken] = await database.write(claim, {CARD_REQUEST: 10})
    return taken


async def a_customer(database: Database, program: Program, **given: Any) -> tuple[str, Email]:
    email = new_email()
    done = await database.write(register_in_new_visit, program, email=email, **given)
    return done.customer_id, email


async def test_known_or_unknown_the_same_is_written_down(database: Database, program: Program) -> None:
    _, known = await a_customer(database, program)
    rows = []
    for email in (known, new_email()):
        taken = await ask(database, program, email=email)
        rows.append((taken.kind, sorted(taken.payload), len(str(taken.payload)), taken.event_id))
    assert rows[0] == rows[1]


async def test_a_known_address_leads_to_the_event_and_an_unknown_one_to_nothing(
    database: Database, program: Program
) -> None:
    customer_id, email = await a_customer(database, program)
    program = with_message(program, True)
    await database.write(answer_request, program, (await ask(database, program, email=email)).payload, BASE)
    await database.write(
        answer_request, program, (await ask(database, program, email=new_email())).payload, BASE
    )
    assert await requests(database, customer_id) == [
        {
            "channel": "email",
            "delivery": "email",
            "cause": "asked",
            "browser": "Safari",
            "device": "iPhone",
        }
    ]
    news = select(event.c.name).where(event.c.dispatched_at.is_(None))
    names = await database.read(lambda conn: conn.execute(news).scalars().all())
    assert sorted(names) == ["Customer created", "Wallet pass requested"]


async def test_a_phone_is_looked_up_too(database: Database, program: Program) -> None:
    phone = a_phone()
    done = await database.write(register_in_new_visit, program, phone=phone)
    await database.write(answer_request, program, (await ask(database, program, phone=phone)).payload, BASE)
    assert len(await requests(database, done.customer_id)) == 1


async def test_with_the_message_on_the_event_carries_no_link(database: Database, program: Program) -> None:
    customer_id, _ = await a_customer(database, program)
    await database.write(request_pass, with_message(program, True), customer_id, "asked", ASKED, BASE)
    [properties] = await requests(database, customer_id)
    assert "downloadUrl" not in properties
    assert "token" not in str(properties)
    assert await database.read(lambda conn: conn.execute(select(one_time_link)).all()) == []


async def test_with_the_message_off_the_event_carries_a_link_that_opens(
    database: Database, program: Program
) -> None:
    customer_id, _ = await a_customer(database, program)
    await database.write(request_pass, with_message(program, False), customer_id, "asked", ASKED, BASE)
    [properties] = await requests(database, customer_id)
    assert properties["delivery"] == "merchant"
    check_properties("Wallet pass requested", properties)
    url = urlsplit(properties["downloadUrl"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{BASE}/brewbar/download"
    token = tokens.from_url(parse_qs(url.query)["token"][0])
    claims = tokens.read(token, program.keys, kind="download", audience=program.id)
    link = await database.read(find_link, program.id, claims.jti, "download")
    assert link is not None
    assert abs(datetime.fromisoformat(properties["expiresAt"]) - link.expires_at) < timedelta(seconds=1)
    assert await database.write(use_link, program.id, claims.jti, "download") == customer_id


@pytest.mark.parametrize("on", [True, False])
async def test_who_registers_again_is_sent_a_link_and_shown_nothing(
    database: Database, program: Program, on: bool
) -> None:
    program = with_message(program, on)
    email = new_email()

    async def once() -> Outcome:
        draft = {"email": msgspec.to_builtins(email)}
        token = await database.write(keep_draft, program.id, None, CONTACT, draft)
        completion = Completion(
            program=program, visit_token=token, name="Zoë", locale="en", asked=lambda: ASKED, base_url=BASE
        )
        [outcome] = await database.write(complete_visits, [completion])
        return outcome

    first, again = await once(), await once()
    assert isinstance(first, Registered)
    assert again == AlreadyKnown(first.customer_id)
    [properties] = await requests(database, first.customer_id)
    assert properties["cause"] == "registered_again"
    assert ("downloadUrl" in properties) is not on


async def test_with_the_message_off_no_more_links_are_made_than_may_be_sent(
    database: Database, program: Program
) -> None:
    customer_id, _ = await a_customer(database, program)
    for _ in range(MOST_LINK_MESSAGES_AN_HOUR + 3):
        await database.write(request_pass, with_message(program, False), customer_id, "asked", ASKED, BASE)
    assert len(await requests(database, customer_id)) == MOST_LINK_MESSAGES_AN_HOUR
