"""Shapes and examples that several resources share."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from web.api.problems import invalid

A_PROGRAM = "0199a1b2-3c4d-7e5f-8a6b-7c8d9e0f1a2b"
A_CUSTOMER = "0199a1b2-4d5e-7f60-9a7b-8c9d0e1f2a3b"
A_LOCATION = "0199a1b2-5e6f-7071-8b8c-9d0e1f2a3b4c"
A_KEY = "0199a1b2-6f70-7182-9c9d-0e1f2a3b4c5d"
# Far beyond any programme, and far from where a float would lose its last decimal.
MOST_POINTS = 10**12

A_MOMENT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)

Id = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]


class Input(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """What callers send: unknown fields are refused, with a pointer."""


class Output(msgspec.Struct, kw_only=True, rename="camel"):
    """What callers get."""


# Whole in programmes that count whole points; with up to two decimals in those that count hundredths.
PointsShown = Annotated[
    int | float, Meta(description="Points: whole, or with up to two decimals.", examples=[120])
]
PointsGiven = Annotated[float, Meta(ge=-MOST_POINTS, le=MOST_POINTS)]


def shown(minor: int, scale: int) -> int | float:
    """An amount in minor units as the API writes it."""
    return minor if scale == 0 else minor / 10**scale


def minor_units(given: float, scale: int, pointer: str, *, coerce: bool = False) -> int:
    """An amount that a caller gives, in minor units: exact, never rounded unless they ask for it (`coerce`).

    Raises: Problem.
    """
    # A float's shortest spelling is what the caller wrote: 1.005 is not taken for the binary fraction near it.
    exact = Decimal(str(given)).scaleb(scale)
    if exact == exact.to_integral_value() or coerce:
        return int(exact)
    places = "no decimals" if scale == 0 else f"at most {scale} decimals"
    raise invalid(pointer, f"This programme's points have {places}.")


def require_moment(given: datetime | None, pointer: str) -> None:
    """Refuse a moment that nobody means: years far away cannot be reckoned with. Raises: Problem."""
    if given is not None and not 1990 < given.year < 2200:
        raise invalid(pointer, "Write it like 2026-11-20T09:30:00Z, in this century or about it.")
