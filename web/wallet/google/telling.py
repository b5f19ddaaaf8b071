"""Bringing a class or an object at Google up to date with as little as possible: insert, change, or leave alone."""

from collections.abc import Awaitable, Callable

from web.foundation.database import Database
from web.wallet.google.client import (
    AlreadyExistsError,
    GoogleClient,
    NotFoundError,
    QuotaExceededError,
    Resource,
    UnavailableError,
)
from web.wallet.google.objects import Json
from web.wallet.google.told import (
    PASSING_FIELDS,
    Told,
    doubt_told,
    find_told,
    fingerprints,
    forget_told,
    note_placed,
    note_told,
)

# What a request about a class has to say in any case ("reviewStatus", REST resource `loyaltyclass`).
_ALWAYS = ("reviewStatus",)
# What Google sets itself and takes from nobody.
_GOOGLES_OWN = frozenset(("kind", "version", "review", "classReference", "hasUsers", "hasLinkedDevice"))
# What a kind asks for in any case: the programme's own words stay, the holder's do not.
_NOTHING = {"defaultValue": {"language": "en", "value": "-"}}
_BLANKS: dict[str, Json] = {"genericObject": {"cardTitle": _NOTHING}}
_WIPED: dict[str, Json] = {"genericObject": {"header": _NOTHING}, "giftCardObject": {"cardNumber": "-"}}


class OutdatedError(Exception):
    """Google was told something newer meanwhile: look again at what is to be told."""


class Teller:
    """Tells Google of classes and objects, and remembers what it was told."""

    def __init__(self, database: Database, client: GoogleClient) -> None:
        self._database, self._client = database, client

    async def tell(
        self, program_id: str, resource: Resource, content: Json, version: int, *, again: bool = False
    ) -> bool:
        """Make Google hold this content; False where it did already. `version` grows with the content.

        `again`: what was told last may not be all that arrived, so the content is put whole.

        Raises: OutdatedError, and a GoogleError for Google's no.
        """
        told = await self._database.read(find_told, program_id, content["id"])
        if told is not None and again:
            told = Told({}, told.version)
        prints = fingerprints(content)
        if told is not None and told.fields == prints:
            return False
        if told is not None and told.version > version:
            raise OutdatedError(content["id"])
        if told is None:
            try:
                await self._client.insert(resource, content)
            except AlreadyExistsError:  # a save link brought it, or an answer to us was lost
                await self._replace(resource, content, {})
        else:
            try:
                await self._change(resource, content, prints, told)
            except NotFoundError:
                await self._database.write(forget_told, program_id, content["id"])
                await self._client.insert(resource, content)
            except UnavailableError:
                # The answer is lost, and the request may have arrived.
                await self._database.write(doubt_told, program_id, content["id"])
                raise
        if not await self._database.write(note_told, program_id, content["id"], Told(prints, version)):
            raise OutdatedError(content["id"])
        return True

    async def place(self, program_id: str, resource: Resource, content: Json, version: int) -> None:
        """Make Google hold something of this id, whatever it says. Raises: GoogleError."""
        try:
            await self._client.insert(resource, content)
        except AlreadyExistsError:
            return
        told = Told(fingerprints(content), version)
        await self._database.write(note_placed, program_id, content["id"], told)

    async def blank(self, program_id: str, resource: Resource, object_id: str, version: int) -> None:
        """Leave nothing of a card at Google but that it is void: no name, no number, no message.

        Raises: GoogleError.
        """
        try:
            present = await self._client.get(resource, object_id)
        except NotFoundError:
            return
        content = {"id": object_id, "classId": present["classId"], "state": "INACTIVE"}
        content |= {name: present.get(name, value) for name, value in _BLANKS.get(resource, {}).items()}
        content |= _WIPED.get(resource, {})
        await self._client.replace(resource, content)
        await self._database.write(note_told, program_id, object_id, Told(fingerprints(content), version))

    async def _change(self, resource: Resource, content: Json, prints: dict[str, str], told: Told) -> None:
        # A field that is left out of a PATCH stays, so what is gone asks for a whole new content.
        if not told.fields or told.fields.keys() - prints.keys():
            await self._replace(resource, content, told.fields)
            return
        changed = {
            name: value
            for name, value in content.items()
            if name in (*PASSING_FIELDS, *_ALWAYS) or told.fields.get(name) != prints[name]
        }
        await _quietly_if_needed(self._client.patch, resource, changed)

    async def _replace(self, resource: Resource, content: Json, told: dict[str, str]) -> None:
        """Put it whole, with what others added beside us: messages, or what a merchant set in Google's console."""
        present = await self._client.get(resource, content["id"])
        ours = {"messages"} if resource.endswith("Object") and not told else present.keys() - told.keys()
        kept = {name: present[name] for name in ours & present.keys() - _GOOGLES_OWN}
        if "messages" in kept:
            kept["messages"] = quiet(kept["messages"])
        await _quietly_if_needed(self._client.replace, resource, kept | content)


def quiet(messages: list[Json]) -> list[Json]:
    """Messages that a card has already, so that sent again they light up no phone."""
    return [message | {"messageType": "TEXT"} for message in messages]


async def _quietly_if_needed(
    send: Callable[[Resource, Json], Awaitable[Json]], resource: Resource, content: Json
) -> None:
    """Where the phone was lit up often enough today the card changes without it."""
    try:
        await send(resource, content)
    except QuotaExceededError:
        if content.pop("notifyPreference", None) is None:
            raise
        await send(resource, content)
