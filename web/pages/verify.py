"""Confirming an address: the link in the mail shows a button, the tap on it confirms."""

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.address import address_hash
from web.foundation.limits import LINK_USE
from web.foundation.schema import utc_now
from web.loyalty.customer import confirm_address, find_contact
from web.loyalty.event import VERIFICATION_REQUESTED, record
from web.loyalty.link import Link, find_link, use_link
from web.loyalty.program import Program
from web.pages.register import sent_view
from web.pages.visitor import AnyRequest, Visitor


@get("/{slug:str}/verify", name="verify")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    token = request.query_params.get("token")
    if token:
        return _take(visitor, visitor.code_in(token, "verify"))
    link = await _link(visitor)
    if link is None:
        return _dead(visitor)
    if not link.is_good(utc_now()):
        return _done(visitor) if link.used_at else _dead(visitor)
    return visitor.page(
        "verify/show.html", referrer="no-referrer", action_url=f"/{visitor.program.slug}/verify"
    )


@get(["/{slug:str}/v/{code:str}", "/{slug:str}/V/{code:str}"], name="verify_short")
async def show_short(request: AnyRequest, slug: FromPath[str], code: FromPath[str]) -> Response[bytes]:
    return _take(Visitor(request, slug), code.upper())


@post("/{slug:str}/verify", name="verify_confirm")
async def confirm(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    await visitor.form()
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    confirmed = await visitor.site.database.write(_confirm, visitor.program, visitor.verify_code or "")
    visitor.site.work_to_do.set()
    return _done(visitor) if confirmed else _dead(visitor)


@post("/{slug:str}/verify/again", name="verify_again")
async def send_again(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """A fresh link to the owner of the dead one; the same answer whoever asks."""
    visitor = Visitor(request, slug)
    await visitor.form()
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    await visitor.site.database.write(_request_again, visitor.program, visitor.verify_code or "")
    visitor.site.work_to_do.set()
    return visitor.page("card/sent.html", sent=sent_view(visitor, ""))


def _take(visitor: Visitor, code: str | None) -> Response[bytes]:
    visitor.keep_verify_link(code)
    return visitor.redirect("/verify")


def _done(visitor: Visitor) -> Response[bytes]:
    return visitor.page("verify/done.html", referrer="no-referrer")


def _dead(visitor: Visitor) -> Response[bytes]:
    return visitor.page(
        "verify/dead.html", 410, referrer="no-referrer", action_url=f"/{visitor.program.slug}/verify/again"
    )


async def _link(visitor: Visitor) -> Link | None:
    if not visitor.verify_code:
        return None
    return await visitor.site.database.read(find_link, visitor.program.id, visitor.verify_code, "verify")


def _confirm(conn: Connection, program: Program, code: str) -> bool:
    """Use the link, if the customer still has the address that it was sent to."""
    link = find_link(conn, program.id, code, "verify")
    contact = find_contact(conn, program.id, link.customer_id) if link else None
    if link is None or contact is None:
        return False
    channel = "email" if contact.email else "phone"
    if link.address_hash != address_hash(contact.email or contact.phone or ""):
        return False
    if use_link(conn, program.id, code, "verify") is None:
        # A second tap on a link that has done its work is no fault of the person's.
        return link.used_at is not None
    confirm_address(conn, program.id, link.customer_id, channel)
    return True


def _request_again(conn: Connection, program: Program, code: str) -> None:
    link = find_link(conn, program.id, code, "verify")
    if link is not None:
        record(conn, program.id, VERIFICATION_REQUESTED, link.customer_id, {})
