"""The card itself, for a browser that holds a grant or a fresh session.

Apple's is a file, Google's the way to its save page.
"""

import asyncio

from litestar import Response, get
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.delivery import Drop
from web.foundation.schema import utc_now
from web.loyalty.held_card import HeldCard, find_held_card
from web.loyalty.program import Program
from web.loyalty.session import Session, find_session
from web.loyalty.visit import Visit, find_visit
from web.loyalty.wallet_pass import Platform, mark_handed, pass_for
from web.pages.site import Handed, Site
from web.pages.visitor import AnyRequest, NotYet, Visitor
from web.wallet.apple.wallet import MEDIA_TYPE
from web.wallet.card import Card, Design
from web.wallet.google.client import GoogleError
from web.wallet.google.save_link import LinkTooLongError
from web.wallet.google.telling import OutdatedError
from web.wallet.issue import card_of

# So long somebody who tapped "Add" is kept waiting for Google.
PLACE_SECONDS = 3.0


@get("/{slug:str}/card.pkpass", name="apple_pass")
async def apple(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    return await _for_grant(Visitor(request, slug), "apple")


@get("/{slug:str}/google-wallet", name="google_pass")
async def google(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    return await _for_grant(Visitor(request, slug), "google")


async def _for_grant(visitor: Visitor, platform: Platform) -> Response[bytes]:
    visit, session = await visitor.site.database.read(
        _proofs, visitor.program.id, visitor.visit_token, visitor.session_token
    )
    customer_id = visit.granted_customer() if visit else None
    if customer_id is None and session is not None and session.is_fresh(utc_now()):
        customer_id = session.customer_id
    if customer_id is None:
        return visitor.redirect("/card")
    return await hand_over(visitor, customer_id, platform, visit.last_touch_id if visit else None)


async def hand_over(
    visitor: Visitor, customer_id: str, platform: Platform, touch_id: str | None = None
) -> Response[bytes]:
    """The customer's card for a wallet, issued where they had none there."""
    pass_id = await visitor.site.database.write(_issue, visitor.program.id, customer_id, platform, touch_id)
    return await give(visitor, pass_id, platform)


async def give(visitor: Visitor, pass_id: str, platform: Platform) -> Response[bytes]:
    """A pass that was issued, made from what the ledger says now."""
    site = visitor.site
    shown = await find_held_card(site.database, pass_id)
    if shown is None or shown.standing is None:
        return visitor.redirect("/card")
    program = await site.programs.current(shown.program_id, shown.program_version) or visitor.program
    card = card_of(program, shown)
    design = await site.designs.of(program)
    if platform == "google":
        return await _to_google(visitor, shown, design, card)
    if site.apple is None:
        return visitor.redirect("/card")
    # The first pass of a design draws its pictures, which takes a while and must not hold up the others.
    package = (await site.apple.ready(design)).build(card)
    if site.handed:
        site.handed(Handed(serial=pass_id, package=package, token=shown.held.token))
    return Response(
        package,
        status_code=200,
        media_type=MEDIA_TYPE,
        headers={
            "content-disposition": 'inline; filename="card.pkpass"',
            "cache-control": "no-store",
            "referrer-policy": "no-referrer",
        },
        cookies=visitor.cookies,
    )


async def _to_google(visitor: Visitor, shown: HeldCard, design: Design, card: Card) -> Response[bytes]:
    site = visitor.site
    if site.google is None:
        return visitor.redirect("/card")
    stored = shown.held.stored_at is not None
    try:
        save_url = site.google.save_url(design, card, stored=stored, whole=True)
    except LinkTooLongError:
        stored = await _place(site, visitor.program, shown)
        try:
            save_url = site.google.save_url(design, card, stored=stored)
        except LinkTooLongError as error:
            raise NotYet from error
    if site.handed:
        site.handed(Handed(serial=shown.held.id, save_url=save_url))
    return visitor.redirect_out(save_url)


async def _place(site: Site, program: Program, shown: HeldCard) -> bool:
    """Let Google hold the card, so that a link need only name it; False where that takes too long."""
    if site.google_cards is None:
        return False
    try:
        async with asyncio.timeout(PLACE_SECONDS):
            await site.google_cards.place(program, shown)
    except (TimeoutError, Drop, GoogleError, OutdatedError):
        site.work_to_do.set()  # the worker goes on trying, and completes what a link left out
        return False
    return True


def _proofs(
    conn: Connection, program_id: str, visit_token: str | None, session_token: str | None
) -> tuple[Visit | None, Session | None]:
    return find_visit(conn, program_id, visit_token), find_session(conn, program_id, session_token)


def _issue(
    conn: Connection, program_id: str, customer_id: str, platform: Platform, touch_id: str | None
) -> str:
    held = pass_for(conn, program_id, customer_id, platform, touch_id)
    mark_handed(conn, program_id, held)
    return held.id
