"""Points booked for a test, as a programme's systems would book them."""

from sqlalchemy import update
from sqlalchemy.engine import Connection

from tests.conftest import SECRET
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.booking import Booked, Order
from web.loyalty.earning_flow import earning_flow
from web.loyalty.points import adjust
from web.loyalty.program import load_program


def an_order(key: str | None = None, **changes: object) -> Order:
    given = {"key": key or new_id(), "reason": "Coffee", "source": "pos", **changes}
    return Order(**given)  # type: ignore[arg-type]


def change_points(conn: Connection, slug: str, customer_id: str, change: int) -> Booked:
    """Book a change for a customer of the programme `slug`, whoever holds the programme in memory."""
    program = load_program(conn, slug, Sealer((SECRET,)))
    assert program is not None
    return adjust(conn, program, customer_id, change, an_order())


def put_away_flows(conn: Connection, program_id: str) -> None:
    """Leave a programme without ways to earn, so that a test's own are the only ones."""
    conn.execute(
        update(earning_flow).where(earning_flow.c.program_id == program_id).values(archived_at=utc_now())
    )
