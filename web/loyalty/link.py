"""One-time links: each a signed token backed by a row, and used up by one conditional update.

Looking at a link changes nothing; a person's tap uses it (ruling 1). The row holds the SHA-256 of the token's
`jti`, never the token.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation import tokens
from web.foundation.address import address_hash, inbox_hash
from web.foundation.schema import Id, Json, Moment, insert_or_skip, metadata, utc_now
from web.foundation.sealing import digest
from web.loyalty.program import Program

Purpose = Literal["download", "verify", "handoff", "auth", "change"]

LIFETIMES: dict[str, timedelta] = {
    "download": timedelta(days=7),
    "verify": timedelta(days=14),
    "handoff": timedelta(minutes=10),
    "auth": timedelta(days=7),
    "change": timedelta(days=1),
}
# Nobody's inbox can be flooded, whoever asks (security.md 14).
MOST_LINK_MESSAGES_AN_HOUR = 3
MOST_LINK_MESSAGES_A_DAY = 10

one_time_link = Table(
    "one_time_link",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("jti_hash", String(64), primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("purpose", String(8), nullable=False),
    # Where it was sent, hashed: the address, which a verify link proves and no other, and the inbox, for counting.
    Column("address_hash", String(64)),
    Column("inbox_hash", String(64)),
    Column("uses", Integer, nullable=False),
    Column("most_uses", Integer),
    Column("utm", Json, nullable=False),
    Column("created_by", String(40), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("used_at", Moment),
    Column("revoked_at", Moment),
    CheckConstraint(
        "purpose in ('download', 'verify', 'handoff', 'auth', 'change')", name="purpose_is_known"
    ),
    CheckConstraint("most_uses is null or uses <= most_uses", name="used_no_more_than_allowed"),
    # Codes are random: the row lies in the key's own tree, so that using one touches one page of many.
    sqlite_with_rowid=False,
)
Index(
    "ix_one_time_link_customer",
    one_time_link.c.program_id,
    one_time_link.c.customer_id,
    one_time_link.c.purpose,
    one_time_link.c.created_at,
)
Index(
    "ix_one_time_link_inbox",
    one_time_link.c.program_id,
    one_time_link.c.inbox_hash,
    one_time_link.c.created_at,
)
Index("ix_one_time_link_expires_at", one_time_link.c.expires_at)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link as it stands. `is_good` is what a page may show; only `use_link` decides."""

    jti_hash: str
    customer_id: str
    purpose: Purpose
    address_hash: str | None
    uses: int
    most_uses: int | None
    utm: dict[str, Any]
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        return (
            self.revoked_at is None
            and self.expires_at > now
            and (self.most_uses is None or self.uses < self.most_uses)
        )


_COLUMNS = tuple(one_time_link.c[name] for name in Link.__struct_fields__)


def make_link(
    conn: Connection,
    program: Program,
    customer_id: str,
    purpose: Purpose,
    *,
    jti: str,
    created_by: str,
    sent_to: str | None = None,
    lifetime: timedelta | None = None,
    most_uses: int | None = 1,
    utm: dict[str, Any] | None = None,
) -> str:
    """A link's token. With the same `jti` it is the same link, so a repeated delivery sends no second one."""
    now = utc_now()
    lifetime = lifetime or LIFETIMES[purpose]
    conn.execute(
        insert_or_skip(conn, one_time_link),
        {
            "program_id": program.id,
            "jti_hash": digest(jti),
            "customer_id": customer_id,
            "purpose": purpose,
            "address_hash": address_hash(sent_to) if sent_to else None,
            "inbox_hash": inbox_hash(sent_to) if sent_to else None,
            "uses": 0,
            "most_uses": most_uses,
            "utm": utm or {},
            "created_by": created_by,
            "created_at": now,
            "expires_at": now + lifetime,
        },
    )
    return tokens.mint(
        program.signing_key,
        kind=purpose,
        audience=program.id,
        subject=customer_id,
        jti=jti,
        lifetime=lifetime,
        now=now,
    )


_own = one_time_link.alias("own")
# Made once: SQLAlchemy remembers with a statement how it is compiled.
_NAMED = (
    one_time_link.c.program_id == bindparam("its_program"),
    one_time_link.c.jti_hash == bindparam("its_jti"),
    one_time_link.c.purpose == bindparam("its_purpose"),
)
_FIND = select(*_COLUMNS).where(*_NAMED)
_USE = (
    update(one_time_link)
    .where(
        *_NAMED,
        one_time_link.c.revoked_at.is_(None),
        one_time_link.c.expires_at > bindparam("now"),
        (one_time_link.c.most_uses.is_(None)) | (one_time_link.c.uses < one_time_link.c.most_uses),
    )
    .values(uses=one_time_link.c.uses + 1, used_at=bindparam("now"))
    .returning(one_time_link.c.customer_id)
)
_SENT = select(
    func.count().filter(one_time_link.c.created_at > bindparam("an_hour_ago")), func.count()
).where(
    one_time_link.c.program_id == bindparam("program"),
    one_time_link.c.inbox_hash == bindparam("inbox"),
    one_time_link.c.created_by == "message",
    one_time_link.c.purpose != "auth",
    one_time_link.c.created_at > bindparam("a_day_ago"),
)


def find_link(conn: Connection, program_id: str, jti: str, purpose: Purpose) -> Link | None:
    """A link by its token's `jti`, whatever its state."""
    row = conn.execute(_FIND, _named(program_id, jti, purpose)).one_or_none()
    return None if row is None else Link(**row._mapping)


def use_link(conn: Connection, program_id: str, jti: str, purpose: Purpose) -> str | None:
    """Use a link up, in one atomic statement; returns its customer, or None where it was not good any more."""
    customer_id: str | None = conn.scalar(_USE, {**_named(program_id, jti, purpose), "now": utc_now()})
    return customer_id


def _named(program_id: str, jti: str, purpose: Purpose) -> dict[str, Any]:
    return {"its_program": program_id, "its_jti": digest(jti), "its_purpose": purpose}


def may_send_link(conn: Connection, program_id: str, address: str) -> bool:
    """Whether one more link may go to an address now: three an hour and ten a day for its inbox, whatever for.

    A session link is never sent alone: it stands beside the card's in one message, which counts once.
    """
    now = utc_now()
    hour, day = conn.execute(
        _SENT,
        {
            "program": program_id,
            "inbox": inbox_hash(address),
            "an_hour_ago": now - timedelta(hours=1),
            "a_day_ago": now - timedelta(days=1),
        },
    ).one()
    return bool(hour < MOST_LINK_MESSAGES_AN_HOUR and day < MOST_LINK_MESSAGES_A_DAY)


# In one order for everybody: taps on several links of one person would otherwise wait for each other crosswise.
_LINE_UP = (
    select(one_time_link.c.jti_hash)
    .where(
        one_time_link.c.program_id == bindparam("its_program"),
        one_time_link.c.customer_id
        == select(_own.c.customer_id)
        .where(_own.c.program_id == bindparam("its_program"), _own.c.jti_hash == bindparam("its_jti"))
        .scalar_subquery(),
        one_time_link.c.purpose == "download",
        one_time_link.c.most_uses == 1,
        one_time_link.c.uses == 0,
        one_time_link.c.revoked_at.is_(None),
    )
    .order_by(one_time_link.c.jti_hash)
    .with_for_update()
)


def line_up(conn: Connection, program_id: str, jti: str) -> None:
    """Wait for whoever uses another one-time link of the same person just now, before `use_link`."""
    conn.execute(_LINE_UP, {"its_program": program_id, "its_jti": digest(jti)})


def revoke_siblings(conn: Connection, program_id: str, customer_id: str, used: str) -> None:
    """End the other one-time links to a card once one was used; until then a tap on the wrong mail works too."""
    conn.execute(
        update(one_time_link)
        .where(
            one_time_link.c.program_id == program_id,
            one_time_link.c.customer_id == customer_id,
            one_time_link.c.purpose == "download",
            one_time_link.c.most_uses == 1,
            one_time_link.c.uses == 0,
            one_time_link.c.jti_hash != digest(used),
            one_time_link.c.revoked_at.is_(None),
        )
        .values(revoked_at=utc_now())
    )


def revoke_links(conn: Connection, program_id: str, customer_id: str) -> None:
    """End every link of a customer that is still good: after a change of address, or when they go."""
    conn.execute(
        update(one_time_link)
        .where(
            one_time_link.c.program_id == program_id,
            one_time_link.c.customer_id == customer_id,
            one_time_link.c.revoked_at.is_(None),
        )
        .values(revoked_at=utc_now())
    )


def delete_links(conn: Connection, program_id: str, customer_id: str) -> None:
    """Delete every link of a customer who is gone."""
    conn.execute(
        delete(one_time_link).where(
            one_time_link.c.program_id == program_id, one_time_link.c.customer_id == customer_id
        )
    )


def purge_links(conn: Connection) -> int:
    """Delete links that ended a month ago; until then their dead page can still offer a new one."""
    return conn.execute(
        delete(one_time_link).where(one_time_link.c.expires_at <= utc_now() - timedelta(days=30))
    ).rowcount
