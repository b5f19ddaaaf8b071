"""Google Wallet, as the rest of the app sees it: a design and a card in, an address to send the phone to."""

from collections.abc import Sequence

from web.wallet.card import Card, Design
from web.wallet.google.account import ServiceAccount
from web.wallet.google.client import GoogleClient
from web.wallet.google.objects import loyalty_class, loyalty_object
from web.wallet.google.save_link import fat_link, skinny_link


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

        With `stored`, after `store`, it only names the card and is always short. Without, it brings the
        card along; raises LinkTooLongError when that does not fit: then store the card first.
        """
        content = loyalty_object(design, card, self._issuer_id)
        if stored:
            return skinny_link(self._account, self._origins, content)
        program = loyalty_class(design, self._issuer_id, self._callback_url)
        return fat_link(self._account, self._origins, program, content)

    async def store(self, client: GoogleClient, design: Design, card: Card) -> None:
        """Stores or updates a card at Google, and its programme's class before it. Raises GoogleError."""
        await self.store_design(client, design)
        await client.store("loyaltyObject", loyalty_object(design, card, self._issuer_id))

    async def store_design(self, client: GoogleClient, design: Design) -> None:
        """Stores or updates the class alone, as a changed design asks for. Raises GoogleError."""
        await client.store("loyaltyClass", loyalty_class(design, self._issuer_id, self._callback_url))
