"""Google Wallet, as the rest of the app sees it: a design and a card in, an address to send the phone to."""

from collections.abc import Sequence
from typing import NamedTuple

from web.wallet.card import Card, Design
from web.wallet.card import Kind as CardKind
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import ClassResource, ObjectResource, Resource
from web.wallet.google.kinds import FAMILIES
from web.wallet.google.objects import Json, object_id
from web.wallet.google.save_link import fat_link, skinny_link

RESOURCES: dict[CardKind, tuple[ClassResource, ObjectResource]] = {
    "loyalty": ("loyaltyClass", "loyaltyObject"),
    "coupon": ("offerClass", "offerObject"),
    "gift_card": ("giftCardClass", "giftCardObject"),
    "membership": ("genericClass", "genericObject"),
}


class Part(NamedTuple):
    """A class or an object, and the resource that Google keeps it as."""

    resource: Resource
    content: Json


class GoogleWallet:
    """Issues passes of every kind for one issuer. `origins` are the sites that show the save link.

    `callback_url` hears of saves and removals.
    """

    def __init__(
        self,
        account: ServiceAccount,
        issuer_id: str,
        *,
        origins: Sequence[str] = (),
        callback_url: str | None = None,
    ) -> None:
        self._account, self._issuer_id = account, issuer_id
        self._origins, self._callback_url = tuple(origins), callback_url

    def save_url(self, design: Design, card: Card, *, stored: bool = False, whole: bool = False) -> str:
        """The address that puts a card into Google Wallet.

        With `stored`, once Google holds it, it only names the card and is always short. Without, it brings the
        card along, and leaves out what has no room unless the `whole` is asked for. Raises LinkTooLongError
        when that does not fit: then store the card first.
        """
        family = FAMILIES[card.kind]
        content = family.object_of(design, card, self._issuer_id)
        if stored:
            return skinny_link(self._account, self._origins, family.name, content)
        program = family.class_of(design, card, self._issuer_id, self._callback_url)
        return fat_link(self._account, self._origins, family.name, program, content, whole=whole)

    def class_of(self, design: Design, card: Card) -> Part:
        """What Google is told of all cards that are like this one."""
        make = FAMILIES[card.kind].class_of
        return Part(RESOURCES[card.kind][0], make(design, card, self._issuer_id, self._callback_url))

    def object_of(self, design: Design, card: Card) -> Part:
        """What Google is told of one card."""
        return Part(RESOURCES[card.kind][1], FAMILIES[card.kind].object_of(design, card, self._issuer_id))

    def name_of(self, kind: CardKind, pass_id: str) -> tuple[ObjectResource, str]:
        """What Google keeps a card as, and under which id."""
        return RESOURCES[kind][1], object_id(self._issuer_id, pass_id)
