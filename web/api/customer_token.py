"""A customer's token: for a link to their card, or for a session and their own calls (ruling 3)."""

from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import TAG, require_customer
from web.api.operation import operation
from web.api.problems import Problem, invalid_parameter
from web.api.shapes import Output
from web.loyalty.customer_link import NoPass, make_download_link, make_session_link

# A session that outlives a month is a password; a link to a card may stand in a letter for a year.
LONGEST = {"auth": timedelta(days=31), "download": timedelta(days=366)}


class TokenQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose token, and what for."""

    token_type: Annotated[
        Literal["auth", "download"], Meta(description="`auth`: a session. `download`: the card.")
    ]
    email: Annotated[str, Meta(max_length=254, description="The customer's e-mail address, or")] | None = None
    customer: Annotated[str, Meta(max_length=254, description="any other name of theirs.")] | None = None
    expires_in: (
        Annotated[
            int, Meta(ge=1, le=366 * 86_400, description="Seconds; `auth` lives seven days without it.")
        ]
        | None
    ) = None


class TokenShown(Output):
    """A token. In links it stands in Base64."""

    access_token: str


@operation(
    "GET",
    "/v1/programs/{program}/customers/token",
    scope="write",
    tag=TAG,
    answer=TokenShown(access_token="eyJhbGciOiJIUzI1NiIsImtpZCI6ImJyZXdiYXIi…"),
    failures=("conflict",),
    secret=True,
)
async def get_customer_token(call: Call, query: TokenQuery) -> TokenShown:
    """Get a customer token.

    `download` opens the card: once, or with `expires_in` any number of times until then. `auth` opens a session and
    the customer's own calls; it needs a customer who holds a pass (409 otherwise). Build links as
    `/{slug}/download?token={base64Token}` and `/{slug}/{base64Token}?redirectTo=profile`.
    """
    if query.email is None and query.customer is None:
        raise invalid_parameter("email", "Name the customer by `email` or `customer`.")
    lifetime = None if query.expires_in is None else timedelta(seconds=query.expires_in)
    if lifetime is not None and lifetime > LONGEST[query.token_type]:
        raise invalid_parameter("expires_in", f"At most {LONGEST[query.token_type] // timedelta(seconds=1)}.")
    return await call.write(_make, call, query, lifetime)


def _make(conn: Connection, call: Call, query: TokenQuery, lifetime: timedelta | None) -> TokenShown:
    customer_id = require_customer(conn, call, query.email or query.customer or "")
    make = make_session_link if query.token_type == "auth" else make_download_link
    try:
        return TokenShown(
            access_token=make(conn, call.program, customer_id, created_by=call.actor, lifetime=lifetime)
        )
    except NoPass:
        raise Problem(
            "conflict", "This customer holds no pass yet: send them a `download` link first."
        ) from None


ROUTES = (get_customer_token,)
