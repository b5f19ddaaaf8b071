"""A tap on a message's link: noted, and told to the merchant, then led on to what was stored."""

from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import utc_now
from web.loyalty.card_message import message_on_pass
from web.loyalty.event import CARD_CLICKED, record
from web.loyalty.push_message import push_message

# A browser that asks twice, or a thumb that taps twice, means it once.
ONE_TAP = timedelta(seconds=5)


def target_of(conn: Connection, program_id: str, code: str) -> str | None:
    """Where the link with this code leads; None where there is none."""
    url: str | None = conn.scalar(
        select(push_message.c.url).where(push_message.c.program_id == program_id, push_message.c.code == code)
    )
    return url


def note_click(conn: Connection, program_id: str, code: str, platform: str | None) -> bool:
    """Somebody tapped; False where the same tap was noted a moment ago, or nothing has this code any more.

    `platform` is the wallet of the device that asks, where it can be told: of two passes that is the one.
    """
    now = utc_now()
    row = conn.execute(
        update(push_message)
        .where(
            push_message.c.program_id == program_id,
            push_message.c.code == code,
            or_(push_message.c.clicked_at.is_(None), push_message.c.clicked_at <= now - ONE_TAP),
        )
        .values(clicks=push_message.c.clicks + 1, clicked_at=now)
        .returning(push_message.c.id, push_message.c.customer_id, push_message.c.url)
    ).one_or_none()
    if row is None:
        return False
    passes = conn.execute(
        select(message_on_pass.c.pass_id, message_on_pass.c.platform)
        .where(message_on_pass.c.program_id == program_id, message_on_pass.c.message_id == row.id)
        .order_by(message_on_pass.c.pass_id)
    ).all()
    tapped = next((each for each in passes if each.platform == platform), next(iter(passes), None))
    if tapped is not None:
        told = {"linkKey": f"message:{row.id}", "url": row.url, "passId": tapped.pass_id}
        record(conn, program_id, CARD_CLICKED, row.customer_id, told)
    return tapped is not None
