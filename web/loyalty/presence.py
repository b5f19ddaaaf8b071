"""A customer who is here: their session, where they stand, and what the page they opened shows, in one answer."""

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, bindparam, literal_column, select

from web.foundation.database import Database
from web.foundation.document import Document, object_of, one_of
from web.foundation.schema import Id, utc_now
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


# Whose page it is: what the parts of a page compare their rows with.
HERE_PROGRAM = bindparam("program", type_=Id)
_OF_TOKEN = (session.c.program_id == HERE_PROGRAM, session.c.token_hash == bindparam("token_hash"))
# The row that the whole statement is about: as a column SQLAlchemy would have each part look for it again.
HERE_CUSTOMER: ColumnElement[str] = literal_column("customer.id", type_=Id)


def presence_of(shown: type[T], **parts: ColumnElement[Any]) -> Document[Presence[T]]:
    """What to ask for a page that shows `parts`, each a field of the struct `shown`.

    A part is an object or list (see `web.foundation.document`) of rows of HERE_PROGRAM and HERE_CUSTOMER, or of
    columns of `customer`. Made once for each page, at import.
    """
    return Document(
        Presence[shown],  # type: ignore[valid-type]
        object_of(
            session=one_of(object_of(session.c[name] for name in Opened.__struct_fields__), *_OF_TOKEN),
            standing=object_of(STANDING),
            shown=object_of(parts),
        ),
        STANDINGS,
        customer.c.program_id == HERE_PROGRAM,
        customer.c.id == select(session.c.customer_id).where(*_OF_TOKEN).scalar_subquery(),
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
