"""Who has the card in a wallet, who had it, who asked for it, and whom a merchant may remind.

Only loyalty cards count: whoever keeps a coupon in their wallet has not got the card yet. A link's page may be opened
by a scanner, so that "asked" means a tap on the button, or a card that a browser fetched.
"""

from datetime import timedelta
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, or_, select
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty.consent import consent_event
from web.loyalty.customer import customer
from web.loyalty.link import one_time_link
from web.loyalty.wallet_pass import Platform, wallet_pass

WalletStatus = Literal["never", "requested", "installed", "uninstalled"]
# Everybody to remind; of them those who never had it, had it once, and asked a day ago or earlier; and who has it.
Segment = Literal["not_installed", "never_installed", "uninstalled", "requested_not_installed", "installed"]

# The consent that speaks of messages about the card itself.
CARD_MESSAGES = "card_messages"
# Who asked may still be on the way home to their phone.
PATIENCE = timedelta(hours=24)
AT_ONCE = 1000


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A customer, as a list of those to remind needs them."""

    id: str
    email: str | None
    phone: str | None
    name: str | None
    locale: str
    external_id: str | None
    wallet_status: WalletStatus
    on_apple: bool
    on_google: bool

    @property
    def wallet_platforms(self) -> list[Platform]:
        return platforms(self.on_apple, self.on_google)


def platforms(on_apple: bool, on_google: bool) -> list[Platform]:
    held: tuple[tuple[Platform, bool], ...] = (("apple", on_apple), ("google", on_google))
    return [name for name, there in held if there]


def _has_pass(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        wallet_pass.c.program_id == customer.c.program_id,
        wallet_pass.c.customer_id == customer.c.id,
        wallet_pass.c.kind == "loyalty",
        *where,
    )


def _has_used_link(*where: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        one_time_link.c.program_id == customer.c.program_id,
        one_time_link.c.customer_id == customer.c.id,
        one_time_link.c.purpose.in_(("download", "handoff")),
        one_time_link.c.used_at.is_not(None),
        *where,
    )


def _has_withdrawn(*channels: str) -> ColumnElement[bool]:
    last = (
        select(consent_event.c.decision)
        .where(
            consent_event.c.program_id == customer.c.program_id,
            consent_event.c.customer_id == customer.c.id,
            consent_event.c.purpose == CARD_MESSAGES,
            consent_event.c.channel.in_(channels),
        )
        .order_by(consent_event.c.id.desc())
        .limit(1)
        .correlate(customer)
        .scalar_subquery()
    )
    return func.coalesce(last, "") == "withdrawn"


ON_APPLE = _has_pass(wallet_pass.c.platform == "apple", wallet_pass.c.status == "installed")
ON_GOOGLE = _has_pass(wallet_pass.c.platform == "google", wallet_pass.c.status == "installed")
IS_INSTALLED = _has_pass(wallet_pass.c.status == "installed")
WAS_INSTALLED = _has_pass(wallet_pass.c.installed_at.is_not(None))
_HAS_ASKED = or_(_has_pass(wallet_pass.c.handed_version.is_not(None)), _has_used_link())
WALLET_STATUS = case(
    (IS_INSTALLED, "installed"), (WAS_INSTALLED, "uninstalled"), (_HAS_ASKED, "requested"), else_="never"
)
# The same, a condition each: a filter need not work out what it does not ask for.
HAS_STATUS: dict[WalletStatus, ColumnElement[bool]] = {
    "installed": IS_INSTALLED,
    "uninstalled": and_(~IS_INSTALLED, WAS_INSTALLED),
    "requested": and_(~WAS_INSTALLED, _HAS_ASKED),
    "never": and_(~WAS_INSTALLED, ~_HAS_ASKED),
}

_MAY_BE_WRITTEN_TO = or_(
    and_(customer.c.email_key.is_not(None), ~_has_withdrawn("email", "any")),
    and_(customer.c.phone.is_not(None), ~_has_withdrawn("sms", "any")),
)
# Whoever was erased has no row, and whoever was merged into another is that other.
NOT_INSTALLED = and_(customer.c.merged_into.is_(None), _MAY_BE_WRITTEN_TO, ~IS_INSTALLED)
NEVER_INSTALLED = and_(NOT_INSTALLED, ~WAS_INSTALLED)
UNINSTALLED = and_(NOT_INSTALLED, WAS_INSTALLED)
REQUESTED_NOT_INSTALLED = and_(
    NEVER_INSTALLED,
    _HAS_ASKED,
    ~_has_used_link(one_time_link.c.used_at > bindparam("patient_since")),
    ~_has_pass(wallet_pass.c.created_at > bindparam("patient_since")),
)
_SEGMENTS: dict[Segment, ColumnElement[bool]] = {
    "not_installed": NOT_INSTALLED,
    "never_installed": NEVER_INSTALLED,
    "uninstalled": UNINSTALLED,
    "requested_not_installed": REQUESTED_NOT_INSTALLED,
    "installed": and_(customer.c.merged_into.is_(None), IS_INSTALLED),
}
_COLUMNS = (
    *(customer.c[name] for name in ("id", "email", "phone", "name", "locale", "external_id")),
    WALLET_STATUS.label("wallet_status"),
    ON_APPLE.label("on_apple"),
    ON_GOOGLE.label("on_google"),
)
_LISTS = {
    segment: select(*_COLUMNS)
    .where(
        customer.c.program_id == bindparam("program"),
        customer.c.id > bindparam("after", type_=customer.c.id.type),
        condition,
    )
    .order_by(customer.c.id)
    .limit(bindparam("most"))
    for segment, condition in _SEGMENTS.items()
}
_BEFORE_ALL = "00000000-0000-0000-0000-000000000000"


def list_segment(
    conn: Connection, program_id: str, segment: Segment, *, after: str | None = None, most: int = AT_ONCE
) -> list[Holder]:
    """At most `most` of a segment in the order in which they came, beginning after the id `after`."""
    rows = conn.execute(
        _LISTS[segment],
        {
            "program": program_id,
            "after": after or _BEFORE_ALL,
            "most": most,
            **({"patient_since": utc_now() - PATIENCE} if segment == "requested_not_installed" else {}),
        },
    )
    return [
        Holder(**{**row._mapping, "on_apple": bool(row.on_apple), "on_google": bool(row.on_google)})
        for row in rows
    ]
