"""Google Wallet, as the rest of the app sees it: a design and a card in, an address to send the phone to."""

from collections.abc import Sequence
from typing import NamedTuple

from web.wallet.card import Card, Design
from web.wallet.card import Kind as CardKind
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import ClassResource, ObjectResource, Resource
from web.wallet.google.objects import Json, loyalty_class, loyalty_object, object_id
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
    """Issues loyalty cards for one issuer. `origins` are the sites that show the save link.

    `callback_url` hears of saves and removals. Every method raises UnsupportedKindError for a card of
    another kind.
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

    def save_url(self, design: Design, card: Card, *, stored: bool = False) -> str:
        """The address that puts a card into Google Wallet.

        With `stored`, once Google holds it, it only names the card and is always short. Without, it brings the
        card along; raises LinkTooLongError when that does not fit: then store the card first.
        """
        content = loyalty_object(design, card, self._issuer_id)
        if stored:
            return skinny_link(self._account, self._origins, content)
        program = loyalty_class(design, self._issuer_id, self._callback_url)
        return fat_link(self._account, self._origins, program, content)

    def class_of(self, design: Design, kind: CardKind) -> Part:
        """What Google is told of a programme's cards of one kind."""
        content = loyalty_class(design, self._issuer_id, self._callback_url)
        return Part(RESOURCES[kind][0], content)

    def object_of(self, design: Design, card: Card) -> Part:
        """What Google is told of one card."""
        return Part(RESOURCES[card.kind][1], loyalty_object(design, card, self._issuer_id))

    def name_of(self, kind: CardKind, pass_id: str) -> tuple[ObjectResource, str]:
        """What Google keeps a card as, and under which id."""
        return RESOURCES[kind][1], object_id(self._issuer_id, pass_id)
