"""Fixtures for all tests: both databases with the demo programme, and real servers on them.

A test that takes `database_url`, `database` or `server` runs once on SQLite and once on PostgreSQL. `sqlite_server`
is for what does not touch the database's own behaviour.
"""

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.support.apns import ApnsServer, apns_server
from tests.support.google import Google, make_account
from tests.support.postgres import PostgresServer, postgres_server
from tests.support.promises import broken_promises
from tests.support.rows import in_database
from tests.support.serving import Server, serving
from web.demo import SLUG, ensure_demo
from web.foundation.database import Database, open_database
from web.foundation.sealing import Sealer
from web.loyalty.program import Program, load_program
from web.migrations import upgrade, with_connection
from web.settings import Settings
from web.wallet.apple.development import INTERMEDIATE, ROOT, development_certificates

BOTH = ("sqlite", "postgresql")
SECRET = "a secret key for tests, long enough to pass"


@pytest.fixture(scope="session")
def sealer() -> Sealer:
    return Sealer((SECRET,))


@pytest.fixture(scope="session")
def work_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pasito-tests-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def data_dir(work_folder: Path) -> Path:
    """One data folder for all servers: its certificates and compressed assets are made once."""
    (work_folder / "secret.key").write_text(SECRET)
    return work_folder


@pytest.fixture(scope="session")
def sqlite_template(work_folder: Path, sealer: Sealer) -> Path:
    path = work_folder / "template.db"
    _fill(f"sqlite:///{path}", sealer)
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer, sealer: Sealer) -> str:
    return postgres.template("brewbar", lambda url: _fill(url, sealer))


def _fill(url: str, sealer: Sealer) -> None:
    upgrade(url)
    with_connection(url, lambda conn: ensure_demo(conn, sealer))


class Fresh:
    """Makes a fresh copy of the demo database on either engine, dropped with the test that asked for it."""

    def __init__(self, request: pytest.FixtureRequest, stack: ExitStack) -> None:
        self._request = request
        self._stack = stack

    def __call__(self, engine: str) -> str:
        if engine == "postgresql":
            server: PostgresServer = self._request.getfixturevalue("postgres")
            return self._stack.enter_context(server.fresh(self._request.getfixturevalue("postgres_template")))
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="pasito-db-")))
        path = folder / "pasito.db"
        shutil.copy(self._request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"


@pytest.fixture
def fresh_database(request: pytest.FixtureRequest) -> Iterator[Fresh]:
    with ExitStack() as stack:
        yield Fresh(request, stack)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, fresh_database: Fresh) -> str:
    """A database with the demo programme, of this test alone."""
    return fresh_database(request.param)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    opened = open_database(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def program(database: Database, sealer: Sealer) -> Program:
    """The demo programme, as a process holds it."""
    loaded = await database.read(load_program, SLUG, sealer)
    assert loaded is not None
    return loaded


@pytest.fixture(scope="module", params=BOTH)
def server(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Server]:
    """A real server with the demo programme, shared by a module's tests; once on each database."""
    yield from _kept_promises(request, data_dir, request.param)


@pytest.fixture(scope="module")
def sqlite_server(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Server]:
    yield from _kept_promises(request, data_dir, "sqlite")


@pytest.fixture(scope="module")
def apns(data_dir: Path, work_folder: Path) -> Iterator[ApnsServer]:
    """Apple's push service, for the certificate of every server here, shared by a module's tests.

    A server that is given `**apns.environment` pushes to it; one that is not pushes nothing.
    """
    signing, usual = data_dir / "signing", Settings()
    development_certificates(signing, pass_type_id=usual.apple_pass_type, team_id=usual.apple_team)
    clients = work_folder / "clients.pem"
    clients.write_bytes(b"".join((signing / name).read_bytes() for name in (ROOT, INTERMEDIATE)))
    with apns_server(usual.apple_pass_type, clients) as server:
        yield server


def _kept_promises(request: pytest.FixtureRequest, data_dir: Path, engine: str) -> Iterator[Server]:
    """A server; at its end, everything that was recorded in it is what merchants are promised."""
    with ExitStack() as stack:
        url = Fresh(request, stack)(engine)
        yield stack.enter_context(serving(url, data_dir))
        assert in_database(url, broken_promises) == set()


@pytest.fixture(scope="session")
def google_account(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RSAPublicKey]:
    """The key file of a service account that `google` knows, and its public key."""
    path = tmp_path_factory.mktemp("google") / "service-account.json"
    return path, make_account(path)


@pytest.fixture
def google(google_account: tuple[Path, RSAPublicKey]) -> Iterator[Google]:
    """Google's servers, and a phone that holds cards of ours. `serving(…, **google.settings)` talks to them."""
    path, key = google_account
    email = json.loads(path.read_bytes())["client_email"]
    with Google({email: ("key-1", key)}, path) as stand_in:
        yield stand_in
