"""A shop that is open, and people with phones."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright

from e2e.person import People
from tests.support.browser import chromium
from tests.support.postgres import postgres_server
from tests.support.serving import Server, serving


@pytest.fixture(scope="session")
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pasito-e2e-") as folder:
        yield Path(folder)


@pytest.fixture(scope="package")
def shop(data_dir: Path) -> Iterator[Server]:
    """What `./dev run` starts, as a newcomer's machine has it: the demo programme on SQLite."""
    with serving(f"sqlite:///{data_dir}/pasito.db", data_dir, command=("demo",)) as server:
        yield server


@pytest.fixture(scope="module")
def postgres_shop(data_dir: Path) -> Iterator[Server]:
    with (
        postgres_server() as postgres,
        postgres.fresh() as url,
        serving(url, data_dir, command=("demo",)) as server,
    ):
        yield server


# Not for the whole session: while it is open, no async test of another package may run.
@pytest.fixture(scope="package")
def browser() -> Iterator[tuple[Playwright, Browser]]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def people(browser: tuple[Playwright, Browser], shop: Server) -> Iterator[People]:
    """Makes people; at the end of each test their consoles must have stayed silent, and so their policies."""
    made = People(*browser, shop)
    yield made
    assert made.leave() == []
