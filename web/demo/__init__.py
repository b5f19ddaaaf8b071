"""The demo programme "brewbar": brand, rewards, tiers, shops, customers and a year of history."""

import random
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.engine import Connection

from web.demo.friends import confirm, invite
from web.demo.holdings import add_holdings
from web.foundation.address import Email
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.foundation.short_code import new_code
from web.foundation.tokens import for_url
from web.loyalty.booking import Order
from web.loyalty.customer import CARD_NUMBER_LENGTH, customer, find_by_address
from web.loyalty.customer_link import make_session_link
from web.loyalty.event import pass_over
from web.loyalty.points import earn, spend
from web.loyalty.program import Program, load_program, program
from web.loyalty.wallet_pass import issue_pass
from web.program_file import create_from_file

FILE = Path(__file__).parent / "brewbar.toml"
SLUG = "brewbar"
# Addresses under example.com belong to nobody.
PEOPLE = (
    ("Ana López", "ana@example.com", "es", 42),
    ("Ben Carter", "ben@example.com", "en", 9),
    ("Chiara Conti", "chiara@example.com", "en", 23),
    ("Daniel Núñez de la Fuente y Villanueva", "daniel@example.com", "es", 70),
    ("Eman Haddad", "eman@example.com", "ar", 4),
    ("Fay", "fay@example.com", "en", 0),
)
# Came by the link of the first of them.
FRIENDS = ("Ben Carter", "Chiara Conti", "Fay")


def ensure_demo(conn: Connection, sealer: Sealer) -> bool:
    """Make the demo programme unless it is there; True if it was made now."""
    if conn.scalar(select(program.c.id).where(program.c.slug == SLUG)) is not None:
        return False
    program_id = create_from_file(conn, FILE, sealer)
    demo = load_program(conn, SLUG, sealer)
    assert demo is not None, "it was just made"
    # The same history on every machine, so that a picture or a bug report can be compared.
    chance = random.Random(10)  # noqa: S311
    people: list[str] = []
    for name, email, locale, visits in PEOPLE:
        customer_id = _add_customer(conn, program_id, name, email, locale)
        people.append(customer_id)
        if name in FRIENDS:
            invite(conn, demo, people[0], customer_id)
        _add_history(conn, demo, customer_id, visits, chance)
        if visits:
            issue_pass(conn, program_id, customer_id, "apple")
        add_holdings(conn, demo, customer_id, visits)
    for (_, _, _, visits), customer_id in zip(PEOPLE, people, strict=True):
        if visits:
            confirm(conn, demo, customer_id)
    pass_over(conn, program_id)
    return True


def _add_customer(conn: Connection, program_id: str, name: str, email: str, locale: str) -> str:
    customer_id, joined = new_id(), utc_now() - timedelta(days=365)
    conn.execute(
        insert(customer).values(
            program_id=program_id,
            id=customer_id,
            email=email,
            email_key=email,
            name=name,
            locale=locale,
            extra={},
            card_number=new_code(CARD_NUMBER_LENGTH),
            email_verified_at=joined,
            origin="demo",
            created_at=joined,
            updated_at=joined,
        )
    )
    return customer_id


def _add_history(
    conn: Connection, demo: Program, customer_id: str, visits: int, chance: random.Random
) -> None:
    days = sorted(chance.sample(range(1, 360), visits), reverse=True)
    for number, day in enumerate(days):
        # Coffee is drunk by day: between eight in the morning and seven in the evening.
        at = (utc_now() - timedelta(days=day)).replace(hour=7, minute=0) + timedelta(
            minutes=chance.randrange(660)
        )
        coffees = chance.choice((1, 1, 1, 2))
        reason = "Coffee" if coffees == 1 else "Two coffees"
        key = f"demo:{customer_id}:{number}"
        bought = Order(key=key, reason=reason, source="pos", at=at, is_history=True)
        points = earn(conn, demo, customer_id, 10 * coffees, bought).available
        if points >= 100 and chance.random() < 0.5:
            given = Order(
                key=f"{key}:reward",
                reason="Free coffee",
                source="reward",
                at=at + timedelta(minutes=3),
                is_history=True,
            )
            spend(conn, demo, customer_id, 100, given)


def link_to_own_pages(conn: Connection, demo: Program, base_url: str) -> str | None:
    """A link into the first demo customer's own pages; None once she has changed her address or gone."""
    email = PEOPLE[0][1]
    customer_id = find_by_address(conn, demo.id, Email(email, email), None)
    if customer_id is None:
        return None
    token = make_session_link(conn, demo, customer_id, created_by="demo")
    return f"{base_url}/{SLUG}/{for_url(token)}"
