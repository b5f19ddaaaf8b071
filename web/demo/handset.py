"""The emulated phone of a development installation: what a browser is handed is offered to it, and pushes reach it.

It is kept in a folder, so that a restart of the server does not take it away. It asks this very server over HTTP, like
any phone; a development server's passes name no web service, since iOS takes none that speaks http.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography import x509

from web.demo.phone import Ask, Held, NoAnswer, Notice, Phone
from web.demo.pkpass import Opened, PassRefused
from web.pages.site import Handed
from web.wallet.apple.development import ROOT
from web.wallet.apple.push import Outcome

MOST_OFFERS = 4


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A pass that the browser asks to add; `refusal` says why this phone cannot."""

    serial: str
    opened: Opened | None = None
    token: str = ""
    refusal: str = ""


class _KeptPass(msgspec.Struct, kw_only=True):
    serial: str
    token: str
    last_modified: str | None
    is_registered: bool
    updates: bool


class _Kept(msgspec.Struct, kw_only=True):
    """What a restart must not forget; the packages lie beside it."""

    service: str
    device_id: str
    push_token: str
    former_tokens: list[str]
    tags: list[tuple[str, str, str]]
    passes: list[_KeptPass]
    notices: list[Notice]


class Handset:
    """One phone for all browsers. `saved` are the Google objects that were saved, by their save links, newest first."""

    def __init__(self, ask: Ask, base_url: str, folder: Path, signing: Path) -> None:
        self._service = f"{base_url}/passkit"
        self._folder, self._signing, self._ask = folder, signing, ask
        self._phone: Phone | None = None
        self._offers: dict[str, Offer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._former_tokens: deque[str] = deque(maxlen=50)
        self.saved: dict[str, dict[str, Any]] = {}
        self._own_changes = 0
        self._looked_at = 0.0

    @property
    def phone(self) -> Phone:
        """The phone, taken out of its drawer when it is looked at first: the development authority is there by then."""
        if self._phone is None:
            root = self._signing / ROOT
            roots = [x509.load_pem_x509_certificate(root.read_bytes())] if root.exists() else []
            self._phone = Phone(self._ask, roots=roots, service=self._service, pauses=(0.5, 1, 2))
            self._take_up(self._phone)
            self._begin(self._look())
        return self._phone

    @property
    def changes(self) -> int:
        """Grows with everything that can be seen."""
        return self.phone.changes + self._own_changes

    @property
    def offers(self) -> list[Offer]:
        return list(self._offers.values())

    # What the site tells it

    def hand(self, handed: Handed) -> None:
        """A browser was handed a card: the phone asks its owner whether to add it."""
        self._own_changes += 1
        if handed.save_url:
            self._save_google(handed)
            return
        self._offers.pop(handed.serial, None)
        try:
            offer = Offer(serial=handed.serial, opened=self.phone.open(handed.package), token=handed.token)
        except PassRefused as error:
            offer = Offer(serial=handed.serial, refusal=str(error))
        self._offers[handed.serial] = offer
        while len(self._offers) > MOST_OFFERS:
            del self._offers[next(iter(self._offers))]

    async def push(self, tokens: Sequence[str]) -> list[Outcome]:
        """Let the phone hear at once; names that it does not have any more are nobody's."""
        if self.phone.push_token in tokens:
            self._begin(self._hear())
        return [Outcome(verdict="gone" if token in self._former_tokens else "pushed") for token in tokens]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What its owner does

    async def add(self, serial: str) -> None:
        offer = self._offers.pop(serial, None)
        if offer is not None and offer.opened is not None:
            self._own_changes += 1
            await self._unless_away(self.phone.add(offer.opened.package, token=offer.token))

    def decline(self, serial: str) -> None:
        if self._offers.pop(serial, None):
            self._own_changes += 1

    async def remove(self, serial: str) -> None:
        if serial in self.phone.held:
            await self._unless_away(self.phone.remove(serial))

    async def switch_updates(self, serial: str) -> None:
        if held := self.phone.held.get(serial):
            await self._unless_away(self.phone.set_updates(serial, not held.updates))

    async def restore(self) -> None:
        self._former_tokens.append(self.phone.push_token)
        self._own_changes += 1
        await self._unless_away(self.phone.restore())

    def clear_notices(self) -> None:
        self.phone.notices.clear()
        self._own_changes += 1
        self._keep()

    def forget_saved(self, serial: str) -> None:
        if self.saved.pop(serial, None):
            self._own_changes += 1

    def look_now_and_then(self, now: float, pause: float) -> None:
        """Ask for news without a push, but not more often than every `pause` seconds of the clock `now`."""
        if now - self._looked_at >= pause and not self._tasks:
            self._looked_at = now
            self._begin(self._look())

    async def _look(self) -> None:
        await self._unless_away(self.phone.look())

    async def _hear(self) -> None:
        await self._unless_away(self.phone.hear())

    async def _unless_away(self, work: Coroutine[Any, Any, object]) -> None:
        # The phone keeps what it could not tell, and does it when it looks the next time.
        with contextlib.suppress(NoAnswer):
            await work
        self._keep()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _save_google(self, handed: Handed) -> None:
        claims = jwt.decode(handed.save_url.rsplit("/", 1)[1], options={"verify_signature": False})
        self.saved.pop(handed.serial, None)
        self.saved = {handed.serial: claims.get("payload", {}), **self.saved}

    # Its drawer

    def _keep(self) -> None:
        phone = self.phone
        self._folder.mkdir(parents=True, exist_ok=True)
        for serial, held in phone.held.items():
            (self._folder / f"{serial}.pkpass").write_bytes(held.opened.package)
        kept = _Kept(
            service=self._service,
            device_id=phone.device_id,
            push_token=phone.push_token,
            former_tokens=list(self._former_tokens),
            tags=[(*key, tag) for key, tag in phone.tags.items()],
            passes=[
                _KeptPass(
                    serial=serial,
                    token=held.token,
                    last_modified=held.last_modified,
                    is_registered=held.is_registered,
                    updates=held.updates,
                )
                for serial, held in phone.held.items()
            ],
            notices=list(phone.notices),
        )
        written = self._folder / "phone.json.new"
        written.write_bytes(msgspec.json.encode(kept))
        written.replace(self._folder / "phone.json")
        for file in self._folder.glob("*.pkpass"):
            if file.stem not in phone.held:
                file.unlink(missing_ok=True)

    def _take_up(self, phone: Phone) -> None:
        try:
            kept = msgspec.json.decode((self._folder / "phone.json").read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            return
        if kept.service != self._service:
            return  # the phone of another server that had this folder
        phone.device_id, phone.push_token = kept.device_id, kept.push_token
        self._former_tokens.extend(kept.former_tokens)
        phone.tags.update({(service, pass_type): tag for service, pass_type, tag in kept.tags})
        phone.notices.extend(kept.notices)
        for each in kept.passes:
            with contextlib.suppress(OSError, PassRefused):
                phone.held[each.serial] = Held(
                    opened=phone.open((self._folder / f"{each.serial}.pkpass").read_bytes()),
                    token=each.token,
                    service=self._service,
                    last_modified=each.last_modified,
                    is_registered=each.is_registered,
                    updates=each.updates,
                )
