"""An invitation: what a browser remembers of a friend's link, how the front door greets it, and who it came from.

The browser keeps the code alone. A mark behind it says that the link was opened where its owner is logged in.
"""

from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.loyalty.customer import customer
from web.loyalty.personal_data import suppression_tag
from web.loyalty.program import Program
from web.loyalty.referral import first_name
from web.loyalty.referral_code import advocate_of
from web.loyalty.referral_start import Invite
from web.pages.visitor import Visitor

OWN_BROWSER = "~"


async def greeting_for(visitor: Visitor) -> dict[str, Any] | None:
    """What the front door says to somebody who came by a friend's link; None for everybody else."""
    code = visitor.invite.removesuffix(OWN_BROWSER)
    if not code or not visitor.program.settings.referral.active:
        return None
    found, name = await visitor.site.database.read(_find_advocate, visitor.program, code)
    return greeting(visitor, name) if found else None


def greeting(visitor: Visitor, name: str | None) -> dict[str, Any]:
    """The words' parts: who invites (a first name, or nobody's), what for whom, and after what."""
    rules = visitor.program.settings.referral
    return {
        "name": name,
        "points": visitor.amount(rules.friend_points),
        "gives": bool(rules.friend_points),
        "both": rules.friend_points == rules.advocate_points,
        "action": rules.action,
        "min_amount": visitor.money(rules.min_amount) if rules.min_amount else None,
    }


def invite_of(visitor: Visitor) -> Invite | None:
    """The invitation that somebody registers with."""
    code = visitor.invite.removesuffix(OWN_BROWSER)
    if not code or not visitor.program.settings.referral.active:
        return None
    sealer, program_id = visitor.site.sealer, visitor.program.id
    asked = visitor.asked
    return Invite(
        code=code,
        address_tag=lambda address: suppression_tag(address, program_id, sealer),
        network_tag=sealer.tag(visitor.network, f"network/{program_id}"),
        device=f"{asked.device} {asked.browser}"[:40].strip(),
        own_browser=visitor.invite.endswith(OWN_BROWSER),
    )


def _find_advocate(conn: Connection, program: Program, code: str) -> tuple[bool, str | None]:
    """Whether the code has an owner, and their first name where the programme tells it."""
    owner_id = advocate_of(conn, program.id, code)
    if owner_id is None or not program.settings.referral.says_who:
        return owner_id is not None, None
    name = conn.scalar(
        select(customer.c.name).where(customer.c.program_id == program.id, customer.c.id == owner_id)
    )
    return True, first_name(name)
