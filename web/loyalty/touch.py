"""A touch: one arrival with its UTM parameters, append-only. First and last touch follow a person to the card."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import Column, Index, String, Table, insert
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, metadata, new_id, utc_now

LONGEST_VALUE = 120

touch = Table(
    "touch",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("visit_id", Id, nullable=False),
    Column("at", Moment, nullable=False),
    Column("source", String(LONGEST_VALUE)),
    Column("medium", String(LONGEST_VALUE)),
    Column("campaign", String(LONGEST_VALUE)),
    Column("term", String(LONGEST_VALUE)),
    Column("content", String(LONGEST_VALUE)),
    Column("location_id", Id),
    Column("referrer_host", String(LONGEST_VALUE)),
    Column("landing_path", String(LONGEST_VALUE), nullable=False),
)
Index("ix_touch_visit", touch.c.program_id, touch.c.visit_id)


class Arrival(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How somebody came: the five UTM parameters, a shop, the host of the page that led here."""

    source: str | None = None
    medium: str | None = None
    campaign: str | None = None
    term: str | None = None
    content: str | None = None
    location_id: str | None = None
    referrer_host: str | None = None
    landing_path: str = "/"

    @property
    def is_worth_keeping(self) -> bool:
        """A plain arrival, typed or bookmarked, says nothing that a row would need."""
        return any((self.source, self.medium, self.campaign, self.term, self.content, self.referrer_host))


def read_arrival(
    query: Mapping[str, str],
    referrer: str | None,
    own_host: str,
    landing_path: str,
    location_id: str | None = None,
) -> Arrival:
    """The arrival that a request shows. Values are cut to 120 characters and freed of control characters."""
    host = _host(referrer)
    return Arrival(
        source=_clean(query.get("utm_source")),
        medium=_clean(query.get("utm_medium")),
        campaign=_clean(query.get("utm_campaign")),
        term=_clean(query.get("utm_term")),
        content=_clean(query.get("utm_content")),
        location_id=location_id,
        referrer_host=host if host != own_host else None,
        landing_path=landing_path[:LONGEST_VALUE],
    )


def record_touch(conn: Connection, program_id: str, visit_id: str, arrival: Arrival) -> str:
    """Write an arrival down; returns the touch's id."""
    touch_id = new_id()
    conn.execute(
        insert(touch).values(
            program_id=program_id,
            id=touch_id,
            visit_id=visit_id,
            at=utc_now(),
            source=arrival.source,
            medium=arrival.medium,
            campaign=arrival.campaign,
            term=arrival.term,
            content=arrival.content,
            location_id=arrival.location_id,
            referrer_host=arrival.referrer_host,
            landing_path=arrival.landing_path,
        )
    )
    return touch_id


def _clean(value: str | None) -> str | None:
    if not value:
        return None
    return "".join(letter for letter in value if letter.isprintable()).strip()[:LONGEST_VALUE] or None


def _host(referrer: str | None) -> str | None:
    try:
        return _clean(urlsplit(referrer or "").hostname)
    except ValueError:
        return None
