"""Friends who bring friends, for tests of referrals."""

from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from tests.conftest import SECRET
from tests.loyalty.people import new_customer
from web.foundation.address import Email
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.balance import find_balance
from web.loyalty.event import ACCOUNT_VERIFIED, Event, event
from web.loyalty.program import Program, load_program
from web.loyalty.program_settings import ReferralRules
from web.loyalty.referral import Kept, referral_to
from web.loyalty.referral_code import code_for
from web.loyalty.referral_reward import on_event
from web.loyalty.referral_start import Invite, start_referral


def referring(program: Program, **rules: Any) -> Program:
    """The programme with these rules for referrals: 50 points for the one, 30 for the other."""
    given = {"active": True, "action": "verify", "advocate_points": 50, "friend_points": 30, **rules}
    settings = msgspec.structs.replace(program.settings, referral=ReferralRules(**given))
    return msgspec.structs.replace(program, settings=settings)


def an_email(value: str) -> Email:
    return Email(value, value.lower())


def an_invite(code: str, **changes: Any) -> Invite:
    return Invite(**{"code": code, "address_tag": lambda address: f"tag of {address}", **changes})


def bring(
    conn: Connection, program: Program, advocate_id: str, invite: dict[str, Any] | None = None, **friend: Any
) -> Kept:
    """A new customer who comes by the advocate's link."""
    code = code_for(conn, program, advocate_id)
    friend_id = new_customer(conn, program, **{"name": None, **friend})
    start_referral(conn, program, friend_id, an_invite(code, **(invite or {})))
    found = referral_to(conn, program.id, friend_id)
    assert found is not None
    return found


def loaded(conn: Connection, **rules: Any) -> Program:
    """The demo programme, with these rules for referrals."""
    program = load_program(conn, "brewbar", Sealer((SECRET,)))
    assert program is not None
    return referring(program, **rules)


def happened(program: Program, name: str, customer_id: str, **properties: Any) -> Event:
    return Event(
        program_id=program.id,
        id=new_id(),
        name=name,
        customer_id=customer_id,
        at=utc_now(),
        properties=properties,
    )


def verified(conn: Connection, program: Program, found: Kept) -> Kept:
    """The friend confirmed their address; how their referral stands then."""
    on_event(conn, program, happened(program, ACCOUNT_VERIFIED, found.friend_id))
    return now(conn, found)


def now(conn: Connection, found: Kept) -> Kept:
    present = referral_to(conn, found.program_id, found.friend_id)
    assert present is not None
    return present


def points_of(conn: Connection, found: Kept) -> tuple[int, int]:
    """What the two have: the advocate, the friend."""
    held = (find_balance(conn, found.program_id, each) for each in (found.advocate_id, found.friend_id))
    advocate, friend = (each.available + each.pending if each else 0 for each in held)
    return advocate, friend


def told(conn: Connection, customer_id: str) -> list[tuple[str, Any]]:
    rows = conn.execute(
        select(event.c.name, event.c.properties)
        .where(event.c.customer_id == customer_id, event.c.name.startswith("Referral"))
        .order_by(event.c.id)
    )
    return [(row.name, row.properties) for row in rows]
