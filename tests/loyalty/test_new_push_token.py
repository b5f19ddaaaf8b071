"""A phone whose push token changes while a push to the old one is on its way."""

from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from web.foundation.database import Database
from web.foundation.delivery import WAITING, delivery
from web.loyalty.installation import push_tokens_of, register_device
from web.loyalty.program import Program
from web.loyalty.wallet_pass import APPLE_CARD, Pass, card_changed, pass_for


def waiting(conn: Connection, held: Pass) -> int:
    return (
        conn.scalar(
            select(func.count()).where(
                delivery.c.state == WAITING, delivery.c.lane == f"{APPLE_CARD}:{held.id}"
            )
        )
        or 0
    )


def deliver_to_nobody(conn: Connection) -> None:
    """As if a worker had pushed to the phones of before, and Apple had not found them any more."""
    conn.execute(update(delivery).values(state="done", merge_key=None))


async def test_it_hears_at_the_new_one_of_what_the_old_one_missed(
    database: Database, program: Program
) -> None:
    def tell(conn: Connection) -> None:
        customer_id = new_customer(conn, program)
        held = pass_for(conn, program.id, customer_id, "apple")
        register_device(conn, held, program.id, "a-phone", "aa")
        card_changed(conn, program.id, customer_id)
        deliver_to_nobody(conn)
        assert not register_device(conn, held, program.id, "a-phone", "aa")
        assert waiting(conn, held) == 0, "a repetition tells nobody anything"
        assert not register_device(conn, held, program.id, "a-phone", "bb")
        assert waiting(conn, held) == 1
        assert push_tokens_of(conn, program.id, held.id) == ["bb"]

    await database.write(tell)
