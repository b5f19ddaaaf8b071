"""A key with which a merchant's own systems call the API of one programme.

The secret is shown once. Its prefix stays readable, so that a key can be told from others in a list or a log; of the
secret itself only the SHA-256 is kept. Any number may be valid at a time, so that one can take over from another.
"""

from datetime import datetime, timedelta
from typing import Literal, get_args

import msgspec
from sqlalchemy import Column, ForeignKey, Index, String, Table, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Json, Moment, insert_or_skip, metadata, new_id, utc_now
from web.foundation.sealing import Sealer, digest, random_token
from web.foundation.short_code import new_code

# read: see customers and their history. write: change customers and balances, send messages. admin: the programme's
# settings, what it offers, and its keys.
Scope = Literal["read", "write", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MARK = "pasito_"
PREFIX_LENGTH = 8
# Writing down each call would cost a commit a call; nobody needs it finer.
USED_EVERY = timedelta(minutes=1)

api_key = Table(
    "api_key",
    metadata,
    Column("program_id", Id, ForeignKey("program.id"), primary_key=True),
    Column("id", Id, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scopes", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("last_used_at", Moment),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
)
# Looked up before the programme is known.
Index("uq_api_key_digest", api_key.c.digest, unique=True)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    program_id: str
    id: str
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


_COLUMNS = tuple(api_key.c[name] for name in ApiKey.__struct_fields__)


def make_key(
    conn: Connection,
    program_id: str,
    name: str,
    scopes: tuple[Scope, ...],
    expires_at: datetime | None = None,
) -> tuple[str, str]:
    """A new key; returns its id and its secret, which nobody can be shown again."""
    prefix = new_code(PREFIX_LENGTH).lower()
    key_id, secret = new_id(), f"{MARK}{prefix}_{random_token()}"
    conn.execute(insert(api_key).values(**_row(key_id, program_id, name, scopes, secret, expires_at)))
    return key_id, secret


def demo_key(conn: Connection, program_id: str, sealer: Sealer) -> str:
    """The demo's key with every scope: the same each time it is asked for. For development only."""
    secret = f"{MARK}demo_{sealer.code(program_id, 'demo api key')}"
    conn.execute(
        insert_or_skip(conn, api_key).values(**_row(new_id(), program_id, "Demo", SCOPES, secret, None))
    )
    return secret


def find_key(conn: Connection, secret: str) -> ApiKey | None:
    """The key that a caller shows, whatever its state; None for one that was never made."""
    row = conn.execute(select(*_COLUMNS).where(api_key.c.digest == digest(secret))).one_or_none()
    return None if row is None else _key(row._mapping)


def find_key_by_id(conn: Connection, program_id: str, key_id: str) -> ApiKey | None:
    row = conn.execute(
        select(*_COLUMNS).where(api_key.c.program_id == program_id, api_key.c.id == key_id)
    ).one_or_none()
    return None if row is None else _key(row._mapping)


def keys_of(conn: Connection, program_id: str) -> list[ApiKey]:
    """Every key of a programme, the newest first; those that were revoked too."""
    rows = conn.execute(
        select(*_COLUMNS).where(api_key.c.program_id == program_id).order_by(api_key.c.id.desc())
    )
    return [_key(row._mapping) for row in rows]


def revoke_key(conn: Connection, program_id: str, key_id: str) -> bool:
    """End a key at once; False where the programme has none of that id."""
    now = utc_now()
    found = conn.execute(
        update(api_key)
        .where(api_key.c.program_id == program_id, api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
    ).rowcount
    return bool(found) or find_key_by_id(conn, program_id, key_id) is not None


def mark_used(conn: Connection, program_id: str, key_id: str) -> None:
    conn.execute(
        update(api_key)
        .where(api_key.c.program_id == program_id, api_key.c.id == key_id)
        .values(last_used_at=utc_now())
    )


def _row(
    key_id: str,
    program_id: str,
    name: str,
    scopes: tuple[Scope, ...],
    secret: str,
    expires_at: datetime | None,
) -> dict[str, object]:
    return {
        "program_id": program_id,
        "id": key_id,
        "name": name,
        "prefix": secret.removeprefix(MARK).partition("_")[0],
        "digest": digest(secret),
        "scopes": list(scopes),
        "created_at": utc_now(),
        "expires_at": expires_at,
    }


def _key(mapping: object) -> ApiKey:
    return msgspec.convert(mapping, ApiKey)
