"""The link in a message on a card: the tap is noted, and leads to the address that was stored with the message."""

from litestar import Response, get
from litestar.params import FromPath

from web.foundation.limits import MESSAGE_LINK
from web.foundation.short_code import NotACodeError, normalise
from web.loyalty.card_message import CODE_LENGTH
from web.loyalty.message_click import note_click, target_of
from web.pages.visitor import AnyRequest, Visitor

WALLETS = {"ios": "apple", "mac": "apple", "android": "google"}


@get("/{slug:str}/m/{code:str}", name="message_link")
async def follow(request: AnyRequest, slug: FromPath[str], code: FromPath[str]) -> Response[bytes]:
    """Lead on. A robot that looks at the link, and a browser that fetches it ahead, are no taps of a person's."""
    visitor = Visitor(request, slug)
    site, program_id = visitor.site, visitor.program.id
    await site.limit(MESSAGE_LINK, visitor.network)
    try:
        known = normalise(code, CODE_LENGTH)
    except NotACodeError:
        return visitor.redirect("")
    url = await site.database.read(target_of, program_id, known)
    if url is None:
        return visitor.redirect("")
    if not visitor.is_looking_ahead:
        wallet = WALLETS.get(visitor.device.platform)
        if await site.database.write(note_click, program_id, known, wallet):
            site.work_to_do.set()
    return visitor.redirect_out(url)
