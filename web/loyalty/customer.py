"""A customer: a person in one programme, and how they register."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import CheckConstraint, Column, Index, String, Table, bindparam, select, update
from sqlalchemy.engine import Connection

from web.foundation.address import Email, Phone, inbox_key
from web.foundation.document import object_of
from web.foundation.schema import Id, Json, Moment, insert_or_skip, metadata, new_id, utc_now
from web.foundation.short_code import new_code
from web.loyalty import consent, event
from web.loyalty.consent import Decision, decision_rows
from web.loyalty.event import ACCOUNT_VERIFIED, CUSTOMER_CREATED, event_row, record
from web.loyalty.visit import grant_many
from web.loyalty.wallet_pass import Platform, card_changed, issue_passes, pass_row

CARD_NUMBER_LENGTH = 12


def _inbox_of(context: Any) -> str | None:
    email_key = context.get_current_parameters().get("email_key")
    return inbox_key(email_key) if email_key else None


customer = Table(
    "customer",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("email", String(254)),
    # Lower case: one mailbox is one customer, however it is spelt.
    Column("email_key", String(254)),
    # One key for all spellings of one inbox. Nobody is recognised by it; it tells who is no new friend (referrals).
    Column("inbox_key", String(254), default=_inbox_of),
    Column("phone", String(20)),
    Column("name", String(80)),
    # The end of `name` that is the last name, where somebody said so.
    Column("last_name", String(80)),
    Column("locale", String(16), nullable=False),
    # YYYY-MM-DD, or --MM-DD for those who keep the year to themselves.
    Column("birthday", String(10)),
    Column("extra", Json, nullable=False),
    # Which messages they want; what is not there is wanted.
    Column("notifications", Json),
    Column("external_id", String(120)),
    Column("card_number", String(16), nullable=False),
    Column("email_verified_at", Moment),
    Column("phone_verified_at", Moment),
    Column("origin", String(16), nullable=False),
    # The visit in which they registered: one visit makes one customer, however often its form arrives.
    Column("visit_id", Id),
    Column("first_touch_id", Id),
    Column("last_touch_id", Id),
    # The customer that this one turned out to be; everything they had went there.
    Column("merged_into", Id),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint(
        "email_key is not null or phone is not null or merged_into is not null", name="reachable_somehow"
    ),
)
for _unique in ("email_key", "phone", "external_id", "visit_id", "card_number"):
    Index(f"uq_customer_{_unique}", customer.c.program_id, customer.c[_unique], unique=True)
Index("ix_customer_inbox_key", customer.c.program_id, customer.c.inbox_key)
Index(
    "ix_customer_birthday",
    customer.c.program_id,
    customer.c.birthday,
    sqlite_where=customer.c.birthday.is_not(None),
    postgresql_where=customer.c.birthday.is_not(None),
)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """What a person gave to become a customer: one address at least, everything else as the programme asks."""

    program_id: str
    visit_id: str
    email: Email | None = None
    phone: Phone | None = None
    name: str | None = None
    locale: str
    birthday: str | None = None
    extra: dict[str, str] = {}
    consents: list[Decision] = []
    platform: Platform | None = None
    first_touch_id: str | None = None
    last_touch_id: str | None = None
    origin: str = "web"
    referral_code: str | None = None


class Registered(msgspec.Struct, frozen=True):
    """The card is there: made now, or a moment ago by the same visit's other tap."""

    customer_id: str


class AlreadyKnown(msgspec.Struct, frozen=True):
    """The address has a card. Nothing about it may be shown here; a link goes to the owner (ruling 5)."""

    customer_id: str


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """How a customer is reached, and in which language."""

    id: str
    email: str | None
    phone: str | None
    name: str | None
    locale: str
    card_number: str
    email_verified_at: datetime | None
    phone_verified_at: datetime | None


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """What a customer told of themselves and may change alone."""

    name: str | None
    birthday: str | None
    extra: dict[str, str]
    locale: str


_CONTACT = tuple(customer.c[name] for name in Contact.__struct_fields__)
# For a page that shows more of the same customer.
CONTACT_OF_CUSTOMER = object_of(_CONTACT)
# Made once: SQLAlchemy remembers with a statement how it is compiled.
_FIND_CONTACT = select(*_CONTACT).where(
    customer.c.program_id == bindparam("program"), customer.c.id == bindparam("customer")
)


def register(conn: Connection, new: Registration) -> Registered | AlreadyKnown:
    """Make a customer with consents, pass, event and grant, in one transaction and exactly once."""
    return register_many(conn, [new])[0]


def register_many(conn: Connection, newcomers: list[Registration]) -> list[Registered | AlreadyKnown]:
    """Like `register`, for many at once with as many statements as for one.

    The unique rules of the table decide, so that fifty taps at the same moment make one customer.
    """
    if not newcomers:
        return []
    rows = [_row(new) for new in newcomers]
    # Two transactions that wait for each other's addresses must meet them in the same order.
    in_order = sorted(rows, key=lambda row: (row["email_key"] or "", row["phone"] or ""))
    made = set(conn.scalars(insert_or_skip(conn, customer).returning(customer.c.id), in_order))
    fresh = [(new, row["id"]) for new, row in zip(newcomers, rows, strict=True) if row["id"] in made]
    _add_what_belongs(conn, fresh)
    return [
        Registered(row["id"]) if row["id"] in made else _met_before(conn, new)
        for new, row in zip(newcomers, rows, strict=True)
    ]


def _row(new: Registration) -> dict[str, Any]:
    now = utc_now()
    return {
        "program_id": new.program_id,
        "id": new_id(),
        "email": new.email.value if new.email else None,
        "email_key": new.email.key if new.email else None,
        "phone": new.phone.e164 if new.phone else None,
        "name": new.name,
        "locale": new.locale,
        "birthday": new.birthday,
        "extra": new.extra,
        "card_number": new_code(CARD_NUMBER_LENGTH),
        "origin": new.origin,
        "visit_id": new.visit_id,
        "first_touch_id": new.first_touch_id,
        "last_touch_id": new.last_touch_id,
        "created_at": now,
        "updated_at": now,
    }


def _add_what_belongs(conn: Connection, fresh: list[tuple[Registration, str]]) -> None:
    """The consents, pass, event and grant of each new customer."""
    decisions = [
        row
        for new, customer_id in fresh
        for row in decision_rows(new.program_id, customer_id, new.consents, locale=new.locale)
    ]
    if decisions:
        conn.execute(consent.INSERT, decisions)
    issue_passes(
        conn,
        [
            pass_row(new.program_id, customer_id, new.platform, new.last_touch_id)
            for new, customer_id in fresh
            if new.platform is not None
        ],
    )
    if fresh:
        conn.execute(event.INSERT, [_created(new, customer_id) for new, customer_id in fresh])
    grant_many(conn, [(new.program_id, new.visit_id, customer_id) for new, customer_id in fresh])


def _created(new: Registration, customer_id: str) -> dict[str, Any]:
    properties = {
        "origin": new.origin,
        "consents": [decision.purpose for decision in new.consents if decision.granted],
        **({"referralCode": new.referral_code} if new.referral_code else {}),
    }
    return event_row(new.program_id, CUSTOMER_CREATED, customer_id, properties)


def find_by_address(
    conn: Connection, program_id: str, email: Email | None, phone: Phone | None
) -> str | None:
    """The customer who owns an address; where two are given, the e-mail address counts before the phone."""
    for rule in (
        customer.c.email_key == email.key if email else None,
        customer.c.phone == phone.e164 if phone else None,
    ):
        if rule is None:
            continue
        found: str | None = conn.scalar(
            select(customer.c.id).where(customer.c.program_id == program_id, rule)
        )
        if found is not None:
            return found
    return None


def find_contact(conn: Connection, program_id: str, customer_id: str) -> Contact | None:
    row = conn.execute(_FIND_CONTACT, {"program": program_id, "customer": customer_id}).one_or_none()
    return None if row is None else Contact(**row._mapping)


def find_details(conn: Connection, program_id: str, customer_id: str) -> Details:
    """What a customer told of themselves."""
    row = conn.execute(
        select(customer.c.name, customer.c.birthday, customer.c.extra, customer.c.locale).where(
            customer.c.program_id == program_id, customer.c.id == customer_id
        )
    ).one()
    return Details(**row._mapping)


def change_details(conn: Connection, program_id: str, customer_id: str, details: Details) -> None:
    """Keep what a customer changed; the card shows it from now on."""
    conn.execute(
        update(customer)
        .where(customer.c.program_id == program_id, customer.c.id == customer_id)
        .values(**msgspec.structs.asdict(details), updated_at=utc_now())
    )
    card_changed(conn, program_id, customer_id)


def message_lane(customer_id: str) -> str:
    """Where a customer's messages leave one after the other."""
    return f"message:{customer_id}"


def confirm_address(conn: Connection, program_id: str, customer_id: str, channel: str) -> bool:
    """Mark the e-mail address or phone as proven; False if it was already. The event is recorded once."""
    column = customer.c.email_verified_at if channel == "email" else customer.c.phone_verified_at
    changed = conn.execute(
        update(customer)
        .where(customer.c.program_id == program_id, customer.c.id == customer_id, column.is_(None))
        .values({column.name: utc_now(), "updated_at": utc_now()})
    ).rowcount
    if changed:
        record(conn, program_id, ACCOUNT_VERIFIED, customer_id, {"channel": channel, "method": "link"})
    return bool(changed)


def _met_before(conn: Connection, new: Registration) -> Registered | AlreadyKnown:
    same_visit = conn.scalar(
        select(customer.c.id).where(
            customer.c.program_id == new.program_id, customer.c.visit_id == new.visit_id
        )
    )
    if same_visit is not None:
        return Registered(same_visit)
    known = find_by_address(conn, new.program_id, new.email, new.phone)
    if known is None:
        # Only the random card number is left to have collided: 55 bits, so once in a programme's lifetime at most.
        return register(conn, new)
    return AlreadyKnown(known)
