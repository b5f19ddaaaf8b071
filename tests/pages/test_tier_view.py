"""The profile says which tier one holds, how far the next one is, and until when this one is certain."""

from datetime import UTC, datetime

from sqlalchemy import Connection, update

from tests.pages.test_reasons import text_of
from tests.pages.test_session import enter, new_customer
from tests.support.ledger import change_points
from tests.support.links import session_path
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.sealing import Sealer
from web.loyalty.balance import balance


def test_the_profile_shows_the_tier_and_what_is_missing_for_the_next(
    sqlite_server: Server, sealer: Sealer
) -> None:
    url, address = sqlite_server.environment["DATABASE_URL"], new_customer(sqlite_server)
    (who,) = [row["id"] for row in rows_of(url, "customer", email=address)]

    def keep_for_a_year(conn: Connection) -> None:
        conn.execute(
            update(balance)
            .where(balance.c.customer_id == who)
            .values(
                tier_kept_until=datetime(2030, 1, 1, tzinfo=UTC),
                cycle_ends_at=datetime(2029, 1, 1, tzinfo=UTC),
            )
        )

    with sqlite_server.client() as client:
        enter(client, session_path(sqlite_server, sealer, address))

        def profile() -> str:
            return text_of(client.get("/brewbar/profile").text)

        assert "500 more to Roaster" in profile()
        in_database(url, lambda conn: change_points(conn, "brewbar", who, 620))
        assert "1,380 more to Master of beans" in profile()
        assert "A quarter more beans for every purchase." in profile()
        assert "Yours until" not in profile()
        in_database(url, keep_for_a_year)
        # The programme's midnight is an hour after that of UTC.
        assert "Yours until January 1, 2030." in profile()
        in_database(
            url,
            lambda conn: conn.execute(
                update(balance).where(balance.c.customer_id == who).values(tier_points=420)
            ),
        )
        assert "80 more, and you keep it for another year." in profile()
