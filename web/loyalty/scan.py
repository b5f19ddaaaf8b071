"""A scan: the card is shown at a till, which is told whose it is and what they can have."""

from datetime import datetime, timedelta
from typing import Literal

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.foundation.short_code import CARD_NUMBER_LENGTH, NotACodeError, normalise
from web.loyalty.balance import lock_balance
from web.loyalty.coupon_code import Assigned, coupons_of
from web.loyalty.customer import customer
from web.loyalty.event import CUSTOMER_SCANNED, INSERT, event, event_row
from web.loyalty.offer import Offer, level_of, offers_for
from web.loyalty.program import Program
from web.loyalty.redemption import counts_for
from web.loyalty.replacing import is_replaced

Method = Literal["qr", "nfc", "manual"]
# A scanner that beeps twice means one card shown once.
SAME_WITHIN = timedelta(seconds=60)
MOST_COUPONS = 50
# Nothing happens to one customer more often than this within a minute.
LATEST = 30


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """What a till is told. `offers` are the rewards that can be had now, `coupons` the good ones; minor units.

    `id` names the scan; a repeat within a minute at one place has the same.
    """

    id: str
    at: datetime
    customer_id: str
    external_id: str | None
    name: str | None
    available: int
    pending: int
    tier_id: str | None
    offers: list[Offer]
    coupons: list[Assigned]
    is_repeat: bool


class UnknownCard(Exception):
    """No customer of the programme has a card of this number."""


class ReplacedCard(UnknownCard):
    """The number was on a phone that its owner lost; they have a new one."""


def scan_card(
    conn: Connection,
    program: Program,
    card_number: str,
    *,
    location_id: str | None,
    method: Method = "qr",
    device_id: str | None = None,
) -> Scanned:
    """Tell the till about a card, and record that it was shown: once in a minute at one place.

    Raises: UnknownCard, ReplacedCard.
    """
    found = _find(conn, program.id, card_number)
    held = lock_balance(conn, program.id, found.id)
    now = utc_now()
    before = _scanned_before(conn, program.id, found.id, location_id, now)
    if before is None:
        told = {"locationId": location_id, "method": method, "deviceId": device_id}
        row = event_row(program.id, CUSTOMER_SCANNED, found.id, told)
        conn.execute(INSERT, row)
        scan_id, at = row["id"], row["at"]
    else:
        scan_id, at = before
    tier_level = level_of(program, held.tier_id, held.tier_points)
    used = counts_for(conn, program, found.id, now)
    offers = offers_for(program, held.available, tier_level, used, now)
    return Scanned(
        id=scan_id,
        at=at,
        customer_id=found.id,
        external_id=found.external_id,
        name=found.name,
        available=held.available,
        pending=held.pending,
        tier_id=held.tier_id,
        offers=[offer for offer in offers if offer.state == "ready"],
        coupons=coupons_of(conn, program.id, found.id, state="active", most=MOST_COUPONS),
        is_repeat=before is not None,
    )


class _Owner(msgspec.Struct, frozen=True):
    id: str
    name: str | None
    external_id: str | None


def _find(conn: Connection, program_id: str, card_number: str) -> _Owner:
    try:
        number = normalise(card_number, CARD_NUMBER_LENGTH)
    except NotACodeError:
        raise UnknownCard(card_number) from None
    row = conn.execute(
        select(customer.c.id, customer.c.name, customer.c.external_id).where(
            customer.c.program_id == program_id,
            customer.c.card_number == number,
            customer.c.merged_into.is_(None),
        )
    ).one_or_none()
    if row is None:
        raise (ReplacedCard if is_replaced(conn, program_id, number) else UnknownCard)(card_number)
    return _Owner(*row)


def _scanned_before(
    conn: Connection, program_id: str, customer_id: str, location_id: str | None, now: datetime
) -> tuple[str, datetime] | None:
    """The scan within the last minute at this place. The caller holds the customer's balance."""
    latest = conn.execute(
        select(event.c.id, event.c.name, event.c.at, event.c.properties)
        .where(event.c.program_id == program_id, event.c.customer_id == customer_id)
        .order_by(event.c.id.desc())
        .limit(LATEST)
    )
    for row in latest:
        is_scan = row.name == CUSTOMER_SCANNED and row.at > now - SAME_WITHIN
        if is_scan and row.properties.get("locationId") == location_id:
            return row.id, row.at
    return None
