"""Another address: both the one that the card belongs to and the new one must agree."""

from typing import Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.limits import CARD_REQUEST_BY_ADDRESS, CARD_REQUEST_BY_NETWORK, LINK_USE
from web.foundation.schema import utc_now
from web.loyalty.address_change import agree, cancel_change, pending_change, request_change
from web.loyalty.event import VERIFICATION_REQUESTED, record
from web.loyalty.link import Link, find_link, use_link
from web.pages.contact_form import blank_contact, read_contact
from web.pages.member import member_of
from web.pages.profile import change_view
from web.pages.visitor import AnyRequest, Visitor

Outcome = Literal["waiting", "changed", "gone"]


@get("/{slug:str}/profile/address", name="profile_address")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    change = await member.site.database.read(pending_change, member.program.id, member.customer_id)
    form = blank_contact(member.visitor, "/profile/address", "either")
    return member.page(
        "profile/address.html", "profile", form=msgspec.structs.asdict(form), change=change_view(change)
    )


@post("/{slug:str}/profile/address", name="profile_address_change")
async def change(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    form = blank_contact(member.visitor, "/profile/address", "either")
    contact = read_contact(member.visitor, form, posted)
    if contact is None:
        return member.page(
            "profile/address.html", "profile", 422, form=msgspec.structs.asdict(form), change=None
        )
    await member.site.limit(CARD_REQUEST_BY_NETWORK, member.program.id, member.visitor.network)
    # The new address may be anybody's, who must not be written to by many customers instead of one.
    await member.site.limit(
        CARD_REQUEST_BY_ADDRESS, member.program.id, member.site.sealer.tag(contact.inbox, "limits")
    )
    await member.site.database.write(
        request_change, member.program.id, member.customer_id, contact.email, contact.phone
    )
    member.site.work_to_do.set()
    return member.redirect("/profile/address")


@post("/{slug:str}/profile/address/cancel", name="profile_address_cancel")
async def cancel(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    await member.visitor.form()
    await member.site.database.write(cancel_change, member.program.id, member.customer_id)
    return member.redirect("/profile/address")


@post("/{slug:str}/profile/verify", name="profile_verify")
async def send_verification(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """Send the confirmation again."""
    member = await member_of(request, slug)
    await member.visitor.form()
    await member.site.database.write(
        record, member.program.id, VERIFICATION_REQUESTED, member.customer_id, {}
    )
    member.site.work_to_do.set()
    return member.redirect("/profile?sent=1")


@get("/{slug:str}/change", name="change")
async def show_agreement(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The link in one of the two messages: shows a button."""
    visitor = Visitor(request, slug)
    if token := request.query_params.get("token"):
        visitor.keep_change_link(visitor.code_in(token, "change"))
        return visitor.redirect("/change")
    link = await _link(visitor)
    if link is None or not link.is_good(utc_now()):
        return _dead(visitor)
    return visitor.page(
        "change/show.html", side=link.utm["side"], action_url=f"/{visitor.program.slug}/change"
    )


@get(["/{slug:str}/c/{code:str}", "/{slug:str}/C/{code:str}"], name="change_short")
async def show_short(request: AnyRequest, slug: FromPath[str], code: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    visitor.keep_change_link(code.upper())
    return visitor.redirect("/change")


@post("/{slug:str}/change", name="change_agree")
async def give_agreement(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    await visitor.form()
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    outcome = await visitor.site.database.write(_agree, visitor.program.id, visitor.change_code or "")
    if outcome == "gone":
        return _dead(visitor)
    return visitor.page("change/done.html", outcome=outcome)


def _dead(visitor: Visitor) -> Response[bytes]:
    """An end of its own kind: whoever wants the change after all begins it anew in the profile."""
    return visitor.page("session/dead.html", 410, action_url=None)


async def _link(visitor: Visitor) -> Link | None:
    if not visitor.change_code:
        return None
    return await visitor.site.database.read(find_link, visitor.program.id, visitor.change_code, "change")


def _agree(conn: Connection, program_id: str, code: str) -> Outcome:
    """Use the link; it speaks for the side and the change that it was sent for, and for no later one."""
    link = find_link(conn, program_id, code, "change")
    change = pending_change(conn, program_id, link.customer_id) if link else None
    if link is None or change is None or link.utm.get("change") != change.id:
        return "gone"
    if use_link(conn, program_id, code, "change") is None:
        return "gone"
    return agree(conn, program_id, link.customer_id, link.utm["side"])
