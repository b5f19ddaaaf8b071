"""Where merchants' own systems are told what happens: is anybody listening?"""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy.engine import Connection

from web.foundation.finding import Finding
from web.foundation.schema import utc_now
from web.foundation.sealing import CannotOpen, Sealer
from web.integrations.webhooks.endpoint import BY_OPERATOR, Endpoint, backlog_of, endpoints_of
from web.integrations.webhooks.secret import secrets_of

FAILING_FOR = timedelta(hours=1)


def look_at_webhooks(conn: Connection, program_id: str, slug: str, sealer: Sealer) -> Iterator[Finding]:
    """The endpoints of one programme. Their hosts are named; an address may hold a secret in its path."""
    for endpoint in endpoints_of(conn, program_id):
        host = urlsplit(endpoint.url).hostname
        try:
            secrets_of(conn, program_id, endpoint.id, sealer)
        except CannotOpen:
            yield Finding(
                "wrong",
                f"{slug}: none of PASITO_SECRET_KEYS opens the secret of the webhook to {host}.",
                "Put back the key that it was sealed with, or run: "
                f"python -m web webhook rotate --program {slug} --now {endpoint.id}",
            )
        yield _look_at(endpoint, slug, host, sum(backlog_of(conn, program_id, endpoint.id)))


def _look_at(endpoint: Endpoint, slug: str, host: str | None, waiting: int) -> Finding:
    if endpoint.paused_at is not None:
        return Finding(
            "note" if endpoint.pause_reason == BY_OPERATOR else "wrong",
            f"{slug}: the webhook to {host} is paused since {endpoint.paused_at:%Y-%m-%d %H:%M} UTC "
            f"({endpoint.pause_reason}); {waiting} letters wait.",
            f"Once its receiver is well: python -m web webhook resume --program {slug} {endpoint.id}",
        )
    since = endpoint.failing_since
    if since is not None and utc_now() - since > FAILING_FOR:
        return Finding(
            "note",
            f"{slug}: the webhook to {host} fails since {since:%Y-%m-%d %H:%M} UTC; {waiting} letters wait.",
            f"Try it: python -m web webhook test --program {slug} {endpoint.id}",
        )
    return Finding("ok", f"{slug}: the webhook to {host} works; {waiting} letters wait.")
