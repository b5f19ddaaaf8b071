"""API keys: made, listed and revoked by a key with the scope `admin`."""

from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_KEY, A_MOMENT, Id, Input, Output
from web.foundation.schema import is_id, utc_now
from web.loyalty.api_key import ApiKey, Scope, find_key_by_id, keys_of, make_key, revoke_key

TAG = "API keys"


class NewKey(Input):
    """`scopes`: what it may do. `read` sees, `write` changes customers, `admin` changes the programme and its keys."""

    name: Annotated[str, Meta(min_length=1, max_length=80, description="Where it is used.")]
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=3)] = ("read", "write")
    expires_in: Annotated[int, Meta(ge=60, le=10 * 366 * 86_400, description="Seconds.")] | None = None


class KeyShown(Output):
    """A key without its secret. `lastUsedAt` is exact to a minute."""

    id: Id
    name: str
    prefix: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyMade(KeyShown):
    """A new key. `secret` is shown here and never again."""

    secret: str


class Keys(Output):
    items: list[KeyShown]


EXAMPLE = KeyShown(
    id=A_KEY,
    name="Till",
    prefix="7k3m9qxa",
    scopes=("read", "write"),
    created_at=A_MOMENT,
    last_used_at=A_MOMENT,
    expires_at=None,
    revoked_at=None,
)
EXAMPLE_MADE = KeyMade(
    id=A_KEY,
    name="Till",
    prefix="7k3m9qxa",
    scopes=("read", "write"),
    created_at=A_MOMENT,
    last_used_at=None,
    expires_at=None,
    revoked_at=None,
    secret="pasito_7k3m9qxa_…",
)


@operation("GET", "/v1/programs/{program}/api-keys", scope="admin", tag=TAG, answer=Keys(items=[EXAMPLE]))
async def list_api_keys(call: Call) -> Keys:
    """List the API keys.

    The newest first, revoked ones included.
    """
    found = await call.read(keys_of, call.program.id)
    return Keys(items=[_shown(key) for key in found])


@operation(
    "POST",
    "/v1/programs/{program}/api-keys",
    scope="admin",
    tag=TAG,
    status=201,
    example=NewKey(name="Till", scopes=("read", "write")),
    answer=EXAMPLE_MADE,
    secret=True,
)
async def create_api_key(call: Call, data: NewKey) -> KeyMade:
    """Make an API key.

    Its secret is in this answer and nowhere else; with the same Idempotency-Key it is told again for a week. A key
    cannot give what it does not have: the new one's scopes must be among those of the key that makes it.
    """
    assert call.key is not None, "customers cannot call this"
    beyond = set(data.scopes) - set(call.key.scopes)
    if beyond:
        raise invalid("/scopes", f"This key does not have {', '.join(sorted(beyond))} itself.")
    return await call.write(_make, call.program.id, data)


@operation("DELETE", "/v1/programs/{program}/api-keys/{key}", scope="admin", tag=TAG, answer=EXAMPLE)
async def revoke_api_key(call: Call) -> KeyShown:
    """Revoke an API key.

    It ends at once; doing it twice changes nothing.
    """
    return await call.write(_revoke, call.program.id, call.path["key"])


def _make(conn: Connection, program_id: str, new: NewKey) -> KeyMade:
    expires_at = utc_now() + timedelta(seconds=new.expires_in) if new.expires_in else None
    key_id, secret = make_key(conn, program_id, new.name, new.scopes, expires_at)
    made = find_key_by_id(conn, program_id, key_id)
    assert made is not None, "it was made in this transaction"
    return KeyMade(
        id=made.id,
        name=made.name,
        prefix=made.prefix,
        scopes=made.scopes,
        created_at=made.created_at,
        last_used_at=None,
        expires_at=made.expires_at,
        revoked_at=None,
        secret=secret,
    )


def _revoke(conn: Connection, program_id: str, key_id: str) -> KeyShown:
    if not is_id(key_id) or not revoke_key(conn, program_id, key_id):
        raise Problem("not-found", "There is no key of that id.")
    revoked = find_key_by_id(conn, program_id, key_id)
    assert revoked is not None, "it was revoked in this transaction"
    return _shown(revoked)


def _shown(key: ApiKey) -> KeyShown:
    return KeyShown(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=key.scopes,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
    )


ROUTES = (list_api_keys, create_api_key, revoke_api_key)
