"""The "Add to Google Wallet" address: a signed JWT that holds the card, or only names it.

Claims and the length to stay under are those of Google's guide "Issuing passes with the web": links of
more than about 1,800 characters are cut off by some browsers.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import jwt
import msgspec

from web.wallet.google.account import ServiceAccount
from web.wallet.google.objects import Json

SAVE_URL = "https://pay.google.com/gp/v/save/"
MAX_LENGTH = 1800

# What a class of any kind has to have; what a kind does not know is not there.
_CLASS_ESSENTIALS = (
    "id",
    "issuerName",
    "programName",
    "programLogo",
    "title",
    "provider",
    "redemptionChannel",
    "merchantName",
    "reviewStatus",
    "hexBackgroundColor",
)
_SHED_IN_TURN = (
    "linksModuleData",
    "merchantLocations",
    "notifyPreference",
    "textModulesData",
    "secondaryLoyaltyPoints",
    "validTimeInterval",
)


class LinkTooLongError(Exception):
    """The card does not fit into a link: store class and object over REST, then make a skinny link."""


def fat_link(
    account: ServiceAccount,
    origins: Sequence[str],
    family: str,
    program: Json,
    card: Json,
    *,
    whole: bool = False,
) -> str:
    """A link that brings class and object with it: Google needs no call before it.

    To stay under 1,800 characters it sheds what is optional, the least useful first, unless the `whole`
    is asked for; the phone learns that when class and object are stored. Raises LinkTooLongError.
    """
    parts = [(program, card)] if whole else _ever_leaner(program, card)
    for program_part, card_part in parts:
        payload = {f"{family}Classes": [program_part], f"{family}Objects": [card_part]}
        link = _link(account, origins, payload)
        if len(link) <= MAX_LENGTH:
            return link
    raise LinkTooLongError(f"even its essentials make a link of {len(link)} characters")


def skinny_link(account: ServiceAccount, origins: Sequence[str], family: str, card: Json) -> str:
    """A link that only names an object which Google already holds."""
    named = {"id": card["id"], "classId": card["classId"]}
    return _link(account, origins, {f"{family}Objects": [named]})


def _ever_leaner(program: Json, card: Json) -> Iterator[tuple[Json, Json]]:
    yield program, card
    program = {name: program[name] for name in _CLASS_ESSENTIALS if name in program}
    card = _in_default_language(card)
    yield program, card
    for shed in _SHED_IN_TURN:
        if shed in card:
            card = {name: value for name, value in card.items() if name != shed}
            yield program, card


def _in_default_language(part: Any) -> Any:
    if isinstance(part, dict):
        kept = {name: value for name, value in part.items() if not name.startswith("localized")}
        return {name: _in_default_language(value) for name, value in kept.items()}
    return [_in_default_language(item) for item in part] if isinstance(part, list) else part


def _link(account: ServiceAccount, origins: Sequence[str], payload: Json) -> str:
    claims = {
        "iss": account.client_email,
        "aud": "google",
        "typ": "savetowallet",
        "iat": int(datetime.now(UTC).timestamp()),
        "origins": list(origins),
        "payload": payload,
    }
    # Encoded here and not by `jwt.encode`, which spends six characters on each letter of an Arabic name.
    return SAVE_URL + jwt.PyJWS().encode(msgspec.json.encode(claims), account.key, algorithm="RS256")
