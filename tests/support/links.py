"""Links as support and the API make them, for tests that begin in the middle of a customer's life."""

from datetime import timedelta

from tests.support.rows import in_database
from tests.support.serving import Server
from web.foundation.address import Email
from web.foundation.sealing import Sealer
from web.foundation.tokens import for_url
from web.loyalty.customer import find_by_address
from web.loyalty.customer_link import make_download_link, make_session_link
from web.loyalty.program import load_program
from web.loyalty.wallet_pass import issue_pass

SLUG = "brewbar"


def session_path(server: Server, sealer: Sealer, address: str, lifetime: timedelta | None = None) -> str:
    """The path of a session link for a customer of the demo, who is given a pass if they have none."""

    def work(conn):  # type: ignore[no-untyped-def]
        program = load_program(conn, SLUG, sealer)
        assert program is not None
        customer_id = find_by_address(conn, program.id, Email(address, address), None)
        assert customer_id is not None
        issue_pass(conn, program.id, customer_id, "apple")
        token = make_session_link(conn, program, customer_id, created_by="test", lifetime=lifetime)
        return f"/{SLUG}/{for_url(token)}"

    return str(in_database(server.environment["DATABASE_URL"], work))


def download_token(server: Server, sealer: Sealer, address: str, lifetime: timedelta | None = None) -> str:
    """The bare token of a link to a customer's card."""

    def work(conn):  # type: ignore[no-untyped-def]
        program = load_program(conn, SLUG, sealer)
        assert program is not None
        customer_id = find_by_address(conn, program.id, Email(address, address), None)
        assert customer_id is not None
        return make_download_link(conn, program, customer_id, created_by="test", lifetime=lifetime)

    return str(in_database(server.environment["DATABASE_URL"], work))
