"""How a referral begins: a newcomer brings somebody's code, and the hard rules say whether it can count at all."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.engine import Connection

from web.foundation.address import inbox_key
from web.foundation.languages import N_
from web.foundation.schema import insert_or_skip, new_id, utc_now
from web.loyalty.balance import find_balance
from web.loyalty.customer import customer
from web.loyalty.event import REFERRAL_BLOCKED, REFERRAL_STARTED, record
from web.loyalty.personal_data import is_suppressed
from web.loyalty.program import Program
from web.loyalty.referral import BLOCKED, JOINED, referral
from web.loyalty.referral_code import advocate_of
from web.loyalty.referral_signals import Person, Surroundings, are_one_inbox, of_joining

# Why a referral is blocked for good.
THEMSELVES, CYCLE, SAME_INBOX = "themselves", "cycle", "same_inbox"
EXISTED, ERASED_BEFORE, OWNER_GONE = "existed", "erased_before", "owner_gone"
CAP, REJECTED = "cap", "rejected"
REASONS = {
    THEMSELVES: N_("Nobody can refer themselves."),
    CYCLE: N_("The one who shared the link came through this very friend."),
    SAME_INBOX: N_("Both addresses lead to one inbox."),
    EXISTED: N_("The friend was a customer before."),
    ERASED_BEFORE: N_("The friend was a customer before, and had their data erased."),
    OWNER_GONE: N_("One of the two is no customer any more."),
    CAP: N_("The one who shared the link had reached the limit."),
    REJECTED: N_("It was looked at and refused."),
}

WEEK, SAME_MINUTES = timedelta(days=7), timedelta(minutes=10)
# Networks change hands: what came from one longer ago says nothing of a household.
REMEMBERED = timedelta(days=90)
# Chains of friends who brought friends are followed so far back.
LONGEST_CHAIN = 50


@dataclass(frozen=True, kw_only=True)
class Invite:
    """The code that a newcomer brings, and what is known of their way: a keyed hash of the network, never an address.

    `address_tag` is the keyed hash under which an erased address is remembered. `own_browser`: the link was opened
    where the one who shared it is logged in.
    """

    code: str
    address_tag: Callable[[str], str]
    network_tag: str | None = None
    device: str | None = None
    own_browser: bool = False


def start_referral(conn: Connection, program: Program, friend_id: str, invite: Invite) -> str | None:
    """Write down who brought a new customer; returns the referral's id.

    None where the programme has none, the code is nobody's, or the customer's own way is written down already.
    """
    rules = program.settings.referral
    if not rules.active:
        return None
    advocate_id = advocate_of(conn, program.id, invite.code)
    if advocate_id is None:
        return None
    around = _surroundings(conn, program.id, advocate_id, invite)
    friend, advocate = person_of(conn, program.id, friend_id), person_of(conn, program.id, advocate_id)
    blocked_by = _blocked_by(conn, program.id, advocate_id, friend_id, advocate, friend, invite)
    signals = of_joining(advocate, friend, around, rules.busy_network)
    now = utc_now()
    row: dict[str, Any] = {
        "program_id": program.id,
        "id": new_id(),
        "advocate_id": advocate_id,
        "friend_id": friend_id,
        "state": BLOCKED if blocked_by else JOINED,
        "blocked_by": blocked_by,
        "signals": signals,
        "action": rules.action,
        "min_amount": rules.min_amount,
        "advocate_points": rules.advocate_points,
        "friend_points": rules.friend_points,
        "hold_days": rules.hold_days,
        "network_tag": invite.network_tag,
        "device": invite.device,
        "created_at": now,
        "updated_at": now,
    }
    if not conn.execute(insert_or_skip(conn, referral).values(row)).rowcount:
        return None
    referral_id = str(row["id"])
    if blocked_by:
        tell_blocked(conn, program.id, referral_id, advocate_id, friend_id, [blocked_by])
    else:
        _tell_started(conn, program.id, referral_id, advocate_id, friend_id)
    return referral_id


def tell_blocked(
    conn: Connection, program_id: str, referral_id: str, advocate_id: str, friend_id: str, why: list[str]
) -> None:
    for role, own, other in (("advocate", advocate_id, friend_id), ("friend", friend_id, advocate_id)):
        told = {"role": role, "referralId": referral_id, "otherCustomerId": other, "signals": why}
        record(conn, program_id, REFERRAL_BLOCKED, own, told)


def _tell_started(
    conn: Connection, program_id: str, referral_id: str, advocate_id: str, friend_id: str
) -> None:
    for role, own, other in (("advocate", advocate_id, friend_id), ("friend", friend_id, advocate_id)):
        told = {"role": role, "referralId": referral_id, "otherCustomerId": other}
        record(conn, program_id, REFERRAL_STARTED, own, told)


def _blocked_by(
    conn: Connection,
    program_id: str,
    advocate_id: str,
    friend_id: str,
    advocate: Person,
    friend: Person,
    invite: Invite,
) -> str | None:
    """The first hard rule that this referral breaks."""
    if advocate_id == friend_id:
        return THEMSELVES
    if came_through(conn, program_id, advocate_id, friend_id):
        return CYCLE
    if are_one_inbox(advocate.email_key, friend.email_key):
        return SAME_INBOX
    if _existed(conn, program_id, friend_id, friend):
        return EXISTED
    addresses = [address for address in (friend.email_key, friend.phone) if address]
    if is_suppressed(conn, program_id, [invite.address_tag(address) for address in addresses]):
        return ERASED_BEFORE
    return None


def came_through(conn: Connection, program_id: str, advocate_id: str, friend_id: str) -> bool:
    """Whether the advocate was brought by the friend, or by somebody whom the friend brought, and so on."""
    child: str | None = advocate_id
    for _ in range(LONGEST_CHAIN):
        child = conn.scalar(
            select(referral.c.advocate_id).where(
                referral.c.program_id == program_id,
                referral.c.friend_id == child,
                referral.c.state != BLOCKED,
            )
        )
        if child is None or child == friend_id:
            break
    return child is not None


def _existed(conn: Connection, program_id: str, friend_id: str, friend: Person) -> bool:
    """Whether the friend has been here: with points booked, or under another spelling of the same inbox."""
    if (held := find_balance(conn, program_id, friend_id)) and held.number:
        return True
    if friend.email_key is None:
        return False
    others = conn.scalars(
        select(customer.c.email_key).where(
            customer.c.program_id == program_id,
            customer.c.inbox_key == inbox_key(friend.email_key),
            customer.c.id != friend_id,
        )
    )
    return any(are_one_inbox(friend.email_key, other) for other in others)


def person_of(conn: Connection, program_id: str, customer_id: str) -> Person:
    """What is known of a customer, nothing of one who is gone."""
    row = conn.execute(
        select(customer.c.email_key, customer.c.phone, customer.c.name).where(
            customer.c.program_id == program_id, customer.c.id == customer_id
        )
    ).one_or_none()
    return Person(**row._mapping) if row else Person()


def _surroundings(conn: Connection, program_id: str, advocate_id: str, invite: Invite) -> Surroundings:
    if invite.network_tag is None:
        return Surroundings(own_browser=invite.own_browser)
    its, now = referral.c, utc_now()
    theirs = or_(its.advocate_id == advocate_id, its.friend_id == advocate_id)
    row = conn.execute(
        select(
            func.count().filter(its.created_at > now - WEEK),
            func.count().filter(theirs),
            func.count().filter(theirs, its.device == invite.device, its.created_at > now - SAME_MINUTES),
        ).where(
            its.program_id == program_id,
            its.network_tag == invite.network_tag,
            its.created_at > now - REMEMBERED,
        )
    ).one()
    return Surroundings(
        own_browser=invite.own_browser,
        week=int(row[0]) + 1,
        shares_network=row[1] > 0,
        within_minutes=row[2] > 0,
    )
