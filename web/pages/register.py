"""The three steps: address, about you, the card. Each is one form, one POST and one page with its own address.

What is typed is kept in the visit after each step, so back, reload, a second tab or a change of language loses
nothing. The last POST may be repeated at will: the visit makes one customer.
"""

from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.address import mask_email, mask_phone
from web.foundation.limits import REGISTRATION, REGISTRATION_BURST, TooMany
from web.loyalty.customer import AlreadyKnown, Contact, Registered, find_contact
from web.loyalty.link import MOST_LINK_MESSAGES_AN_HOUR
from web.loyalty.registration import CONTACT, Completion, NothingBegun, complete_visits
from web.loyalty.standing import Standing, standing_of
from web.loyalty.visit import Visit, find_visit, forget_visit, keep_draft
from web.pages.about_form import blank_about, read_about, typed_values
from web.pages.card_view import card_view
from web.pages.contact_form import ask_about_slip, blank_contact, field_name, read_contact
from web.pages.front_door import record_arrival
from web.pages.invitation import invite_of
from web.pages.visitor import AnyRequest, Visitor
from web.pages.wallet_view import wallet_platform, wallet_view

ABOUT = "about"
AGAIN_AFTER_MINUTES = 60 // MOST_LINK_MESSAGES_AN_HOUR


@get("/{slug:str}/register", name="register")
async def show_contact(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    await record_arrival(visitor, "/register")
    asks = visitor.program.settings.asks
    visit = await _visit(visitor)
    if visit is not None and visit.granted_customer():
        return visitor.redirect("/register/card")
    if not visitor.visit_token:
        form = blank_contact(visitor, "/register", asks)
        return visitor.kept_page("register/contact.html", form=msgspec.structs.asdict(form))
    typed = visit.draft.get(CONTACT, {}).get("typed", "") if visit else ""
    form = blank_contact(visitor, "/register", asks, typed)
    return visitor.page("register/contact.html", form=msgspec.structs.asdict(form), noindex=False)


@post("/{slug:str}/register", name="register_contact")
async def keep_contact(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    posted = await visitor.form()
    form = blank_contact(visitor, "/register", visitor.program.settings.asks)
    contact = read_contact(visitor, form, posted)
    if contact is not None:
        contact = ask_about_slip(form, contact, posted)
    if contact is None:
        return visitor.page("register/contact.html", 422, form=msgspec.structs.asdict(form), noindex=False)
    typed = contact.email.value if contact.email else form.values[field_name(form.asks)]
    draft = {"typed": typed, **msgspec.to_builtins(contact)}
    token = await visitor.site.database.write(
        keep_draft, visitor.program.id, visitor.visit_token, CONTACT, draft
    )
    visitor.keep_visit(token)
    return visitor.redirect("/register/about")


@get("/{slug:str}/register/about", name="register_about")
async def show_about(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    visit = await _visit(visitor)
    if visit is None:
        return visitor.redirect("/register")
    if visit.granted_customer():
        return visitor.redirect("/register/card")
    if CONTACT not in visit.draft:
        return visitor.redirect("/register")
    form = blank_about(visitor, visit.draft.get(ABOUT, {}))
    return visitor.page("register/about.html", form=msgspec.structs.asdict(form))


@post("/{slug:str}/register/about", name="register_complete")
async def complete(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    posted = await visitor.form()
    if not visitor.visit_token:
        return visitor.redirect("/register")
    typed = typed_values(visitor, posted)
    form = blank_about(visitor, typed)
    about = read_about(visitor, form, typed)
    if about is None:
        if (elsewhere := await _elsewhere(visitor)) is not None:
            return elsewhere
        await _keep_about(visitor, typed)
        return visitor.page("register/about.html", 422, form=msgspec.structs.asdict(form))
    try:
        await visitor.site.limit(REGISTRATION_BURST, visitor.program.id, visitor.network)
        await visitor.site.limit(REGISTRATION, visitor.program.id, visitor.network)
    except TooMany:
        if (elsewhere := await _elsewhere(visitor)) is not None:
            return elsewhere
        await _keep_about(visitor, typed)
        raise
    completion = Completion(
        program=visitor.program,
        visit_token=visitor.visit_token,
        name=about.name,
        locale=visitor.language,
        birthday=about.birthday,
        extra=about.extra,
        consents=about.consents,
        platform=wallet_platform(visitor),
        asked=lambda: visitor.asked,
        base_url=visitor.site.settings.base_url,
        invite=invite_of(visitor),
    )
    match await visitor.site.database.write_together(complete_visits, completion):
        case Registered():
            visitor.end_invite()
            visitor.site.work_to_do.set()
            return visitor.redirect("/register/card")
        case AlreadyKnown():
            visitor.site.work_to_do.set()
            return visitor.redirect("/register/sent")
        case NothingBegun():
            return visitor.redirect("/register")


@get("/{slug:str}/register/sent", name="register_sent")
async def show_sent(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """The address has a card: look in its inbox. Nothing of that card is shown here."""
    visitor = Visitor(request, slug)
    visit = await _visit(visitor)
    if visit is None or CONTACT not in visit.draft:
        return visitor.redirect("/register")
    address = visit.draft[CONTACT]
    return visitor.page("card/sent.html", sent=sent_view(visitor, address["typed"]))


@get("/{slug:str}/register/card", name="register_card")
async def show_card(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    program = visitor.program
    visit, standing, contact = await visitor.site.database.read(_find_card, program.id, visitor.visit_token)
    if visit is None or standing is None or contact is None:
        return visitor.redirect("/register" if visit is None or not visit.customer_id else "/card")
    confirmation = None
    if program.settings.flows.confirmation_message and not (
        contact.email_verified_at or contact.phone_verified_at
    ):
        confirmation = (
            {"channel": "mail", "masked": mask_email(contact.email)}
            if contact.email
            else {"channel": "sms", "masked": mask_phone(contact.phone or "")}
        )
    return visitor.page(
        "register/card.html",
        card=card_view(visitor, standing),
        wallet=await wallet_view(visitor, customer_id=contact.id),
        confirmation=confirmation,
    )


@post("/{slug:str}/register/over", name="register_over")
async def start_over(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    """On a shared screen: the next person begins with nothing of the one before."""
    visitor = Visitor(request, slug)
    await visitor.form()
    if visitor.visit_token:
        await visitor.site.database.write(forget_visit, visitor.program.id, visitor.visit_token)
        visitor.end_visit()
        visitor.end_invite()
    return visitor.without_copies(visitor.redirect("/register"))


def sent_view(visitor: Visitor, typed: str) -> dict[str, Any]:
    """Where to look, in terms of what this person typed themselves; alike for known and unknown.

    Empty where nothing was typed: the address of a link's owner is not shown.
    """
    return {
        "masked": typed,
        "channel": "sms" if typed and "@" not in typed else "mail",
        "again_after_minutes": AGAIN_AFTER_MINUTES,
        "request_url": f"/{visitor.program.slug}/card",
    }


def _find_card(
    conn: Connection, program_id: str, token: str | None
) -> tuple[Visit | None, Standing | None, Contact | None]:
    visit = find_visit(conn, program_id, token)
    customer_id = visit.granted_customer() if visit else None
    if customer_id is None:
        return visit, None, None
    return visit, standing_of(conn, program_id, customer_id), find_contact(conn, program_id, customer_id)


async def _visit(visitor: Visitor) -> Visit | None:
    if not visitor.visit_token:
        return None
    return await visitor.site.database.read(find_visit, visitor.program.id, visitor.visit_token)


async def _elsewhere(visitor: Visitor) -> Response[bytes] | None:
    """Where a visitor belongs who has not given an address yet, or has the card already."""
    visit = await _visit(visitor)
    if visit is not None and visit.granted_customer():
        # The second tap of a double tap, or a reload after the answer was lost on its way.
        return visitor.redirect("/register/card")
    return None if visit is not None and CONTACT in visit.draft else visitor.redirect("/register")


async def _keep_about(visitor: Visitor, typed: dict[str, Any]) -> None:
    await visitor.site.database.write(keep_draft, visitor.program.id, visitor.visit_token, ABOUT, typed)
