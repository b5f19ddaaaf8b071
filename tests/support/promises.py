"""Whether what was recorded in a test is what merchants are promised of each event."""

import msgspec
from sqlalchemy import Connection, select

from web.loyalty.event import event
from web.loyalty.event_catalogue import EVENTS, check_properties


def broken_promises(conn: Connection) -> set[str]:
    """Each event that is not of its shape, with what is wrong about it. Of who was erased nothing is left to see."""
    broken = set()
    for name, properties in conn.execute(select(event.c.name, event.c.properties)):
        if name in EVENTS and properties:
            try:
                check_properties(name, properties)
            except msgspec.ValidationError as error:
                broken.add(f"{name}: {error}")
    return broken
