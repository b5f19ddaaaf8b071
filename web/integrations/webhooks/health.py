"""How an endpoint is doing, and when it is left in peace."""

from datetime import timedelta
from urllib.parse import urlsplit

from sqlalchemy import func, literal, select, update
from sqlalchemy.engine import Connection

from web.foundation.delivery import drop_lanes
from web.foundation.schema import Moment, utc_now
from web.integrations.webhooks.endpoint import (
    KEPT_WHILE_PAUSED,
    Endpoint,
    find_endpoint,
    its,
    lane_of,
    pause_endpoint,
    webhook_endpoint,
)
from web.messages.notice import tell_of_paused_webhook

# So many dead letters in a row, or so long without any answer, and nothing more is sent until somebody looks.
MOST_DEAD_IN_A_ROW = 10
LONGEST_SILENCE = timedelta(days=1)
# How exactly the last success is known: a write for each would double the cost of a delivery.
TOLD_EVERY = timedelta(minutes=1)


def is_news(endpoint: Endpoint) -> bool:
    """Whether a success changes what is known of an endpoint."""
    last = endpoint.last_success_at
    return (
        endpoint.failing_since is not None
        or endpoint.dead_in_a_row > 0
        or last is None
        or utc_now() - last > TOLD_EVERY
    )


def note_success(conn: Connection, program_id: str, endpoint_id: str) -> None:
    """It answered well."""
    conn.execute(
        update(webhook_endpoint)
        .where(*its(program_id, endpoint_id))
        .values(last_success_at=utc_now(), failing_since=None, dead_in_a_row=0)
    )


def note_failure(
    conn: Connection, program_id: str, endpoint_id: str, reason: str, *, is_dead: bool, is_silent: bool
) -> bool:
    """It did not; `is_dead` if this letter will not be tried again, `is_silent` if there was no answer at all.

    Returns whether the endpoint was paused for it.
    """
    now = utc_now()
    row = conn.execute(
        update(webhook_endpoint)
        .where(*its(program_id, endpoint_id), webhook_endpoint.c.paused_at.is_(None))
        .values(
            last_failure_at=now,
            failing_since=func.coalesce(webhook_endpoint.c.failing_since, literal(now, Moment)),
            dead_in_a_row=webhook_endpoint.c.dead_in_a_row + is_dead,
        )
        .returning(webhook_endpoint.c.dead_in_a_row, webhook_endpoint.c.failing_since)
    ).one_or_none()
    if row is None:
        return False
    if row.dead_in_a_row >= MOST_DEAD_IN_A_ROW:
        leave_in_peace(
            conn, program_id, endpoint_id, f"{row.dead_in_a_row} letters in a row were lost: {reason}"
        )
        return True
    if is_silent and now - row.failing_since >= LONGEST_SILENCE:
        leave_in_peace(conn, program_id, endpoint_id, f"no answer for a day: {reason}")
        return True
    return False


def leave_in_peace(conn: Connection, program_id: str, endpoint_id: str, reason: str) -> None:
    """Pause an endpoint for what it did, and let those behind the programme be told of it by mail, once."""
    if pause_endpoint(conn, program_id, endpoint_id, reason):
        host = urlsplit(find_endpoint(conn, program_id, endpoint_id).url).hostname or ""
        tell_of_paused_webhook(conn, program_id, endpoint_id, host, reason)


def forget_what_waits_too_long(conn: Connection) -> int:
    """Give up the letters of endpoints that were paused for 30 days; returns how many."""
    rows = conn.execute(
        select(webhook_endpoint.c.program_id, webhook_endpoint.c.id).where(
            webhook_endpoint.c.paused_at <= utc_now() - KEPT_WHILE_PAUSED
        )
    ).all()
    return sum(drop_lanes(conn, row.program_id, lane_of(row.id)) for row in rows)
