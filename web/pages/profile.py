"""The profile: the card and where it stands, and the ways to everything one can change."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from litestar import Response, get
from litestar.params import FromPath
from sqlalchemy import func, select

from web.foundation.address import mask_email, mask_phone
from web.foundation.document import list_of
from web.foundation.schema import utc_now
from web.loyalty.address_change import AddressChange, pending_change_in
from web.loyalty.balance import balance
from web.loyalty.customer import CONTACT_OF_CUSTOMER, Contact
from web.loyalty.ledger import EFFECT, ledger_entry
from web.loyalty.lot import Expiring, expiring_next_in
from web.loyalty.offer import level_of, offers_for
from web.loyalty.presence import HERE_CUSTOMER, HERE_PROGRAM, presence_of
from web.loyalty.redemption import Had, Redemption, codes_in, counts_of, had_in, period_starts
from web.pages.card_view import card_view
from web.pages.entry_view import SHORT, ShortEntry, entry_view
from web.pages.member import Member, member_with
from web.pages.redemption import redemption_view
from web.pages.rewards import offer_view
from web.pages.tier_view import tier_view
from web.pages.verification import verification_view
from web.pages.visitor import AnyRequest
from web.pages.wallet_view import wallet_view

LATEST = 8
NEXT = 3


class Overview(msgspec.Struct, frozen=True):
    """What the profile tells beside the standing."""

    contact: Contact
    change: AddressChange | None
    entries: list[ShortEntry]
    had: list[Had]
    codes: list[Redemption]
    expiring: Expiring
    pending: int


OVERVIEW = presence_of(
    Overview,
    contact=CONTACT_OF_CUSTOMER,
    change=pending_change_in(HERE_PROGRAM, HERE_CUSTOMER),
    entries=list_of(
        select(*SHORT)
        .where(
            ledger_entry.c.program_id == HERE_PROGRAM,
            ledger_entry.c.customer_id == HERE_CUSTOMER,
            EFFECT != 0,
        )
        .order_by(ledger_entry.c.number.desc())
        .limit(LATEST)
    ),
    had=had_in(HERE_PROGRAM, HERE_CUSTOMER),
    codes=codes_in(HERE_PROGRAM, HERE_CUSTOMER, most=1),
    expiring=expiring_next_in(HERE_PROGRAM, HERE_CUSTOMER),
    pending=func.coalesce(balance.c.pending, 0),
)


@get("/{slug:str}/profile", name="profile")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    now = utc_now()
    member, overview = await member_with(
        request, slug, OVERVIEW, lambda program: {"now": now, **period_starts(program, now)}
    )
    amount = member.visitor.amount
    contact, expiring = overview.contact, overview.expiring
    return member.page(
        "profile/show.html",
        "profile",
        card=card_view(member.visitor, member.standing),
        tier=tier_view(member),
        contact=contact_view(contact),
        change=change_view(overview.change),
        verification=verification_view(member, contact),
        codes=[redemption_view(member, each, now) for each in overview.codes],
        rewards=_next_rewards(member, counts_of(member.program, overview.had), now),
        pending=amount(overview.pending) if overview.pending else None,
        expiring=amount(expiring.amount) if expiring.amount else None,
        # The moment is the first at which they are gone; people count the days on which they have them.
        last_day=expiring.at - timedelta(seconds=1) if expiring.at else None,
        entries=[entry_view(member, entry) for entry in overview.entries],
        wallet=await wallet_view(member.visitor, customer_id=member.customer_id) if member.is_fresh else None,
        sent=request.query_params.get("sent") == "1",
        saved=request.query_params.get("saved") == "1",
        # With the merchant's own messages off there is no link of ours to send.
        may_verify=member.program.settings.flows.confirmation_message,
        timezone=member.program.settings.timezone,
    )


def _next_rewards(member: Member, used: dict[str, int], now: datetime) -> list[dict[str, Any]]:
    """What can be had, and what is nearest."""
    program, standing = member.program, member.standing
    level = level_of(program, standing.tier_id, standing.tier_points)
    offers = offers_for(program, standing.points, level, used, now)
    return [
        offer_view(member, each)
        for each in [each for each in offers if each.state in ("ready", "short")][:NEXT]
    ]


def contact_view(contact: Contact | None) -> dict[str, Any]:
    """The addresses, masked as far as a glance over the shoulder should not read them, and whether proven."""
    if contact is None:
        return {"email": None, "phone": None, "email_verified": False, "phone_verified": False}
    return {
        "email": mask_email(contact.email) if contact.email else None,
        "phone": mask_phone(contact.phone) if contact.phone else None,
        "email_verified": contact.email_verified_at is not None,
        "phone_verified": contact.phone_verified_at is not None,
    }


def change_view(change: AddressChange | None) -> dict[str, Any] | None:
    if change is None:
        return None
    masked = mask_email(change.value) if change.channel == "email" else mask_phone(change.value)
    return {
        "masked": masked,
        "channel": change.channel,
        "old_agreed": change.old_agreed_at is not None,
        "new_agreed": change.new_agreed_at is not None,
    }
