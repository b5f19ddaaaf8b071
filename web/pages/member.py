"""A member: a visitor whose session is open. Each session page begins here."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from litestar import Response
from markupsafe import escape

from web.foundation.document import Document
from web.foundation.schema import utc_now
from web.loyalty.presence import PRESENCE, Presence, find_presence
from web.loyalty.program import Program
from web.loyalty.session import Session, come_back
from web.loyalty.standing import Standing
from web.pages.frame import HOLES, MARK, Frame
from web.pages.sent import header
from web.pages.site import Look
from web.pages.visitor import AnyRequest, Visitor

T = TypeVar("T")

MOST_FRAMES = 2000


class LoggedOut(Exception):
    """No session is open here; the way in is a link to one's own inbox."""

    def __init__(self, visitor: Visitor) -> None:
        super().__init__()
        self.visitor = visitor


class Member:
    """A customer in an open session: who they are, where they stand, and how a page is answered."""

    def __init__(self, visitor: Visitor, session: Session, standing: Standing) -> None:
        self.visitor = visitor
        self.session = session
        self.standing = standing
        self.site = visitor.site
        self.program = visitor.program
        self.customer_id = session.customer_id

    @property
    def language(self) -> str:
        return self.visitor.language

    @cached_property
    def zone(self) -> ZoneInfo:
        """The programme's time zone, whose days a member's pages tell."""
        return ZoneInfo(self.program.settings.timezone)

    @cached_property
    def today(self) -> date:
        return utc_now().astimezone(self.zone).date()

    @property
    def is_fresh(self) -> bool:
        """Whether the inbox was proven within the hour."""
        return self.session.is_fresh(utc_now())

    def page(self, template: str, tab: str, status: int = 200, **context: Any) -> Response[bytes]:
        """A session page; `tab` is the section it belongs to. Its frame is kept, and not rendered again."""
        visitor, site = self.visitor, self.site
        look = site.look(self.program, self.language)
        html = site.renderer.render(
            template,
            self.language,
            **visitor.context(look, visitor.form_token(), []),
            **{"tab": tab, "parting": MARK, **context},
        )
        title, _, page = html.partition(MARK)
        holes = {"title": title, "page": page, "here": escape(visitor.here())}
        body, coding = self._frame(look, tab).around(holes, header(visitor.request, b"accept-encoding"))
        return visitor.answer(body, coding, status, look)

    def _frame(self, look: Look, tab: str) -> Frame:
        visitor, frames = self.visitor, self.site.frames
        key = (self.program.id, self.program.version, self.language, tab, visitor.is_partial)
        known = frames.get(key)
        if known is None:
            html = self.site.renderer.render(
                "member_frame.html",
                self.language,
                **visitor.context(look, "", visitor.languages(HOLES["here"])),
                tab=tab,
                noindex=True,
                holes=HOLES,
            )
            if len(frames) > MOST_FRAMES:
                frames.clear()
            known = frames[key] = Frame(html)
        return known

    def redirect(self, path: str) -> Response[bytes]:
        return self.visitor.redirect(path)


async def member_of(request: AnyRequest, slug: str) -> Member:
    """The member behind a request. Raises: LoggedOut, NoSuchProgram."""
    member, _ = await member_with(request, slug, PRESENCE)
    return member


async def member_with(
    request: AnyRequest,
    slug: str,
    page: Document[Presence[T]],
    values: Callable[[Program], Mapping[str, Any]] = lambda _: {},
) -> tuple[Member, T]:
    """The member behind a request and what the page shows of theirs, by one statement.

    `values` gives the parameters that the page's parts have. Raises as `member_of`.
    """
    visitor = Visitor(request, slug)
    site, program = visitor.site, visitor.program
    here = await find_presence(site.database, page, program.id, visitor.session_token, **values(program))
    if here is None or _is_idle(here.session, site.settings.session_idle_hours):
        raise LoggedOut(visitor)
    visitor.speak_for(here.standing.locale)
    if here.session.is_back(utc_now()) and not visitor.is_looking_ahead:
        path = request.scope["path"].strip("/").partition("/")[2]
        await site.database.write(come_back, program.id, here.session, path)
    return Member(visitor, here.session, here.standing), here.shown


def _is_idle(session: Session, most_hours: int) -> bool:
    """Whether the session lay unused for longer than the operator allows; `seen_at` is exact to half an hour."""
    return most_hours > 0 and utc_now() - session.seen_at > timedelta(hours=most_hours)
