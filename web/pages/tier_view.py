"""The tier as the profile shows it: what it gives, how far the next one is, and until when this one is kept."""

from datetime import timedelta
from typing import Any

from web.loyalty.held_tier import progress_of, tier_named
from web.pages.member import Member


def tier_view(member: Member) -> dict[str, Any] | None:
    """None where there is nothing to say: no tier held, and none to be reached."""
    program, standing = member.program, member.standing
    held = tier_named(program, standing.tier_id)
    progress = progress_of(program, standing)
    ahead = tier_named(program, progress.next_id)
    if held is None and ahead is None:
        return None
    kept_until = standing.tier_kept_until
    return {
        "name": program.settings.say(held.name, member.language) if held else None,
        "benefits": program.settings.say(held.benefits, member.language) if held else "",
        "next": program.settings.say(ahead.name, member.language) if ahead else None,
        "missing": _counted(member, progress.missing),
        "percent": max(0, 100 - progress.missing * 100 // max(1, ahead.required_points)) if ahead else 100,
        # The moment is the first at which it may be lost; people count the days on which they have it.
        "last_day": kept_until - timedelta(seconds=1) if kept_until else None,
        "to_keep": _counted(member, progress.to_keep) if progress.to_keep else None,
    }


def _counted(member: Member, minor: int) -> str:
    settings = member.program.settings
    if settings.tiers.balance == "points":
        return member.visitor.amount(minor)
    return member.visitor.money(minor)
