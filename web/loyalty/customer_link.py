"""The two links that customers are given, as the API, support and messages make them (ruling 3)."""

from datetime import timedelta

from sqlalchemy.engine import Connection

from web.foundation.sealing import random_code
from web.loyalty.link import make_link
from web.loyalty.program import Program
from web.loyalty.wallet_pass import passes_of


class NoPass(Exception):
    """The customer holds no pass yet: there is nothing that a session could show them."""


def make_download_link(
    conn: Connection,
    program: Program,
    customer_id: str,
    *,
    created_by: str,
    lifetime: timedelta | None = None,
    code: str | None = None,
) -> str:
    """The token of a link to the card: for one use, or with a `lifetime` for any number until it ends."""
    return make_link(
        conn,
        program,
        customer_id,
        "download",
        jti=code or random_code(),
        created_by=created_by,
        lifetime=lifetime,
        most_uses=None if lifetime else 1,
    )


def make_session_link(
    conn: Connection,
    program: Program,
    customer_id: str,
    *,
    created_by: str,
    lifetime: timedelta | None = None,
    code: str | None = None,
) -> str:
    """The token of a link that opens a session, for seven days unless told otherwise.

    Raises: NoPass.
    """
    if not passes_of(conn, program.id, customer_id):
        raise NoPass(customer_id)
    return make_link(
        conn,
        program,
        customer_id,
        "auth",
        jti=code or random_code(),
        created_by=created_by,
        lifetime=lifetime,
        most_uses=None,
    )
