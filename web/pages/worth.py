"""What a reward or coupon is worth, in as few letters as fit a stub: "€5", "20%"."""

import re
from decimal import Decimal
from typing import Any

from babel import Locale
from babel.numbers import format_percent

from web.pages.member import Member

# The cents of a whole amount: "€5.00" is "€5" on a stub.
WHOLE = re.compile(r"\D00(?!\d)")


def worth_of(member: Member, kind: str, value: int | None) -> str | None:
    """The figure of a discount or gift card; None where only words say what it is."""
    if not value:
        return None
    if kind == "percent":
        locale: Any = Locale.parse(member.language, sep="-")
        return format_percent(Decimal(value) / 100, locale=locale)
    if kind in ("fixed", "gift_card"):
        return short_money(member, value)
    return None


def short_money(member: Member, minor: int) -> str:
    """Money in minor units, without the cents where there are none."""
    return WHOLE.sub("", member.visitor.money(minor))
