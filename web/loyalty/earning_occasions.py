"""What happens in the product anyway and may earn something: each is an event, or a profile that is complete now."""

from sqlalchemy import select
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty import event
from web.loyalty.balance import lock_balance
from web.loyalty.booking import LedgerError
from web.loyalty.customer import customer
from web.loyalty.earning import happened_to
from web.loyalty.earning_rules import (
    BIRTHDAY,
    INSTALL,
    LINK_CLICK,
    PROFILE,
    REFERRAL,
    SCAN,
    VERIFY,
    Happening,
)
from web.loyalty.program import Program
from web.loyalty.referral import REVERSED, find_referral, key_of

# A check-in and a purchase judge their flows themselves, because their answers say what was earned.
OCCASIONS = {
    event.ACCOUNT_VERIFIED: VERIFY,
    event.CARD_INSTALLED: INSTALL,
    event.CARD_CLICKED: LINK_CLICK,
    event.CUSTOMER_SCANNED: SCAN,
    event.CUSTOMER_BIRTHDAY: BIRTHDAY,
    event.REFERRAL_COMPLETED: REFERRAL,
}


def on_event(conn: Connection, program: Program, happened: event.Event) -> None:
    """Let the flows of an event's kind judge it. The worker calls it; repeats change nothing."""
    who = happened.customer_id
    if who is None:
        return
    if happened.name == event.CUSTOMER_CREATED:
        profile_changed(conn, program, who)
    kind = OCCASIONS.get(happened.name)
    if kind is None or not _is_there(conn, program.id, who):
        return
    told = happened.properties
    if kind == REFERRAL and told.get("role") != "advocate":
        # Each side has an event of its own; who brought a friend is the one who did something.
        return
    facts = Happening(
        at=happened.at,
        location_id=told.get("locationId"),
        channel="in_store" if kind == SCAN else None,
        link=told.get("linkKey"),
    )
    key = f"event:{happened.id}"
    if kind == REFERRAL:
        key = key_of(told["referralId"])
        # Locked first: whoever takes it back at this very moment has done so when we look, or finds what we gave.
        lock_balance(conn, program.id, who)
        found = find_referral(conn, program.id, told["referralId"])
        if found is not None and found.state == REVERSED:
            return
    _judge(conn, program, who, kind, facts, key)


def profile_changed(conn: Connection, program: Program, customer_id: str) -> None:
    """Let the flows for a complete profile judge one that may be: a name, and an answer to each question."""
    told = conn.execute(
        select(customer.c.name, customer.c.birthday, customer.c.extra).where(
            customer.c.program_id == program.id, customer.c.id == customer_id
        )
    ).one_or_none()
    if told is None or not told.name:
        return
    answers = {
        **told.extra,
        **{f.key: told.birthday for f in program.settings.fields if f.kind == "birthday"},
    }
    if all(answers.get(field.key) for field in program.settings.fields):
        # Once a day is often enough to find that one had it before.
        now = utc_now()
        key = f"profile:{customer_id}:{now:%Y-%m-%d}"
        _judge(conn, program, customer_id, PROFILE, Happening(at=now), key)


def _judge(
    conn: Connection, program: Program, customer_id: str, kind: str, facts: Happening, key: str
) -> None:
    try:
        with conn.begin_nested():
            happened_to(conn, program, customer_id, kind, facts, key=key)
    except LedgerError:
        # The account takes no more. Nobody else's events, and nobody's profile, shall fail for that.
        return


def _is_there(conn: Connection, program_id: str, customer_id: str) -> bool:
    """Who was erased meanwhile, or turned out to be another customer, earns nothing more under this name."""
    return (
        conn.scalar(
            select(customer.c.id).where(
                customer.c.program_id == program_id,
                customer.c.id == customer_id,
                customer.c.merged_into.is_(None),
            )
        )
        is not None
    )
