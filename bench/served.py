"""Real servers to measure, each a process on a core of its own where there are two.

The app is the one that is served in production, with one route more: the least that a durable write over HTTP
can be, to hold a registration against.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from litestar import Request, Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, func
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.ports import free_port
from tests.support.postgres import postgres_server
from web.app import create_app
from web.demo import ensure_demo
from web.foundation.database import LARGEST_BATCH, open_database
from web.foundation.sealing import Sealer
from web.migrations import upgrade, with_connection
from web.pages import PAGES
from web.passkit import PASSKIT
from web.settings import load_settings

ROOT = Path(__file__).parent.parent
SECRET = "a secret key for measuring that is long enough"
BARE_PATH = "/bench/bare"
# As it is served to customers: templates are compiled once, and cookies have their full names.
PRODUCTION = {
    "PASITO_ENVIRONMENT": "production",
    "PASITO_BASE_URL": "https://localhost",
    "PASITO_SECRET_KEYS": SECRET,
    "PASITO_SMTP_HOST": "127.0.0.1",
    "PASITO_MAIL_FROM": "cards@example.com",
}

bare_row = Table(
    "bench_bare_row",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("email", String(254), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)


class Place:
    """A data folder, and databases with the demo programme in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "secret.key").write_text(SECRET)
        self.sealer = Sealer((SECRET,))

    def sqlite(self, name: str) -> str:
        return self.filled(f"sqlite:///{self.folder / name}.db")

    def filled(self, url: str) -> str:
        upgrade(url)
        with_connection(url, lambda conn: ensure_demo(conn, self.sealer))
        return url


@contextlib.contextmanager
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="pasito-bench-") as folder:
        yield Place(Path(folder))


@contextlib.contextmanager
def durable_postgres(here: Place) -> Iterator[str]:
    """Address of a database with the demo programme on a PostgreSQL that flushes each commit to the disk."""
    with postgres_server(durable=True) as server:
        yield here.filled(server.url("postgres"))


@contextlib.contextmanager
def served(
    here: Place,
    database_url: str,
    *,
    batch: int = LARGEST_BATCH,
    pinned: bool = True,
    **settings: str,
) -> Iterator[int]:
    """The port of a server; where `pinned`, on the first core, and the caller from now on on the last."""
    port = free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "PASITO_DATA_DIR": str(here.folder),
        "PASITO_WORKER": "false",
        **settings,
    }
    command = [sys.executable, "-m", "bench.served", str(batch), *(("pinned",) if pinned else ())]
    log = here.folder / f"{port}.log"
    with log.open("wb") as written:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=written, stderr=written)
    try:
        if not answers(process, port):
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-3000:]}")
        with pin(last=True) if pinned else contextlib.nullcontext():
            yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@contextlib.contextmanager
def pin(*, last: bool) -> Iterator[None]:
    """Keep this process to the first or last of its cores, where the system has such a call and more than one.

    Only for a while: what is started meanwhile, a PostgreSQL say, would be kept there as well.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2:
        yield
        return
    os.sched_setaffinity(0, {cores[-1] if last else cores[0]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def answers(process: "subprocess.Popen[bytes]", port: int) -> bool:
    for _ in range(400):
        if process.poll() is not None:
            return False
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5)
            return True
        time.sleep(0.05)
    return False


def app(batch: int) -> ASGIApp:
    """Pasito with the bare route, writing at most `batch` units in one commit."""
    settings = load_settings()
    routes = [*PAGES, *PASSKIT]
    if settings.database_url.startswith("postgresql"):
        routes.append(_bare_route(settings.database_url))
    return create_app(settings, connect=partial(open_database, largest_batch=batch), routes=routes)


def _bare_route(database_url: str) -> HTTPRouteHandler:
    """One row in one transaction, as one would write it without any of our care."""
    engine = create_async_engine(make_url(database_url).set(drivername="postgresql+asyncpg"), pool_size=16)

    @post(BARE_PATH)
    async def insert_one(request: Request[Any, Any, Any]) -> Response[bytes]:
        form = dict(parse_qsl((await request.body()).decode()))
        async with engine.begin() as conn:
            await conn.execute(bare_row.insert().values(name=form["name"], email=form["email"]))
        return Response(b"", status_code=303, headers={"location": "/"})

    return insert_one


def main() -> None:
    with pin(last=False) if "pinned" in sys.argv else contextlib.nullcontext():
        uvicorn.run(
            app(int(sys.argv[1])),
            port=load_settings().port,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            log_config=None,
        )


if __name__ == "__main__":
    main()
