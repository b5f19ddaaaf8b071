"""What those behind a programme are told by mail: its own contact, or where there is none, who runs all this."""

from sqlalchemy.engine import Connection

from web.foundation.delivery import enqueue

WEBHOOK_PAUSED = "webhook_paused"


def tell_of_paused_webhook(
    conn: Connection, program_id: str, endpoint_id: str, host: str, reason: str
) -> None:
    """Write down the mail that a webhook paused itself; only the host, for its address may hold a secret."""
    payload = {"endpoint": endpoint_id, "host": host, "reason": reason}
    enqueue(conn, program_id, WEBHOOK_PAUSED, f"notice:{endpoint_id}", payload)
