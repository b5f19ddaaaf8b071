"""A coupon, gift card or membership, on its way into a wallet. Its address is known to its holder alone."""

import re

from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.limits import LINK_USE
from web.foundation.schema import is_id, utc_now
from web.foundation.short_code import ALPHABET
from web.loyalty.coupon_code import find_assigned, lock_assigned
from web.loyalty.pass_item import Item, ItemVoid, find_item, item_of_coupon, pass_for_item, pass_item
from web.loyalty.wallet_pass import Platform, mark_handed
from web.pages.member import member_of
from web.pages.visitor import AnyRequest, Visitor
from web.pages.wallet_pass import give
from web.pages.wallet_view import item_wallet_view

CODE = re.compile(f"[{ALPHABET}]{{26}}")


@get("/{slug:str}/passes/{code:str}", name="pass_item")
async def show(request: AnyRequest, slug: FromPath[str], code: FromPath[str]) -> Response[bytes]:
    """Looking at it changes nothing, so that mail scanners and previews do no harm."""
    visitor = Visitor(request, slug)
    item = await _find(visitor, code)
    settings = visitor.program.settings
    is_good = item.is_good(utc_now())
    return visitor.page(
        "passes/show.html",
        200 if is_good else 410,
        referrer="no-referrer",
        item={
            "kind": item.kind,
            "title": settings.say(item.title, visitor.language),
            "amount": None if item.amount is None else visitor.money(item.amount),
            "expires_at": item.expires_at,
            "is_good": is_good,
        },
        timezone=settings.timezone,
        wallet=item_wallet_view(visitor, item) if is_good else None,
    )


@post("/{slug:str}/passes/{code:str}/{platform:str}", name="pass_item_use")
async def take(
    request: AnyRequest, slug: FromPath[str], code: FromPath[str], platform: FromPath[str]
) -> Response[bytes]:
    """The tap on a wallet's button."""
    visitor = Visitor(request, slug)
    await visitor.form()
    wallet: Platform = "apple" if platform == "apple" else "google"
    if platform != wallet or getattr(visitor.site, wallet) is None:
        raise NotFoundException
    await visitor.site.limit(LINK_USE, visitor.program.id, visitor.network)
    item = await _find(visitor, code)
    try:
        pass_id = await visitor.site.database.write(_issue, visitor.program.id, item, wallet)
    except ItemVoid:
        return visitor.redirect(f"/passes/{item.code}")
    return await give(visitor, pass_id, wallet)


@post("/{slug:str}/coupons/{assigned_id:str}/wallet", name="coupon_wallet")
async def put_coupon(request: AnyRequest, slug: FromPath[str], assigned_id: FromPath[str]) -> Response[bytes]:
    """A coupon of one's own, on its way into the wallet."""
    member = await member_of(request, slug)
    await member.visitor.form()
    item = None
    if is_id(assigned_id):
        item = await member.site.database.write(
            _of_coupon, member.program.id, assigned_id, member.customer_id
        )
    if item is None:
        raise NotFoundException
    return member.redirect(f"/passes/{item.code}")


async def _find(visitor: Visitor, code: str) -> Item:
    item = None
    if CODE.fullmatch(code):
        item = await visitor.site.database.read(
            lambda conn: find_item(conn, visitor.program.id, pass_item.c.code == code)
        )
    if item is None:
        raise NotFoundException
    return item


def _issue(conn: Connection, program_id: str, item: Item, platform: Platform) -> str:
    held = pass_for_item(conn, program_id, item, platform)
    mark_handed(conn, program_id, held)
    return held.id


def _of_coupon(conn: Connection, program_id: str, assigned_id: str, customer_id: str) -> Item | None:
    # Who uses it or takes it back at this moment waits, and then finds its pass.
    lock_assigned(conn, program_id, assigned_id)
    found = find_assigned(conn, program_id, assigned_id, customer_id)
    if found is None or not found.is_good(utc_now()):
        return None
    return item_of_coupon(conn, program_id, found)
