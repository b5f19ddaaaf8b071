"""Asking for one's card: one field, and the same answer for everyone."""

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from web.foundation.limits import (
    CARD_REQUEST_BY_ADDRESS,
    CARD_REQUEST_BY_NETWORK,
    CARD_REQUEST_BY_PROGRAM,
    TooMany,
)
from web.loyalty.card_request import ask_for_card
from web.pages.contact_form import blank_contact, read_contact
from web.pages.errors import words_to_wait
from web.pages.register import sent_view
from web.pages.visitor import AnyRequest, Visitor


@get("/{slug:str}/card", name="card_request")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    form = blank_contact(visitor, "/card", "either")
    if visitor.visit_token:
        return visitor.page("card/request.html", noindex=False, form=msgspec.structs.asdict(form))
    return visitor.kept_page("card/request.html", form=msgspec.structs.asdict(form))


@post("/{slug:str}/card", name="card_request_send")
async def send(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    posted = await visitor.form()
    form = blank_contact(visitor, "/card", "either")
    contact = read_contact(visitor, form, posted)
    if contact is None:
        return visitor.page("card/request.html", 422, form=msgspec.structs.asdict(form))
    program_id = visitor.program.id
    try:
        await visitor.site.limit(CARD_REQUEST_BY_NETWORK, program_id, visitor.network)
        await visitor.site.limit(CARD_REQUEST_BY_PROGRAM, program_id)
        await visitor.site.limit(
            CARD_REQUEST_BY_ADDRESS, program_id, visitor.site.sealer.tag(contact.inbox, "limits")
        )
    except TooMany as full:
        form.errors["contact"] = words_to_wait(visitor.site, visitor.language, full.retry_after)
        answer = visitor.page("card/request.html", 429, form=msgspec.structs.asdict(form))
        answer.headers["retry-after"] = str(full.retry_after)
        return answer
    # Known or unknown, this one row is written now; a worker looks the address up when nobody waits.
    await visitor.site.database.write(ask_for_card, program_id, contact.email, contact.phone, visitor.asked)
    visitor.site.work_to_do.set()
    typed = form.values["contact"]
    return visitor.page("card/sent.html", 202, sent=sent_view(visitor, typed))
