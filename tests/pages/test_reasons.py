"""Why? Each customer can read under an entry how its points came about, and of a purchase without any why not."""

import re
from datetime import timedelta
from html import unescape

from sqlalchemy import Connection

from tests.conftest import SECRET
from tests.pages.test_session import enter, new_customer
from tests.support.links import session_path
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.earning_flow import NewEarningFlow, add_flow
from web.loyalty.earning_rules import PURCHASE, Conditions, Line
from web.loyalty.program import load_program
from web.loyalty.purchase import order_cancelled, order_paid
from web.loyalty.purchase_record import Paid


def text_of(page: str) -> str:
    return re.sub(
        r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)).replace("\u2068", "").replace("\u2069", "")
    )


def test_an_entry_says_how_it_came_about_and_a_purchase_without_points_why_not(
    sqlite_server: Server, sealer: Sealer
) -> None:
    url, address = sqlite_server.environment["DATABASE_URL"], new_customer(sqlite_server)
    (who,) = [row["id"] for row in rows_of(url, "customer", email=address)]

    def buy(conn: Connection) -> None:
        program = load_program(conn, "brewbar", Sealer((SECRET,)))
        assert program is not None
        online = Conditions(channels=("online",))
        title = {"en": "Web orders"}
        add_flow(conn, program.id, NewEarningFlow(type=PURCHASE, title=title, points=1, conditions=online))
        for order_id, line in (
            ("first", Line(id="1", amount=450)),
            ("second", Line(id="1", amount=320)),
            ("a-gift", Line(id="1", amount=5000, gift_card=True)),
        ):
            paid = Paid(
                source="pos",
                id=order_id,
                paid_at=utc_now() - timedelta(minutes=1),
                lines=(line,),
                channel="in_store",
            )
            order_paid(conn, program, who, paid)
        order_cancelled(conn, program, "pos", "first")

    in_database(url, buy)
    with sqlite_server.client() as client:
        enter(client, session_path(sqlite_server, sealer, address))
        page = text_of(client.get("/brewbar/transactions").text)
        assert "Purchase" in page
        assert "€4.50 counted: 4 Beans for every €1.00." in page
        assert "€3.20 counted: 4 Beans for every €1.00." in page
        assert "What does not make a whole point is kept for the next time." in page
        assert "Order cancelled" in page
        earned = text_of(client.get("/brewbar/transactions?show=earned").text)
        assert "A purchase without points? Here is why" in earned
        assert "Nothing in it earns points: gift cards do not" in earned
        assert "It counts online only." in earned
        # Their own data goes with them, fractions and all.
        assert client.post("/brewbar/profile/data/export").is_success
