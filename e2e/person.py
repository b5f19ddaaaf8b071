"""A person with a device: their own browser profile on their own network, and what they do with it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import randrange
from typing import Any, Literal
from uuid import uuid4

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Playwright

from tests.support.serving import LAPTOP, Server

Device = Literal["iphone", "pixel", "laptop"]

DESCRIPTORS = {"iphone": "iPhone 15", "pixel": "Pixel 10", "laptop": "Desktop Chrome"}
# An answer of 4xx is part of some journeys, and a lost connection of others; what went wrong is asserted there.
EXPECTED = re.compile(
    r"Failed to load resource: (the server responded with a status of 4|net::ERR_(FAILED|INTERNET_DISCONNECTED))"
    r"|htmx: htmx:error: Failed to fetch"
)
BREACHES = """addEventListener("securitypolicyviolation", (e) =>
  console.error(`policy breached: ${e.effectiveDirective} ${e.blockedURI} ${e.sample}`))"""


class Person:
    """One browser profile. `complaints` is what its console and its Content-Security-Policy complained of."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.context = context
        self.server = server
        self.complaints: list[str] = []
        context.on("console", self._listen)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.add_init_script(BREACHES)
        self.page = context.new_page()

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED.match(message.text):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")

    # What they do

    def opens(self, path: str) -> None:
        """Types an address of the server, or follows a whole one from a mail or a code."""
        self.page.goto(path if "://" in path else self.server.url + path)

    def enters(self, address: str) -> None:
        """Step 1."""
        self.page.get_by_label("E-mail address or mobile number").fill(address)
        self.taps("Continue")

    def asks_for_card(self, address: str) -> None:
        """Send me my card."""
        self.opens("/brewbar/card")
        self.page.get_by_label("E-mail address or mobile number").fill(address)
        self.page.locator("main form button[type=submit]").click()
        self.sees("Look in your inbox")

    def tells(
        self, name: str, *, birthday: tuple[str, str, str] | None = None, consents: bool = False
    ) -> None:
        """Fills step 2 in, and leaves it standing."""
        self.page.get_by_label("Your name").fill(name)
        if birthday:
            for part, value in zip(("Day", "Month", "Year"), birthday, strict=True):
                self.page.get_by_label(part).fill(value)
        if consents:
            for box in self.page.get_by_role("checkbox").all():
                box.check()

    def registers(
        self, address: str | None = None, name: str = "Zoë", path: str = "/brewbar/register"
    ) -> str:
        """All three steps; returns the address."""
        address = address or new_address()
        self.opens(path)
        self.enters(address)
        self.tells(name)
        self.taps("Create my card")
        self.page.wait_for_url(re.compile("/register/(card|sent)$"))
        return address

    def taps(self, name: str) -> None:
        self.button(name).click()

    # What they see

    def button(self, name: str) -> Locator:
        """A button, or a link that looks like one, by its words."""
        return self.page.get_by_role("button", name=name).or_(self.page.get_by_role("link", name=name)).first

    def sees(self, heading: str) -> None:
        """Waits for a page by its heading."""
        self.page.get_by_role("heading", level=1, name=heading).wait_for()

    @property
    def heading(self) -> Locator:
        return self.page.get_by_role("heading", level=1)

    def path(self) -> str:
        return self.page.url.removeprefix(self.server.url)

    def focused(self) -> dict[str, str]:
        """The element that has the focus: its tag, id, role and text."""
        found: dict[str, str] = self.page.evaluate(
            """() => { const e = document.activeElement;
            return {tag: e.tagName, id: e.id, role: e.getAttribute("role"), text: e.innerText} }"""
        )
        return found

    def links_in_mail(self, to: str, *, at_least: int = 1) -> list[str]:
        """The addresses in the newest message to an address."""
        newest = self.server.messages(to, at_least=at_least)[0]
        return re.findall(r"https?://\S+", newest["text"])

    def takes_apple_pass(self) -> bytes:
        """Taps Apple's button; the bytes that the phone would hand to Wallet."""
        with self.page.expect_download() as download:
            self.taps("Add to Apple Wallet")
        return Path(download.value.path()).read_bytes()

    def takes_google_pass(self) -> str:
        """Taps Google's button; the signed card in the address that the phone is sent to."""
        with self.page.expect_request("https://pay.google.com/gp/v/save/*") as request:
            self.taps("Add to Google Wallet")
        return request.value.url.rpartition("/")[2]


class People:
    """Makes persons in one browser, each on a network of its own, so that limits do not meet."""

    def __init__(self, playwright: Playwright, browser: Browser, server: Server) -> None:
        self._playwright, self._browser, self.server = playwright, browser, server
        self.all: list[Person] = []

    def __call__(self, device: Device = "iphone", server: Server | None = None, **options: Any) -> Person:
        """`options` are those of Playwright's contexts, before those of the device."""
        described = dict(self._playwright.devices[DESCRIPTORS[device]])
        described.pop("default_browser_type", None)
        if device == "laptop":
            # A headless browser says so in its name, and counts as a robot here.
            described |= {"user_agent": LAPTOP, "viewport": {"width": 1280, "height": 800}}
        network = f"10.{randrange(256)}.{randrange(256)}.7"
        options = {"locale": "en", "extra_http_headers": {"x-forwarded-for": network}, **options}
        context = self._browser.new_context(**{**described, **options})
        context.set_default_timeout(8000)
        person = Person(context, server or self.server)
        self.all.append(person)
        return person

    @contextmanager
    def one(self, device: Device = "iphone", **options: Any) -> Iterator[Person]:
        """A person who leaves at the end of the block."""
        person = self(device, **options)
        yield person
        self.all.remove(person)
        person.context.close()

    def leave(self) -> list[str]:
        """Close every profile; what their consoles complained of."""
        complaints = [complaint for person in self.all for complaint in person.complaints]
        for person in self.all:
            person.context.close()
        self.all.clear()
        return complaints


def new_address() -> str:
    return f"zoe-{uuid4().hex[:12]}@example.org"
