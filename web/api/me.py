"""A customer's own calls, with their own token."""

from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customer_shown import EXAMPLE, CustomerShown, show_customer
from web.api.customers import TAG
from web.api.operation import operation
from web.api.problems import Problem
from web.loyalty.directory import find_entrant


@operation("GET", "/v1/me", scope="read", tag=TAG, answer=EXAMPLE, customers=True)
async def get_me(call: Call) -> CustomerShown:
    """Get the customer whose token this is.

    A key belongs to no customer: it is answered with 404.
    """
    return await call.read(_me, call)


def _me(conn: Connection, call: Call) -> CustomerShown:
    entrant = find_entrant(conn, call.program.id, call.customer_id) if call.customer_id else None
    if entrant is None:
        raise Problem("not-found", "Only a customer's own token has somebody here.")
    return show_customer(entrant, call)


ROUTES = (get_me,)
