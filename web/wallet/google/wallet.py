"""Google Wallet, as the rest of the app sees it: a design and a card in, an address to send the phone to."""

from collections.abc import Sequence

from web.wallet.card import Card, Design
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import GoogleClient
from web.wallet.google.kinds import FAMILIES
from web.wallet.google.save_link import fat_link, skinny_link


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

    def save_url(self, design: Design, card: Card, *, stored: bool = False) -> str:
        """The address that puts a card into Google Wallet.

        With `stored`, after `store`, it only names the card and is always short. Without, it brings the
        card along; raises LinkTooLongError when that does not fit: then store the card first.
        """
        family = FAMILIES[card.kind]
        content = family.object_of(design, card, self._issuer_id)
        if stored:
            return skinny_link(self._account, self._origins, family.name, content)
        program = family.class_of(design, card, self._issuer_id, self._callback_url)
        return fat_link(self._account, self._origins, family.name, program, content)

    async def store(self, client: GoogleClient, design: Design, card: Card) -> None:
        """Stores or updates a card at Google, and its class before it. Raises GoogleError."""
        family = FAMILIES[card.kind]
        await client.store(
            f"{family.name}Class", family.class_of(design, card, self._issuer_id, self._callback_url)
        )
        await client.store(f"{family.name}Object", family.object_of(design, card, self._issuer_id))
