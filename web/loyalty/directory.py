"""The directory of customers, as other systems see it: found by any of their names, listed, written."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Select, and_, bindparam, cast, func, insert, or_, select, update
from sqlalchemy.engine import Connection

from web.foundation.address import Email, Phone, inbox_key
from web.foundation.schema import is_id, new_id, utc_now
from web.foundation.short_code import new_code
from web.loyalty.address_change import cancel_change
from web.loyalty.balance import balance
from web.loyalty.customer import CARD_NUMBER_LENGTH, confirm_address, customer
from web.loyalty.event import ADDRESS_CHANGED, CUSTOMER_CREATED, record
from web.loyalty.ledger import Amount
from web.loyalty.link import revoke_links
from web.loyalty.membership import membership
from web.loyalty.personal_data import is_suppressed
from web.loyalty.program import Program
from web.loyalty.program_settings import Localised
from web.loyalty.referral import REWARDED, referral
from web.loyalty.referral_code import referral_code as codes
from web.loyalty.session import end_sessions
from web.loyalty.tier import tier
from web.loyalty.touch import touch
from web.loyalty.wallet_pass import Platform, card_changed, wallet_pass
from web.loyalty.wallet_status import (
    HAS_STATUS,
    ON_APPLE,
    ON_GOOGLE,
    WALLET_STATUS,
    WalletStatus,
    platforms,
)


class Entrant(msgspec.Struct, frozen=True, kw_only=True):
    """A customer in the directory. Amounts are minor units; `first_…` tell of the way they first came."""

    id: str
    email: str | None
    phone: str | None
    name: str | None
    last_name: str | None
    locale: str
    birthday: str | None
    extra: dict[str, str]
    notifications: dict[str, bool] | None
    external_id: str | None
    card_number: str
    email_verified_at: datetime | None
    phone_verified_at: datetime | None
    origin: str
    created_at: datetime
    updated_at: datetime
    available: int
    pending: int
    reserved: int
    lifetime_earned: int
    tier_name: Localised | None
    tier_points: int
    loyalty_customer_id: str | None
    member_since: datetime | None
    tier_status: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    referred_by: str | None
    referral_code: str | None
    referral_earned: int
    wallet_status: WalletStatus
    on_apple: bool
    on_google: bool

    @property
    def wallet_platforms(self) -> list[Platform]:
        return platforms(self.on_apple, self.on_google)

    @property
    def names(self) -> tuple[str | None, str | None]:
        """First and last name: as they were told, else split after the first word."""
        name, last = (self.name or "").strip(), self.last_name
        if last and (name == last or name.endswith(f" {last}")):
            return name[: -len(last)].strip() or None, last
        first, _, rest = name.partition(" ")
        return first or None, rest.strip() or None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What another system says of a customer; UNSET says nothing, None takes away.

    A verified address was proven elsewhere, to a system that the merchant trusts.
    """

    email: Email | msgspec.UnsetType = msgspec.UNSET
    phone: Phone | msgspec.UnsetType | None = msgspec.UNSET
    first_name: str | msgspec.UnsetType | None = msgspec.UNSET
    last_name: str | msgspec.UnsetType | None = msgspec.UNSET
    name: str | msgspec.UnsetType | None = msgspec.UNSET
    external_id: str | msgspec.UnsetType | None = msgspec.UNSET
    locale: str | msgspec.UnsetType = msgspec.UNSET
    birthday: str | msgspec.UnsetType | None = msgspec.UNSET
    email_verified: bool | msgspec.UnsetType = msgspec.UNSET


class Taken(Exception):
    """Another customer has this; `field` says what: "email", "phone" or "externalCustomerId"."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class Erased(Exception):
    """The owner of this address had themselves erased; only they may come back, by registering."""


# The code by which somebody came, their own, and what bringing friends gave them.
_codes = codes.alias("codes_of_advocates")
CODE_THAT_BROUGHT = (
    select(_codes.c.code)
    .join(
        referral,
        and_(referral.c.program_id == _codes.c.program_id, referral.c.advocate_id == _codes.c.customer_id),
    )
    .where(referral.c.program_id == customer.c.program_id, referral.c.friend_id == customer.c.id)
    .correlate(customer)
    .scalar_subquery()
)
OWN_CODE = (
    select(codes.c.code)
    .where(codes.c.program_id == customer.c.program_id, codes.c.customer_id == customer.c.id)
    .correlate(customer)
    .scalar_subquery()
)
EARNED = (
    select(cast(func.sum(referral.c.advocate_points), Amount))
    .where(
        referral.c.program_id == customer.c.program_id,
        referral.c.advocate_id == customer.c.id,
        referral.c.state == REWARDED,
    )
    .correlate(customer)
    .scalar_subquery()
)
_ENTRANT = (
    select(
        *(
            customer.c[name]
            for name in Entrant.__struct_fields__[: Entrant.__struct_fields__.index("available")]
        ),
        *(
            func.coalesce(balance.c[name], 0).label(name)
            for name in ("available", "pending", "reserved", "lifetime_earned")
        ),
        tier.c.name.label("tier_name"),
        func.coalesce(balance.c.tier_points, 0).label("tier_points"),
        membership.c.loyalty_customer_id,
        membership.c.member_since,
        membership.c.tier_status,
        touch.c.source.label("utm_source"),
        touch.c.medium.label("utm_medium"),
        touch.c.campaign.label("utm_campaign"),
        CODE_THAT_BROUGHT.label("referred_by"),
        OWN_CODE.label("referral_code"),
        # PostgreSQL makes a decimal of a sum of whole numbers.
        cast(func.coalesce(EARNED, 0), Amount).label("referral_earned"),
        WALLET_STATUS.label("wallet_status"),
        ON_APPLE.label("on_apple"),
        ON_GOOGLE.label("on_google"),
    )
    .join_from(
        customer,
        balance,
        and_(balance.c.program_id == customer.c.program_id, balance.c.customer_id == customer.c.id),
        isouter=True,
    )
    .join(tier, and_(tier.c.program_id == balance.c.program_id, tier.c.id == balance.c.tier_id), isouter=True)
    .join(
        membership,
        and_(membership.c.program_id == customer.c.program_id, membership.c.customer_id == customer.c.id),
        isouter=True,
    )
    .join(
        touch,
        and_(touch.c.program_id == customer.c.program_id, touch.c.id == customer.c.first_touch_id),
        isouter=True,
    )
    .where(customer.c.program_id == bindparam("program"))
)
_ONE = _ENTRANT.where(customer.c.id == bindparam("customer"))


def find_entrant(conn: Connection, program_id: str, customer_id: str) -> Entrant | None:
    row = conn.execute(_ONE, {"program": program_id, "customer": customer_id}).one_or_none()
    return None if row is None else Entrant(**row._mapping)


def find_customer(conn: Connection, program_id: str, name: str) -> str | None:
    """The customer whom `name` names: our id, their e-mail address in any case, or their id in another system."""
    whoever = select(customer.c.id).where(customer.c.program_id == program_id)
    if is_id(name.lower()):
        by_id: str | None = conn.scalar(whoever.where(customer.c.id == name.lower()))
        if by_id is not None:
            return by_id
    if "@" in name:
        by_email: str | None = conn.scalar(whoever.where(customer.c.email_key == name.lower()))
        if by_email is not None:
            return by_email
    by_other: str | None = conn.scalar(whoever.where(customer.c.external_id == name))
    return by_other


def list_entrants(
    conn: Connection,
    program_id: str,
    *,
    most: int,
    after: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    external_id: str | None = None,
    updated_since: datetime | None = None,
    wallet_status: WalletStatus | None = None,
) -> list[Entrant]:
    """Customers in the order in which they came, beginning after the id `after`; filters narrow it."""
    query: Select[Any] = _ENTRANT.order_by(customer.c.id).limit(most)
    if after is not None:
        query = query.where(customer.c.id > after)
    if email is not None:
        query = query.where(customer.c.email_key == email.lower())
    if phone is not None:
        query = query.where(customer.c.phone == phone)
    if external_id is not None:
        query = query.where(customer.c.external_id == external_id)
    if updated_since is not None:
        query = query.where(
            or_(customer.c.updated_at >= updated_since, balance.c.updated_at >= updated_since)
        )
    if wallet_status is not None:
        query = query.where(HAS_STATUS[wallet_status])
    return [Entrant(**row._mapping) for row in conn.execute(query, {"program": program_id})]


def add_customer(
    conn: Connection,
    program: Program,
    email: Email,
    told: Changes,
    suppression_tag: str,
    referral_code: str | None = None,
) -> str:
    """A customer whom another system knows; returns the id. Nothing is sent to them.

    Raises: Taken, Erased.
    """
    if is_suppressed(conn, program.id, [suppression_tag]):
        raise Erased
    customer_id, now = new_id(), utc_now()
    values = {
        "program_id": program.id,
        "id": customer_id,
        "email": email.value,
        "email_key": email.key,
        "locale": program.settings.default_language,
        "extra": {},
        "card_number": new_code(CARD_NUMBER_LENGTH),
        # Proven elsewhere and long ago: nothing that happens now, unless somebody waits for it.
        "email_verified_at": now if told.email_verified is True and not referral_code else None,
        "origin": "api",
        "created_at": now,
        "updated_at": now,
        **_values(told),
    }
    _require_free(conn, program.id, customer_id, values)
    conn.execute(insert(customer).values(**values))
    told_of: dict[str, Any] = {"origin": "api", "consents": [], "utm": {}}
    if referral_code:
        told_of["referralCode"] = referral_code
    record(conn, program.id, CUSTOMER_CREATED, customer_id, told_of)
    if told.email_verified is True and referral_code:
        confirm_address(conn, program.id, customer_id, "email")
    return customer_id


def change_customer(conn: Connection, program: Program, customer_id: str, told: Changes) -> None:
    """Write what another system says. A new e-mail address ends every link and session of the old one.

    Raises: Taken.
    """
    now = conn.execute(
        select(customer.c.email_key, customer.c.phone, customer.c.name, customer.c.last_name)
        .where(customer.c.program_id == program.id, customer.c.id == customer_id)
        .with_for_update()
    ).one()
    values = _values(told)
    _require_free(conn, program.id, customer_id, values)
    moves_email = "email_key" in values and values["email_key"] != now.email_key
    if moves_email:
        values["email_verified_at"] = None
    if "phone" in values and values["phone"] != now.phone:
        values["phone_verified_at"] = None
        if values["phone"] is None and now.email_key is None:
            del values["phone"]  # the only way to reach them
    if told.email_verified is False:
        values["email_verified_at"] = None
    conn.execute(
        update(customer)
        .where(customer.c.program_id == program.id, customer.c.id == customer_id)
        .values(**values, updated_at=utc_now())
    )
    card_changed(conn, program.id, customer_id)
    if moves_email:
        cancel_change(conn, program.id, customer_id)
        revoke_links(conn, program.id, customer_id)
        end_sessions(conn, program.id, customer_id)
        record(conn, program.id, ADDRESS_CHANGED, customer_id, {"channel": "email"})
    if told.email_verified is True:
        confirm_address(conn, program.id, customer_id, "email")


def _values(told: Changes) -> dict[str, Any]:
    """The columns that change. A last name is kept beside the whole name only where it was told apart."""
    values: dict[str, Any] = {
        name: value
        for name in ("locale", "birthday", "external_id", "name")
        if (value := getattr(told, name)) is not msgspec.UNSET
    }
    if told.first_name is not msgspec.UNSET or told.last_name is not msgspec.UNSET:
        first, last = told.first_name or "", told.last_name or ""
        values["name"] = f"{first} {last}".strip()[:80] or None
        values["last_name"] = last or None
    elif told.name is not msgspec.UNSET:
        values["last_name"] = None
    if isinstance(told.email, Email):
        values |= {
            "email": told.email.value,
            "email_key": told.email.key,
            "inbox_key": inbox_key(told.email.key),
        }
    if told.phone is not msgspec.UNSET:
        values["phone"] = told.phone.e164 if told.phone else None
    return values


_FIELDS = {"email_key": "email", "phone": "phone", "external_id": "externalCustomerId"}


def _require_free(conn: Connection, program_id: str, customer_id: str, values: dict[str, Any]) -> None:
    """Raises: Taken. The table's unique rules stand behind it, for two who come at the same moment."""
    for column, field in _FIELDS.items():
        value = values.get(column)
        if value is None:
            continue
        others = select(customer.c.id).where(
            customer.c.program_id == program_id, customer.c.id != customer_id
        )
        if conn.scalar(others.where(customer.c[column] == value)) is not None:
            raise Taken(field)
    external_id = values.get("external_id")
    if external_id and is_id(external_id.lower()):
        # Customers and passes are named by either id: one name may not mean two of them (feature A56).
        for table in (customer, wallet_pass):
            named = select(table.c.id).where(
                table.c.program_id == program_id, table.c.id == external_id.lower()
            )
            if conn.scalar(named) is not None:
                raise Taken("externalCustomerId")
