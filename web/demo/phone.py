"""An emulated iPhone: its wallet, and how it talks to a web service about the passes in it.

It does what iOS does, over real HTTP: takes a pass only if it is in order, registers for its updates, asks on a push
what has changed since the tag it was given last, fetches that if it was modified, compares, shows a notice for each
changed field that has a message for it, and complains to `/v1/log`. What is not answered is tried again with
growing pauses; pushes that come while it is at it make it look once more.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from cryptography import x509

from web.demo.pkpass import PLACES, Opened, PassRefused, open_pass

# Between tries, in seconds. A phone has more patience, and a person before an emulated one less.
PAUSES = (0.5, 1, 2, 4, 8, 15)
JOURNAL_LINES = 60
MOST_NOTICES = 20


class NoAnswer(Exception):
    """Nobody answered: no connection, no answer in time, or one that says to try again, however often it was tried."""


class Answer(msgspec.Struct, frozen=True):
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Ask = Callable[[str, str, dict[str, str], bytes], Awaitable[Answer]]
"""Sends a request (method, address, headers, body) and returns what came back. Raises: NoAnswer."""


class Held(msgspec.Struct, kw_only=True):
    """A pass in the wallet. `service` is the base of its web service, `updates` the switch on its back."""

    opened: Opened
    token: str
    service: str
    last_modified: str | None = None
    is_registered: bool = False
    updates: bool = True

    @property
    def pass_type(self) -> str:
        return str(self.opened.document["passTypeIdentifier"])


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What the lock screen says of a pass that changed."""

    serial: str
    title: str
    text: str
    at: datetime


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the phone did or heard: `what` it asked, and the `answer`."""

    at: datetime
    what: str
    answer: str


def through(client: httpx.AsyncClient) -> Ask:
    """Asking by way of an HTTP client."""

    async def ask(method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            answer = await client.request(method, url, headers=headers, content=body)
        except httpx.TransportError as error:
            raise NoAnswer(type(error).__name__) from error
        return Answer(
            answer.status_code,
            {name.lower(): answer.headers[name] for name in answer.headers},
            answer.content,
        )

    return ask


class Phone:
    """One phone. `held` are its passes by serial, `notices` what its lock screen said, the newest first.

    `roots` are the authorities that it trusts, None for any (see `open_pass`). `service` stands in for the address in
    a pass: a development server speaks http, which no pass may name. `headers` go with each request. Without
    `keeps_files` pictures and translations of passes are forgotten once they were looked at.
    """

    def __init__(
        self,
        ask: Ask,
        *,
        roots: Sequence[x509.Certificate] | None,
        service: str | None = None,
        language: str = "en",
        pauses: Sequence[float] = PAUSES,
        headers: Mapping[str, str] | None = None,
        keeps_files: bool = True,
    ) -> None:
        self.device_id, self.push_token = _new_names()
        self.language = language
        self.held: dict[str, Held] = {}
        self.tags: dict[tuple[str, str], str] = {}
        self.notices: deque[Notice] = deque(maxlen=MOST_NOTICES)
        self.journal: deque[Exchange] = deque(maxlen=JOURNAL_LINES)
        # How many changes a person could see; whoever shows the phone looks at it anew when this has grown.
        self.changes = 0
        self._ask, self._roots, self._service = ask, roots, service
        self._pauses, self._headers, self._keeps_files = pauses, dict(headers or {}), keeps_files
        self._is_looking = self._must_look_again = False
        # Gone or turned off, and their web service has yet to hear it.
        self._leaving: dict[str, Held] = {}

    # What the person does

    def open(self, package: bytes) -> Opened:
        """Look into a package. Raises: PassRefused."""
        return open_pass(package, self._roots)

    async def add(self, package: bytes, *, token: str | None = None) -> Held:
        """Put a pass into the wallet and register for its updates; `token` where the pass itself names none.

        Raises: PassRefused; NoAnswer, if only the registration went wrong: `look` tries that again.
        """
        opened = self.open(package)
        service = self._service or opened.document.get("webServiceURL", "")
        held = Held(
            opened=self._kept(opened),
            token=token or str(opened.document.get("authenticationToken", "")),
            service=str(service).rstrip("/"),
        )
        self.held[opened.serial] = held
        self.changes += 1
        await self._register(held)
        return held

    async def remove(self, serial: str) -> None:
        """Take a pass out of the wallet; its web service is told. Raises: NoAnswer."""
        held = self.held.pop(serial)
        self.changes += 1
        await self._unregister(held)

    async def set_updates(self, serial: str, on: bool) -> None:
        """Turn the switch "Automatic Updates" on a pass's back. Raises: NoAnswer."""
        held = self.held[serial]
        held.updates = on
        self.changes += 1
        await (self._register(held) if on else self._unregister(held))

    async def restore(self) -> None:
        """Be another phone that was set up from this one's backup: the same passes, another name and push token."""
        self.device_id, self.push_token = _new_names()
        self.tags.clear()
        for held in self.held.values():
            held.is_registered = False
        self._note("Restored from a backup", f"device {self.device_id[:8]}…")
        await self.look()

    async def change_push_token(self) -> None:
        """Get another push token, as a phone does at any time; every web service is told. Raises: NoAnswer."""
        self.push_token = secrets.token_hex(32)
        for held in list(self.held.values()):
            if held.is_registered:
                await self._register(held)

    # What the phone does by itself

    async def hear(self) -> None:
        """A push came."""
        self._note("A push came", "")
        await self.look()

    async def look(self) -> None:
        """Fetch what has changed. Asked while it is at it, it looks once more. Raises: NoAnswer."""
        self._must_look_again = True
        if self._is_looking:
            return
        self._is_looking = True
        try:
            while self._must_look_again:
                self._must_look_again = False
                await self._look_once()
        finally:
            self._is_looking = False

    async def _look_once(self) -> None:
        await self._leave()
        for held in list(self.held.values()):
            if held.updates and not held.is_registered:
                await self._register(held)
        services = {(each.service, each.pass_type) for each in self.held.values() if each.is_registered}
        for service, pass_type in sorted(services):
            await self._ask_what_changed(service, pass_type)

    async def _ask_what_changed(self, service: str, pass_type: str) -> None:
        tag = self.tags.get((service, pass_type))
        since = f"?passesUpdatedSince={quote(tag, safe='')}" if tag else ""
        path = f"/v1/devices/{self.device_id}/registrations/{pass_type}{since}"
        answer = await self._request("GET", service, path)
        if answer.status == 204:
            return
        told = _json(answer.body) if answer.status == 200 else {}
        serials, new_tag = told.get("serialNumbers"), told.get("lastUpdated")
        if not isinstance(serials, list) or not isinstance(new_tag, str):
            await self._complain(service, f"Unexpected answer {answer.status} to what has changed.")
            return
        for serial in serials:
            if serial in self.held:
                await self._fetch(self.held[serial])
        # Only now: what was not fetched is asked for again.
        self.tags[service, pass_type] = new_tag

    async def _fetch(self, held: Held) -> None:
        headers = {"if-modified-since": held.last_modified} if held.last_modified else {}
        serial = held.opened.serial
        path = f"/v1/passes/{held.pass_type}/{serial}"
        answer = await self._request("GET", held.service, path, held, headers)
        if answer.status == 304:
            return
        if answer.status != 200:
            await self._complain(
                held.service, f"Unexpected answer {answer.status} to the request for a pass."
            )
            return
        try:
            opened = self.open(answer.body)
            if opened.serial != serial or opened.document["passTypeIdentifier"] != held.pass_type:
                raise PassRefused("The pass that came is another than was asked for.")
        except PassRefused as error:
            await self._complain(held.service, f"The pass cannot be read because it isn't valid. {error}")
            return
        self._notice(held.opened, opened)
        held.opened, held.last_modified = self._kept(opened), answer.headers.get("last-modified")
        self.changes += 1

    async def _register(self, held: Held) -> None:
        if not held.service or not held.token:
            return
        self._leaving.pop(held.opened.serial, None)
        body = msgspec.json.encode({"pushToken": self.push_token})
        answer = await self._request("POST", held.service, self._registration(held), held, body=body)
        if answer.status in (200, 201):
            held.is_registered = True
        else:
            await self._complain(held.service, f"Unexpected answer {answer.status} to a registration.")

    async def _unregister(self, held: Held) -> None:
        if held.is_registered:
            held.is_registered = False
            self._leaving[held.opened.serial] = held
            await self._leave()

    async def _leave(self) -> None:
        """Tell the web services of passes that went, until they have heard it."""
        for serial, held in list(self._leaving.items()):
            answer = await self._request("DELETE", held.service, self._registration(held), held)
            if self._leaving.get(serial) is held:
                del self._leaving[serial]
            if answer.status != 200:
                await self._complain(held.service, f"Unexpected answer {answer.status} to an unregistration.")

    def _registration(self, held: Held) -> str:
        return f"/v1/devices/{self.device_id}/registrations/{held.pass_type}/{held.opened.serial}"

    async def _complain(self, service: str, message: str) -> None:
        line = f"[{datetime.now(UTC):%Y-%m-%d %H:%M:%S %z}] Web service error ({service}): {message}"
        await self._request("POST", service, "/v1/log", body=msgspec.json.encode({"logs": [line]}))

    async def _request(
        self,
        method: str,
        service: str,
        path: str,
        held: Held | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Ask, again and again until somebody answers. Raises: NoAnswer."""
        sent = {**self._headers, **(headers or {})}
        if held is not None:
            sent["authorization"] = f"ApplePass {held.token}"
        if body:
            sent["content-type"] = "application/json"
        for pause in (*self._pauses, None):
            try:
                answer = await self._ask(method, service + path, sent, body)
            except NoAnswer as error:
                outcome = str(error)
            else:
                outcome = str(answer.status)
                if answer.status != 429 and answer.status < 500:
                    self._note(_shortened(method, path), outcome)
                    return answer
            self._note(_shortened(method, path), outcome)
            if pause is not None:
                await asyncio.sleep(pause)
        raise NoAnswer(outcome)

    def _kept(self, opened: Opened) -> Opened:
        if self._keeps_files:
            return opened
        return Opened(package=b"", document=opened.document, files={}, strings={})

    def _notice(self, before: Opened, after: Opened) -> None:
        now = datetime.now(UTC)
        for text in changes_told(before, after, self.language):
            title = str(after.document["organizationName"])
            self.notices.appendleft(Notice(serial=after.serial, title=title, text=text, at=now))

    def _note(self, what: str, answer: str) -> None:
        self.journal.appendleft(Exchange(at=datetime.now(UTC), what=what, answer=answer))


def changes_told(before: Opened, after: Opened, language: str) -> list[str]:
    """The notices for a pass that changed: of each field that was there before, has another value and a message."""
    was = _values(before)
    return [
        after.say(field["changeMessage"], language).replace("%@", after.say(str(field["value"]), language))
        for place in PLACES
        for field in after.fields(place)
        if field.get("changeMessage") and field["key"] in was and was[field["key"]] != field["value"]
    ]


def _values(opened: Opened) -> dict[str, Any]:
    return {field["key"]: field["value"] for place in PLACES for field in opened.fields(place)}


def _new_names() -> tuple[str, str]:
    """A device id and a push token, as long as Apple's."""
    return secrets.token_hex(16), secrets.token_hex(32)


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _shortened(method: str, path: str) -> str:
    """A request as a person reads it: long ids are cut."""
    parts = path.partition("?")[0].split("/")
    short = "/".join(f"{part[:6]}…" if len(part) >= 30 else part for part in parts)
    return f"{method} {short}{'?passesUpdatedSince=…' if '?' in path else ''}"
