"""Under which ids one person is known: their own, and those of customers who turned out to be them."""

from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.loyalty.customer import customer


def resolve(conn: Connection, program_id: str, customer_id: str) -> str:
    """The customer that an id stands for today: its own, unless it was merged into another."""
    found = customer_id
    while True:
        into = conn.scalar(
            select(customer.c.merged_into).where(customer.c.program_id == program_id, customer.c.id == found)
        )
        if into is None:
            return found
        found = into


def names_of(conn: Connection, program_id: str, customer_id: str) -> list[str]:
    """The customer's own id, and those of all who were merged into them."""
    names = [customer_id]
    for name in names:
        names += conn.scalars(
            select(customer.c.id).where(customer.c.program_id == program_id, customer.c.merged_into == name)
        )
    return names
