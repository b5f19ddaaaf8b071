"""The card as a page draws it: the same fields as in the wallets."""

from typing import Any

from web.foundation.languages import N_
from web.foundation.qr import svg
from web.foundation.short_code import grouped
from web.loyalty.standing import Standing
from web.pages.visitor import Visitor

SENTENCE = N_("%(program)s card: %(points)s %(points_name)s.")
NEXT = N_("%(missing)s more for %(reward)s.")


def card_view(visitor: Visitor, standing: Standing) -> dict[str, Any]:
    """The card of a customer, for eyes and, in `sentence`, for ears."""
    settings = visitor.program.settings
    face = visitor.face
    text = visitor.site.renderer.text
    points = visitor.amount(standing.points)
    missing = visitor.amount(standing.missing)
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
    face = visitor.face
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


def progress(standing: Standing) -> int:
    """How far the next reward is, in per cent."""
    if not standing.next_reward_cost:
        return 0
    return min(100, max(0, standing.points * 100 // standing.next_reward_cost))
