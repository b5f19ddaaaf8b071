"""Rewards: what one can have now, what is next, and getting one, asked once and done once."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from sqlalchemy.engine import Connection

from web.foundation.languages import N_
from web.foundation.limits import REDEEM
from web.foundation.schema import utc_now
from web.foundation.sealing import random_code
from web.loyalty.booking import KeyReused, NotEnough
from web.loyalty.customer import Contact, find_contact
from web.loyalty.offer import (
    CannotRedeem,
    LimitReached,
    NotVerified,
    Offer,
    is_offered,
    level_of,
    offer_of,
    offers_for,
)
from web.loyalty.points import InMirrorMode
from web.loyalty.redeeming import redeem
from web.loyalty.redemption import Redemption, State, Where, counts_for, redemptions_of
from web.loyalty.reward import Reward
from web.loyalty.standing import Standing, standing_of
from web.pages.forms import BadForm
from web.pages.member import Member, member_of
from web.pages.redemption import redemption_view
from web.pages.verification import is_verified, verification_view
from web.pages.visitor import CODE, AnyRequest

# Codes that wait to be shown, on top of the list; all of them have a page of their own.
CODES_ON_TOP = 3
OPEN: tuple[State, ...] = ("issued",)
# So few that it is worth saying.
FEW = 5

POINTS_GONE = N_("You have %(available)s just now, and this costs %(asked)s. Nothing was taken.")
NOT_HERE = N_("Points of this programme are spent at the counter. Show your card there.")
ASKED_ANEW = N_("This page was open for another reward. Please look again, and tap once more.")
AGAIN_FROM = N_("You have had this as often as one person may for now. Again from %(day)s.")


class Shelf(msgspec.Struct, frozen=True):
    """A customer's own part of the rewards: how often they had each, where they stand, and codes not yet used."""

    used: dict[str, int]
    standing: Standing
    contact: Contact | None
    codes: list[Redemption]


@get("/{slug:str}/loyalty/rewards", name="rewards")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    shelf, now = await _shelf(member), utc_now()
    standing, program = shelf.standing, member.program
    level = level_of(program, standing.tier_id, standing.tier_points)
    offers = [
        offer_view(member, offer) for offer in offers_for(program, standing.points, level, shelf.used, now)
    ]
    return member.page(
        "rewards/list.html",
        "loyalty/rewards",
        points=member.visitor.amount(standing.points),
        ready=[each for each in offers if each["state"] == "ready"],
        ahead=[each for each in offers if each["state"] == "short"],
        closed=[each for each in offers if each["state"] not in ("ready", "short")],
        codes=[redemption_view(member, each, now) for each in shelf.codes],
        verification=verification_view(member, shelf.contact),
        timezone=program.settings.timezone,
    )


@get("/{slug:str}/loyalty/rewards/{reward_id:str}", name="reward")
async def ask(request: AnyRequest, slug: FromPath[str], reward_id: FromPath[str]) -> Response[bytes]:
    """One reward, and the question whether to have it."""
    member = await member_of(request, slug)
    reward = _reward(member, reward_id)
    return _question(member, reward, await _shelf(member), random_code())


@post("/{slug:str}/loyalty/rewards/{reward_id:str}", name="reward_redeem")
async def have(request: AnyRequest, slug: FromPath[str], reward_id: FromPath[str]) -> Response[bytes]:
    """The yes. The form's key makes it one redemption, however often the form comes."""
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    reward = _reward(member, reward_id)
    key = posted.get("key", [""])[-1]
    if not CODE.fullmatch(key):
        raise BadForm
    await member.site.limit(REDEEM, member.program.id, member.customer_id)
    channel: Where = "online" if posted.get("channel", [reward.channel])[-1] == "online" else "in_store"
    try:
        made = await member.site.database.write(
            redeem,
            member.program,
            member.customer_id,
            reward.id,
            channel=channel,
            # Another customer in the same browser is another redemption.
            key=f"page:{member.customer_id}:{key}",
            actor="customer",
        )
    except (CannotRedeem, NotEnough, InMirrorMode, KeyReused) as refused:
        again = random_code() if isinstance(refused, KeyReused) else key
        return _question(member, reward, await _shelf(member), again, refused)
    member.site.work_to_do.set()
    return member.redirect(f"/loyalty/rewards/codes/{made.id}")


def offer_view(member: Member, offer: Offer) -> dict[str, Any]:
    """A reward as the list and its own page show it."""
    reward, settings = offer.reward, member.program.settings
    tier = next((each for each in member.program.tiers if each.level == reward.tier_level), None)
    say, amount = settings.say, member.visitor.amount
    return {
        "id": reward.id,
        "title": say(reward.title, member.language),
        "description": say(reward.description, member.language),
        "cost": amount(reward.cost) if reward.cost else None,
        "state": offer.state,
        "missing": amount(offer.missing),
        "percent": offer.percent,
        "until": offer.until,
        "left_for_you": offer.left_for_you if reward.limit_period != "life" else None,
        "stock": reward.stock if reward.stock is not None and 0 < reward.stock <= FEW else None,
        "tier": say(tier.name, member.language) if tier else None,
        "highest": amount(reward.redeemable_to) if reward.redeemable_to is not None else None,
        "channel": reward.channel,
        "code_minutes": reward.code_minutes,
    }


def read_shelf(conn: Connection, member: Member, now: datetime) -> Shelf:
    program, customer_id = member.program, member.customer_id
    return Shelf(
        used=counts_for(conn, program, customer_id, now),
        standing=standing_of(conn, program.id, customer_id) or member.standing,
        contact=find_contact(conn, program.id, customer_id),
        codes=redemptions_of(conn, program.id, customer_id, states=OPEN, most=CODES_ON_TOP),
    )


async def _shelf(member: Member) -> Shelf:
    return await member.site.database.read(read_shelf, member, utc_now())


def _reward(member: Member, reward_id: str) -> Reward:
    """Raises: NotFoundException, where there is no such reward or it is over."""
    for each in member.program.rewards:
        if each.id == reward_id and is_offered(each, utc_now()):
            return each
    raise NotFoundException


def _question(
    member: Member, reward: Reward, shelf: Shelf, key: str, refused: Exception | None = None
) -> Response[bytes]:
    """The reward's page; with `refused` it says in plain words why not, and what is true now."""
    standing, program = shelf.standing, member.program
    level = level_of(program, standing.tier_id, standing.tier_points)
    offer = offer_of(program, reward, standing.points, level, shelf.used.get(reward.id, 0), utc_now())
    verified = is_verified(program, shelf.contact)
    return member.page(
        "rewards/show.html",
        "loyalty/rewards",
        409 if refused else 200,
        reward=offer_view(member, offer),
        points=member.visitor.amount(standing.points),
        points_after=member.visitor.amount(standing.points - reward.cost),
        may_have=offer.state == "ready" and verified and not refused_for_good(refused),
        verification=verification_view(member, shelf.contact),
        problem=_in_words(member, refused) if refused and not isinstance(refused, NotVerified) else None,
        key=key,
        timezone=program.settings.timezone,
    )


def refused_for_good(refused: Exception | None) -> bool:
    """Whether asking again would be refused again."""
    return refused is not None and not isinstance(refused, KeyReused)


def _in_words(member: Member, refused: Exception) -> str:
    text, visitor = member.site.renderer.text, member.visitor
    match refused:
        case NotEnough():
            return text(
                member.language,
                POINTS_GONE,
                available=visitor.amount(refused.available),
                asked=visitor.amount(refused.asked),
            )
        case LimitReached() if refused.until is not None:
            formats = member.site.renderer.catalogues.find(member.language).formats
            day = formats.date(refused.until, "long", member.program.settings.timezone)
            return text(member.language, AGAIN_FROM, day=day)
        case CannotRedeem():
            return text(member.language, refused.advice)
        case InMirrorMode():
            return text(member.language, NOT_HERE)
        case _:
            return text(member.language, ASKED_ANEW)
