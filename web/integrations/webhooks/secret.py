"""The secrets that sign for an endpoint: sealed at rest, changed without an hour in which nothing can be verified."""

from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.integrations.webhooks.endpoint import NoSuchEndpoint, its, new_secret, sealed_in, webhook_endpoint

# After a rotation both secrets sign for so long, so that the receiver may change over at any moment of it.
OVERLAP = timedelta(days=1)


def rotate_secret(
    conn: Connection, program_id: str, endpoint_id: str, sealer: Sealer, overlap: timedelta = OVERLAP
) -> str:
    """A new secret, returned this once; the one before signs beside it for a day. Raises: NoSuchEndpoint."""
    secret = new_secret()
    changed = conn.execute(
        update(webhook_endpoint)
        .where(*its(program_id, endpoint_id))
        .values(
            sealed_before=webhook_endpoint.c.sealed,
            before_until=utc_now() + overlap,
            sealed=sealer.seal(secret.encode(), sealed_in(program_id, endpoint_id)),
        )
    ).rowcount
    if not changed:
        raise NoSuchEndpoint(endpoint_id)
    return secret


def secrets_of(
    conn: Connection, program_id: str, endpoint_id: str, sealer: Sealer, now: datetime | None = None
) -> list[bytes]:
    """The secrets that sign now, the oldest first. Raises: NoSuchEndpoint, CannotOpen."""
    row = conn.execute(
        select(
            webhook_endpoint.c.sealed, webhook_endpoint.c.sealed_before, webhook_endpoint.c.before_until
        ).where(*its(program_id, endpoint_id))
    ).one_or_none()
    if row is None:
        raise NoSuchEndpoint(endpoint_id)
    is_before_good = row.before_until is not None and row.before_until > (now or utc_now())
    context = sealed_in(program_id, endpoint_id)
    return [
        sealer.open(sealed, context)
        for sealed in ((row.sealed_before, row.sealed) if is_before_good else (row.sealed,))
    ]


def reseal_secrets(conn: Connection, sealer: Sealer) -> int:
    """Seal every endpoint's secrets with the sealer's first key; returns how many endpoints. Raises: CannotOpen."""
    table = webhook_endpoint.c
    rows = conn.execute(select(table.program_id, table.id, table.sealed, table.sealed_before)).all()
    for row in rows:
        context = sealed_in(row.program_id, row.id)
        again = {
            name: sealer.seal(sealer.open(sealed, context), context)
            for name, sealed in (("sealed", row.sealed), ("sealed_before", row.sealed_before))
            if sealed is not None
        }
        conn.execute(update(webhook_endpoint).where(*its(row.program_id, row.id)).values(**again))
    return len(rows)
