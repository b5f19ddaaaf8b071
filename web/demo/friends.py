"""Friends in the demo: the first of its people brought others, and it gave them something."""

from sqlalchemy.engine import Connection

from web.foundation.schema import new_id, utc_now
from web.loyalty.event import ACCOUNT_VERIFIED, Event
from web.loyalty.program import Program
from web.loyalty.referral_code import code_for
from web.loyalty.referral_reward import on_event
from web.loyalty.referral_start import Invite, start_referral


def invite(conn: Connection, demo: Program, advocate_id: str, friend_id: str) -> None:
    """Let a newcomer have come by another's link."""
    code = code_for(conn, demo, advocate_id)
    # Nobody of the demo was ever erased.
    start_referral(conn, demo, friend_id, Invite(code=code, address_tag=lambda _: ""))


def confirm(conn: Connection, demo: Program, friend_id: str) -> None:
    """Let a friend have done what was asked, so that both have their points."""
    told = {"channel": "email", "method": "link"}
    on_event(
        conn,
        demo,
        Event(
            program_id=demo.id,
            id=new_id(),
            name=ACCOUNT_VERIFIED,
            customer_id=friend_id,
            at=utc_now(),
            properties=told,
        ),
    )
