"""A card that was lost with its phone: every copy of it is void, and the barcode that it showed is worthless."""

from sqlalchemy import Column, String, Table, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, utc_now
from web.foundation.sealing import random_code
from web.foundation.short_code import new_code
from web.loyalty.customer import CARD_NUMBER_LENGTH, customer
from web.loyalty.event import CARD_REPLACED, record
from web.loyalty.link import revoke_links
from web.loyalty.pass_item import items_of, pass_item
from web.loyalty.session import end_sessions
from web.loyalty.visit import end_grants
from web.loyalty.wallet_pass import card_changed, void_passes, wallet_pass

# Whose card a number was. The till is told so, and the number is never given again.
replaced_number = Table(
    "replaced_number",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("card_number", String(16), primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("replaced_at", Moment, nullable=False),
)


def replace_card(
    conn: Connection, program_id: str, customer_id: str, *, keep_sessions: bool = False
) -> str | None:
    """Void every pass of a customer and give the card a new number, which is returned; None for an unknown customer.

    Links to the card are dead, too: the inbox may be on the lost phone. So are sessions, whose pages show the new
    number, unless the caller looks after them (`keep_sessions`), and what a browser may fetch after a registration.
    Coupons and gift cards stay what they are, and their holder puts them into the wallet again.
    """
    old = conn.scalar(
        select(customer.c.card_number)
        .where(customer.c.program_id == program_id, customer.c.id == customer_id)
        .with_for_update()
    )
    if old is None:
        return None
    new, now = new_code(CARD_NUMBER_LENGTH), utc_now()
    conn.execute(
        insert(replaced_number).values(
            program_id=program_id, card_number=old, customer_id=customer_id, replaced_at=now
        )
    )
    conn.execute(
        update(customer)
        .where(customer.c.program_id == program_id, customer.c.id == customer_id)
        .values(card_number=new, updated_at=now)
    )
    revoke_links(conn, program_id, customer_id)
    end_grants(conn, program_id, customer_id)
    if not keep_sessions:
        end_sessions(conn, program_id, customer_id)
    voided = void_passes(conn, program_id, wallet_pass.c.customer_id == customer_id)
    card_changed(conn, program_id, customer_id)
    _move_items(conn, program_id, customer_id)
    record(conn, program_id, CARD_REPLACED, customer_id, {"passesVoided": len(voided)})
    return new


def _move_items(conn: Connection, program_id: str, customer_id: str) -> None:
    """The addresses of coupons and gift cards were in the lost phone's mail: they lead nowhere any more."""
    for item in items_of(conn, program_id, customer_id):
        conn.execute(
            update(pass_item)
            .where(pass_item.c.program_id == program_id, pass_item.c.id == item.id)
            .values(code=random_code())
        )


def is_replaced(conn: Connection, program_id: str, card_number: str) -> bool:
    """Whether this was the number of a card that was replaced."""
    return (
        conn.scalar(
            select(replaced_number.c.card_number).where(
                replaced_number.c.program_id == program_id, replaced_number.c.card_number == card_number
            )
        )
        is not None
    )
