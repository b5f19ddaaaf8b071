"""A real Chromium, driven by Playwright."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from playwright import async_api, sync_api

from tests.support.need import missing
from tests.support.programs import find_chromium

# The sandbox needs rights that containers lack; the rest keeps the browser from calling its maker, or anybody else:
# a page that asks for something from elsewhere does not get it, on any machine.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
]


@contextmanager
def chromium() -> Iterator[tuple[sync_api.Playwright, sync_api.Browser]]:
    """Playwright, for its `devices`, and a browser, for tests that are plain functions.

    While it is open its thread counts as running an event loop: async tests must not run in between.
    Skips the test, or fails it in CI, where there is no Chromium.
    """
    with sync_api.sync_playwright() as playwright:
        program = _program(playwright.chromium.executable_path)
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield playwright, browser
        browser.close()


@asynccontextmanager
async def async_chromium() -> AsyncIterator[tuple[async_api.Playwright, async_api.Browser]]:
    """The same for async tests; it belongs to the event loop that opened it."""
    async with async_api.async_playwright() as playwright:
        program = _program(playwright.chromium.executable_path)
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield playwright, browser
        await browser.close()


def _program(playwrights_own: str) -> str:
    """The machine's Chromium before the one that `playwright install` fetches."""
    found = find_chromium() or (playwrights_own if Path(playwrights_own).exists() else None)
    return found or missing("Chromium is not on this machine")
