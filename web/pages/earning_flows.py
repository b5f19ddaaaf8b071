"""Ways to earn: what each gives, whether one can do it now, how, and if not, why and when."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.engine import Connection

from web.foundation.limits import LINK_USE
from web.foundation.schema import new_id, utc_now
from web.loyalty.customer import Contact, Details, find_contact, find_details
from web.loyalty.earning import NotEarned, run_flow
from web.loyalty.earning_flow import EarningFlow, NoSuchFlow
from web.loyalty.earning_record import earning
from web.loyalty.earning_rules import (
    FOLLOW,
    LINK_CLICK,
    REFERRAL,
    VERIFY,
    Happening,
    Recurrence,
    period_of,
)
from web.loyalty.expiry import add_months
from web.loyalty.multiplier import Multiplier, multipliers_of
from web.loyalty.points import InMirrorMode
from web.pages.member import Member, member_of
from web.pages.verification import verification_view
from web.pages.visitor import AnyRequest
from web.pages.worth import short_money

# What is done with a tap here, by following a link that the merchant gave.
BY_LINK = (FOLLOW, LINK_CLICK)
# Names that are not written like a word.
NETWORKS = {"tiktok": "TikTok", "youtube": "YouTube", "linkedin": "LinkedIn", "whatsapp": "WhatsApp"}


class Had(msgspec.Struct, frozen=True):
    """What a customer had of the flows so far: places taken in the periods that run now, and turns in all, by flow."""

    slots: dict[str, list[str]]
    turns: dict[str, int]
    contact: Contact | None
    details: Details
    campaigns: list[Multiplier]


@get("/{slug:str}/loyalty/earning-flows", name="earning_flows")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    member = await member_of(request, slug)
    now = utc_now()
    had = await member.site.database.read(read_had, member, now)
    flows = [
        flow_view(member, flow, had, now)
        for flow in member.program.flows
        if flow.active and (flow.ends_at is None or now < flow.ends_at)
    ]
    return member.page(
        "earning_flows/list.html",
        "loyalty/earning-flows",
        flows=sorted(flows, key=lambda each: ("open", "later", "done").index(each["state"])),
        # Said once: by its own way to earn, or at the end.
        brings_friends=not any(each["type"] == REFERRAL for each in flows),
        gains=member.program.settings.texts_in(member.language).gains,
        campaign=_campaign(member, had, now),
        verification=verification_view(member, had.contact),
        timezone=member.program.settings.timezone,
    )


@post("/{slug:str}/loyalty/earning-flows/{flow_id:str}", name="earning_flow_follow")
async def follow(request: AnyRequest, slug: FromPath[str], flow_id: FromPath[str]) -> Response[bytes]:
    """A tap on a merchant's link: credited here, then on to where it leads, whether or not it still earned."""
    member = await member_of(request, slug)
    posted = await member.visitor.form()
    flow = next((each for each in member.program.flows if each.id == flow_id), None)
    link = posted.get("link", [""])[-1]
    if flow is None or flow.type not in BY_LINK or link not in flow.links:
        raise NotFoundException
    await member.site.limit(LINK_USE, member.program.id, member.visitor.network)
    points = await member.site.database.write(_credit, member, flow, link)
    member.site.work_to_do.set()
    # By a page and not by a redirect: the policy lets a form lead to this site alone.
    return member.visitor.page(
        "earning_flows/go.html",
        referrer="no-referrer",
        url=flow.links[link],
        name=NETWORKS.get(link, link.capitalize()),
        points=member.visitor.amount(points) if points else None,
    )


def read_had(conn: Connection, member: Member, now: datetime) -> Had:
    program, customer_id = member.program, member.customer_id
    mine = (earning.c.program_id == program.id) & (earning.c.customer_id == customer_id)
    zone = ZoneInfo(program.settings.timezone)
    slots: dict[str, list[str]] = {}
    running = _running(program.flows, now, zone)
    if running:
        rows = conn.execute(select(earning.c.flow_id, earning.c.slot).where(mine, or_(*running)))
        for row in rows:
            slots.setdefault(row.flow_id, []).append(row.slot)
    turns = {
        row.flow_id: row.had
        for row in conn.execute(
            select(earning.c.flow_id, func.count().label("had"))
            .where(mine, earning.c.turn.is_not(None))
            .group_by(earning.c.flow_id)
        )
    }
    return Had(
        slots=slots,
        turns=turns,
        contact=find_contact(conn, program.id, customer_id),
        details=find_details(conn, program.id, customer_id),
        campaigns=multipliers_of(conn, program.id),
    )


def flow_view(member: Member, flow: EarningFlow, had: Had, now: datetime) -> dict[str, Any]:
    """A way to earn. `state`: "open" now, "later" (`again`: from when), or "done" for good."""
    settings, visitor = member.program.settings, member.visitor
    slots = had.slots.get(flow.id, [])
    places = {slot.split("|")[1] for slot in slots}
    most_now = flow.times * (len(flow.links) if flow.type in BY_LINK and flow.links else 1)
    left = None if flow.recurrence == "unlimited" or flow.per == "location" else max(0, most_now - len(slots))
    if flow.most is not None:
        left_ever = max(0, flow.most - had.turns.get(flow.id, 0))
        left = left_ever if left is None else min(left, left_ever)
    state, again = _state(member, flow, had, left, now)
    tier = next((each for each in member.program.tiers if each.level == flow.conditions.tier_level), None)
    return {
        "id": flow.id,
        "type": "CUSTOM" if flow.type.startswith("CUSTOM") else flow.type,
        "title": settings.say(flow.title, member.language),
        "description": settings.say(flow.description, member.language),
        "points": visitor.amount(flow.points),
        "per_money": short_money(member, flow.per_money) if flow.per_money else None,
        "at_least": short_money(member, flow.conditions.min_amount) if flow.conditions.min_amount else None,
        "state": state,
        "again": again,
        "left": left if flow.times > 1 or (flow.most or 1) > 1 else None,
        "times": most_now,
        "recurrence": flow.recurrence,
        "each_shop": flow.per == "location",
        "tier": settings.say(tier.name, member.language) if tier and _is_below(member, tier.level) else None,
        "until": flow.ends_at - timedelta(seconds=1) if flow.ends_at else None,
        "knows_birthday": bool(had.details.birthday),
        "links": [
            {
                "key": key,
                "name": NETWORKS.get(key, key.capitalize()),
                "done": key in places and flow.per in ("network", "link"),
            }
            for key in (flow.links if flow.type in BY_LINK else ())
        ],
    }


def _state(
    member: Member, flow: EarningFlow, had: Had, left: int | None, now: datetime
) -> tuple[str, date | None]:
    zone = ZoneInfo(member.program.settings.timezone)
    if flow.starts_at is not None and now < flow.starts_at:
        return "later", flow.starts_at.astimezone(zone).date()
    level = flow.conditions.tier_level
    if level is not None and _is_below(member, level):
        return "later", None
    if flow.type == VERIFY and verification_view(member, had.contact) is None:
        return "done", None
    if left != 0:
        weekdays = flow.conditions.weekdays
        today = now.astimezone(zone).date()
        if weekdays and today.isoweekday() not in weekdays:
            return "later", next(
                day
                for ahead in range(1, 8)
                if (day := today + timedelta(days=ahead)).isoweekday() in weekdays
            )
        return "open", None
    is_over = flow.most is not None and had.turns.get(flow.id, 0) >= flow.most
    again = None if is_over else next_period(flow.recurrence, now.astimezone(zone).date())
    return ("later", again) if again else ("done", None)


def next_period(recurrence: Recurrence, today: date) -> date | None:
    """The first day on which something can be had again; None where it is given once."""
    match recurrence:
        case "day":
            return today + timedelta(days=1)
        case "week":
            return today + timedelta(days=8 - today.isoweekday())
        case "month":
            return add_months(today.replace(day=1), 1)
        case "quarter":
            return add_months(today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1), 3)
        case "year":
            return date(today.year + 1, 1, 1)
        case _:
            return None


def _is_below(member: Member, level: int) -> bool:
    held = next((each for each in member.program.tiers if each.id == member.standing.tier_id), None)
    return held is None or held.level < level


def _running(flows: tuple[EarningFlow, ...], now: datetime, zone: ZoneInfo) -> list[ColumnElement[bool]]:
    """The places that count now, of each flow that has a limit for a time."""
    periods = {period_of(flow.recurrence, now, zone) for flow in flows if flow.recurrence != "unlimited"}
    return [earning.c.slot.startswith(f"{period}|", autoescape=True) for period in sorted(periods)]


def _campaign(member: Member, had: Had, now: datetime) -> dict[str, Any] | None:
    """What multiplies purchases at this moment."""
    local = now.astimezone(ZoneInfo(member.program.settings.timezone)).replace(tzinfo=None)
    for each in had.campaigns:
        if each.starts <= local < each.ends and (not each.weekdays or local.isoweekday() in each.weekdays):
            formats = member.site.renderer.catalogues.find(member.language).formats
            return {
                "name": member.program.settings.say(each.name, member.language),
                "factor": formats.number(each.percent / 100),
                "until": each.ends.date(),
            }
    return None


def _credit(conn: Connection, member: Member, flow: EarningFlow, link: str) -> int:
    """The points that a tap on a link brought; 0 where it brings none (again)."""
    happened = Happening(
        at=utc_now(),
        channel="online",
        network=link if flow.type == FOLLOW else None,
        link=link if flow.type == LINK_CLICK else None,
    )
    try:
        # Each tap is judged by itself: how often it counts is the flow's own limit.
        key = f"tap:{new_id()}"
        return run_flow(conn, member.program, member.customer_id, flow.id, happened, key=key).points
    except (NotEarned, NoSuchFlow, InMirrorMode):
        return 0
