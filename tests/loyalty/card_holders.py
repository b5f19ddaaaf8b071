"""Customers whose card is on a phone, for tests of what reaches it."""

from datetime import timedelta

import msgspec
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from web.foundation.delivery import delivery
from web.foundation.schema import utc_now
from web.loyalty.installation import mark_installed, register_device
from web.loyalty.program import Program
from web.loyalty.program_settings import Notices
from web.loyalty.wallet_pass import APPLE_CARD, Pass, find_pass_by_id, mark_stored, pass_for, wallet_pass


def with_notices(program: Program, **changes: object) -> Program:
    settings = msgspec.structs.replace(program.settings, notices=Notices(**changes))  # type: ignore[arg-type]
    return msgspec.structs.replace(program, settings=settings)


def quiet_now(program: Program) -> Program:
    """The programme, with quiet hours that began an hour ago and end in an hour."""
    now = utc_now()
    hours = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=1):%H:%M}"
    settings = msgspec.structs.replace(
        program.settings, notices=Notices(quiet_hours=hours), timezone="UTC", consents=()
    )
    return msgspec.structs.replace(program, settings=settings)


def card_holder(conn: Connection, program: Program, **changes: object) -> str:
    """A new customer whose card is on an iPhone, which has its present version."""
    customer_id = new_customer(conn, program, **changes)
    held = pass_for(conn, program.id, customer_id, "apple")
    register_device(conn, held, program.id, f"device-{customer_id}", f"token-{customer_id}")
    fetch(conn, program.id, held.id)
    return customer_id


def android_holder(conn: Connection, program: Program) -> str:
    customer_id = new_customer(conn, program, platform=None)
    held = pass_for(conn, program.id, customer_id, "google")
    mark_stored(conn, program.id, held.id, held.version)
    mark_installed(conn, program.id, held.id)
    return customer_id


def the_pass(conn: Connection, program_id: str, customer_id: str) -> Pass:
    pass_id = conn.scalars(select(wallet_pass.c.id).where(wallet_pass.c.customer_id == customer_id)).one()
    held = find_pass_by_id(conn, program_id, pass_id)
    assert held is not None
    return held


def fetch(conn: Connection, program_id: str, pass_id: str) -> None:
    """The phone asks for its card and gets it: the push was made before."""
    told = (delivery.c.kind == APPLE_CARD) & (delivery.c.lane == f"{APPLE_CARD}:{pass_id}")
    conn.execute(update(delivery).where(told).values(state="done", merge_key=None, ended_at=utc_now()))
    conn.execute(
        update(wallet_pass).where(wallet_pass.c.id == pass_id).values(fetched_version=wallet_pass.c.version)
    )
