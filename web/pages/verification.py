"""Whether a customer has shown that an address is theirs, which rewards wait for (ruling 6)."""

from typing import Any

from web.foundation.address import mask_email, mask_phone
from web.loyalty.customer import Contact
from web.loyalty.program import Program
from web.pages.member import Member


def is_verified(program: Program, contact: Contact | None) -> bool:
    """Whether this customer may redeem, as far as their address goes."""
    if "redeem" not in program.settings.flows.require_verified_for:
        return True
    return contact is not None and bool(contact.email_verified_at or contact.phone_verified_at)


def verification_view(member: Member, contact: Contact | None) -> dict[str, Any] | None:
    """What stands between an unconfirmed customer and rewards; None for a confirmed one.

    `may_send`: with the merchant's own messages there is no link of ours to send.
    """
    if contact is None or is_verified(member.program, contact):
        return None
    masked = mask_email(contact.email) if contact.email else mask_phone(contact.phone or "")
    return {"masked": masked, "may_send": member.program.settings.flows.confirmation_message}
