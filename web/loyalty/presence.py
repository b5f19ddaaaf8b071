"""A customer who is here: their session, where they stand, and what the page they opened shows, in one answer."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, bindparam, select

from web.foundation.database import Database
from web.foundation.document import Document, object_of, one_of
from web.foundation.schema import utc_now
from web.foundation.sealing import digest
from web.loyalty.customer import customer
from web.loyalty.session import Session, session
from web.loyalty.standing import STANDING, STANDINGS, Standing

T = TypeVar("T")


class Opened(Session, frozen=True, kw_only=True):
    """A session with its end."""

    expires_at: datetime


class Presence(msgspec.Struct, Generic[T], frozen=True):
    """`shown` is what the page asked for beside."""

    session: Opened
    standing: Standing
    shown: T


class Nothing(msgspec.Struct, frozen=True):
    """For a page that shows no more than where its customer stands."""


_ITS_TOKEN = (
    session.c.program_id == bindparam("program"),
    session.c.token_hash == bindparam("token_hash"),
)


def presence_of(shown: type[T], **parts: ColumnElement[Any]) -> Document[Presence[T]]:
    """What to ask for a page that shows `parts`, each a field of the struct `shown`.

    A part is a column of `customer`, or an object or list (see `web.foundation.document`) that names `customer.c` to
    say whose it is. Made once for each page, at import.
    """
    return Document(
        Presence[shown],  # type: ignore[valid-type]
        object_of(
            session=one_of(object_of(session.c[name] for name in Opened.__struct_fields__), *_ITS_TOKEN),
            standing=object_of(STANDING),
            shown=object_of(parts),
        ),
        STANDINGS,
        customer.c.program_id == bindparam("program"),
        customer.c.id == select(session.c.customer_id).where(*_ITS_TOKEN).scalar_subquery(),
    )


PRESENCE = presence_of(Nothing)


async def find_presence(
    database: Database, page: Document[Presence[T]], program_id: str, token: str | None, **values: Any
) -> Presence[T] | None:
    """Who is here by the session's token; None where the session ended or was never opened.

    `values` are the parameters that the page's parts have.
    """
    if not token:
        return None
    now = utc_now()
    found = await database.ask(page, program=program_id, token_hash=digest(token), **values)
    return found if found and found.session.expires_at > now else None
