"""The card as a page draws it: the same fields as in the wallets."""

from functools import lru_cache
from typing import Any

from babel.numbers import format_decimal

from web.foundation.languages import N_
from web.foundation.qr import svg
from web.foundation.short_code import grouped
from web.loyalty.standing import Standing
from web.pages.site import program_face
from web.pages.visitor import Visitor

SENTENCE = N_("%(program)s card: %(points)s %(points_name)s.")
NEXT = N_("%(missing)s more for %(reward)s.")


def card_view(visitor: Visitor, standing: Standing) -> dict[str, Any]:
    """The card of a customer, for eyes and, in `sentence`, for ears."""
    settings = visitor.program.settings
    face = program_face(visitor.program, visitor.language, visitor.site.renderer)
    text = visitor.site.renderer.text
    points = amount(standing.points, settings.scale, visitor.language)
    missing = amount(standing.missing, settings.scale, visitor.language)
    reward = settings.say(standing.next_reward, visitor.language) if standing.next_reward else None
    sentence = text(
        visitor.language, SENTENCE, program=face.name, points=points, points_name=face.points_name
    )
    if reward and standing.missing:
        sentence += " " + text(visitor.language, NEXT, missing=missing, reward=reward)
    return {
        "program_name": face.name,
        "points_label": face.points_name,
        "points": points,
        "tier": settings.say(standing.tier, visitor.language) if standing.tier else None,
        "member_name": standing.name,
        "number": grouped(standing.card_number),
        "next_reward_title": reward,
        "next_reward_missing": missing,
        "progress_percent": progress(standing),
        "qr_svg": svg(standing.card_number, "M"),
        "sentence": sentence,
    }


def bare_card_view(visitor: Visitor) -> dict[str, Any]:
    """A card's face that names nobody, for a link that was only looked at."""
    face = program_face(visitor.program, visitor.language, visitor.site.renderer)
    return {
        "program_name": face.name,
        "points_label": face.points_name,
        "points": "•••",
        "tier": None,
        "member_name": None,
        "number": None,
        "next_reward_title": None,
        "next_reward_missing": None,
        "progress_percent": 0,
        "qr_svg": None,
        "sentence": face.name,
    }


@lru_cache(maxsize=4096)
def amount(minor: int, scale: int, language: str) -> str:
    """Minor units as the reader writes numbers: 10000034 at scale 2 is 100,000.34."""
    pattern = "#,##0.00" if scale == 2 else "#,##0"
    return format_decimal(minor / 10**scale if scale else minor, pattern, language.replace("-", "_"))


def progress(standing: Standing) -> int:
    """How far the next reward is, in per cent."""
    if not standing.next_reward_cost:
        return 0
    return min(100, max(0, standing.points * 100 // standing.next_reward_cost))
