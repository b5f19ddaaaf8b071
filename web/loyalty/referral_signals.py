"""What makes a referral look like somebody's second self: signals with a weight each, that only ask for a look.

No signal refuses anything: who reaches `FLAG_AT` waits for a person's judgement, who reads why in plain words.
Families share a network, a kind of phone and an evening, so all that a dinner table has in common stays below it.
"""

import re
import unicodedata
from collections.abc import Iterable
from difflib import SequenceMatcher

import msgspec

from web.foundation.address import inbox_key
from web.foundation.languages import N_

FLAG_AT = 50

SIMILAR_EMAIL = "similar_email"
SAME_NAME = "same_name"
DISPOSABLE = "disposable_email"
OWN_BROWSER = "advocates_browser"
BUSY_NETWORK = "busy_network"
SHARED_NETWORK = "shared_network"
SAME_MINUTES = "same_device_same_minutes"
ADVOCATES_ORDER = "advocates_order"
NOT_FIRST_ORDER = "not_first_order"

# Together, a shared network and alike phones within minutes stay below FLAG_AT: that is a household.
WEIGHTS = {
    SIMILAR_EMAIL: 50,
    SAME_NAME: 50,
    DISPOSABLE: 50,
    OWN_BROWSER: 50,
    BUSY_NETWORK: 50,
    SHARED_NETWORK: 10,
    SAME_MINUTES: 30,
    ADVOCATES_ORDER: 60,
    NOT_FIRST_ORDER: 50,
}
REASONS = {
    SIMILAR_EMAIL: N_("The two e-mail addresses are nearly the same."),
    SAME_NAME: N_("Both have the same name."),
    DISPOSABLE: N_("The friend's e-mail address is of a kind that is thrown away after use."),
    OWN_BROWSER: N_("The link was opened in the browser of the one who shared it."),
    BUSY_NETWORK: N_("Unusually many friends joined from this network within a week."),
    SHARED_NETWORK: N_("They use the same network, as a household does."),
    SAME_MINUTES: N_("The same kind of phone on the same network joined within minutes."),
    ADVOCATES_ORDER: N_("The order was made with the name or address of the one who shared the link."),
    NOT_FIRST_ORDER: N_("It was not the friend's first order."),
}

# Services whose whole purpose is an address for ten minutes; the ones that are met most.
DISPOSABLE_DOMAINS = frozenset(
    {
        "10minutemail.com", "20minutemail.com", "33mail.com", "burnermail.io", "byom.de", "discard.email",
        "discardmail.com", "dispostable.com", "emailondeck.com", "fakeinbox.com", "getairmail.com",
        "getnada.com", "grr.la", "guerrillamail.biz", "guerrillamail.com", "guerrillamail.de",
        "guerrillamail.info", "guerrillamail.net", "guerrillamail.org", "guerrillamailblock.com",
        "inboxkitten.com", "mail-temp.com", "mailcatch.com", "maildrop.cc", "mailinator.com", "mailinator.net",
        "mailnesia.com", "mailnull.com", "mailsac.com", "mailtemp.net", "minutemail.com", "mintemail.com",
        "moakt.cc", "moakt.com", "mohmal.com", "mytemp.email", "nada.email", "pokemail.net", "sharklasers.com",
        "spam4.me", "spamgourmet.com", "temp-mail.io", "temp-mail.org", "tempail.com", "tempinbox.com",
        "tempmail.dev", "tempmail.net", "tempmailo.com", "tempr.email", "throwawaymail.com", "trash-mail.com",
        "trashmail.com", "trashmail.de", "trashmail.net", "wegwerfmail.de", "yopmail.com", "yopmail.fr",
        "yopmail.net",
    }
)  # fmt: skip

_NO_LETTER = re.compile(r"[^a-z]+")
# Shorter local parts meet by chance: "info" has a namesake at every domain.
_TELLING = 6


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one side: the e-mail address's key, the phone and the name, where they gave them."""

    email_key: str | None = None
    phone: str | None = None
    name: str | None = None


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the friend's arrival has in common with others. `week` counts this network's referrals, this one too."""

    own_browser: bool = False
    week: int = 0
    shares_network: bool = False
    within_minutes: bool = False


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """A purchase that may complete a referral: `ref` is the order's own name, `amount` in minor units of money.

    `number` counts the orders of this buyer in the shop, where it says so: 1 is the first.
    """

    ref: str
    amount: int
    number: int | None = None
    email: str | None = None
    name: str | None = None


def of_joining(advocate: Person, friend: Person, around: Surroundings, busy_network: int) -> list[str]:
    """The signals that a registration shows. `busy_network`: so many referrals a week are unusual for a network."""
    return [
        signal
        for signal, shows in (
            (SIMILAR_EMAIL, are_similar(advocate.email_key, friend.email_key)),
            (SAME_NAME, have_same_name(advocate.name, friend.name)),
            (DISPOSABLE, is_disposable(friend.email_key)),
            (OWN_BROWSER, around.own_browser),
            (BUSY_NETWORK, around.week >= busy_network),
            (SHARED_NETWORK, around.shares_network),
            (SAME_MINUTES, around.within_minutes),
        )
        if shows
    ]


def of_purchase(advocate: Person, purchase: Purchase) -> list[str]:
    """The signals that the qualifying purchase shows."""
    by_advocate = have_same_name(advocate.name, purchase.name) or (
        advocate.email_key is not None
        and purchase.email is not None
        and inbox_key(purchase.email) == inbox_key(advocate.email_key)
    )
    later = purchase.number is not None and purchase.number > 1
    return [ADVOCATES_ORDER] * by_advocate + [NOT_FIRST_ORDER] * later


def score(signals: Iterable[str]) -> int:
    return sum(WEIGHTS[signal] for signal in set(signals))


def are_one_inbox(one: str | None, other: str | None) -> bool:
    """Whether two addresses surely reach one inbox: "+…" never counts, dots do not at Google."""
    return one is not None and other is not None and _surely(one) == _surely(other)


def are_similar(one: str | None, other: str | None) -> bool:
    """Whether two addresses look like one person's: dots, digits and one letter in ten aside."""
    if one is None or other is None:
        return False
    (mine, _, here), (yours, _, there) = (inbox_key(each).rpartition("@") for each in (one, other))
    if here != there:
        return mine == yours and len(mine) >= _TELLING
    bare = _NO_LETTER.sub("", mine), _NO_LETTER.sub("", yours)
    if bare[0] == bare[1] and len(bare[0]) >= 3:
        return True
    return SequenceMatcher(None, mine, yours, autojunk=False).ratio() >= 0.9


def have_same_name(one: str | None, other: str | None) -> bool:
    """Whether two full names are one. First names alone are not: there are many Anas."""
    mine, yours = _words(one), _words(other)
    return len(mine) > 1 and mine == yours


def is_disposable(email_key: str | None) -> bool:
    return email_key is not None and email_key.rpartition("@")[2] in DISPOSABLE_DOMAINS


def _surely(address: str) -> str:
    local, _, domain = address.lower().rpartition("@")
    local = local.partition("+")[0] or local
    folded = inbox_key(address)
    return folded if folded.endswith("@gmail.com") else f"{local}@{domain}"


def _words(name: str | None) -> list[str]:
    plain = unicodedata.normalize("NFKD", name or "").casefold()
    return sorted("".join(c for c in plain if not unicodedata.combining(c)).split())
