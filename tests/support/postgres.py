"""A PostgreSQL server for as long as tests need one, and a fresh database for each of them.

The server is real and its own: private port, private folder, nothing left behind. It gives up durability for
speed unless asked to keep it.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.need import missing
from tests.support.ports import free_port
from tests.support.programs import find_postgres

_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "jit": "off"}


class PostgresServer:
    """A running server. Made by `postgres_server`."""

    def __init__(self, programs: Path, folder: Path, settings: dict[str, str]) -> None:
        self.programs = programs
        self.folder = folder
        self.port = free_port()
        self._settings = settings
        self._owner = _owner()
        self._numbers = count(1)

    def start(self) -> None:
        """Start it on the folder that `initdb` made, and wait until it answers."""
        settings = {
            **self._settings,
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options]
        with (self.folder / "log").open("ab") as log:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder, **self._owner
            )
        _wait_until_ready(self._process, self.folder / "data" / "postmaster.pid", self.folder / "log")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it, cutting off whoever is connected; it may be started again."""
        self._process.send_signal(how)
        self._process.wait(timeout=30)

    def url(self, database: str = "postgres") -> str:
        """Address of one of its databases, in the form that DATABASE_URL takes."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Run one statement and give back its rows, fields parted by `|`.

        Goes through `psql`, so that it also works inside an event loop.
        """
        command = [str(self.programs / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]
        options = ["--set", "ON_ERROR_STOP=1", "--dbname", self.url(database), "--command", statement]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout.strip()

    def template(self, name: str, fill: Callable[[str], object]) -> str:
        """Make a database to copy others from; `fill` gets its address and must close what it opens."""
        self.sql(f'CREATE DATABASE "{name}"')
        fill(self.url(name))
        return name

    @contextmanager
    def fresh(self, template: str = "template1") -> Iterator[str]:
        """Address of a new copy of the template, dropped at the end with whoever is still connected."""
        name = f"{template}_{next(self._numbers)}"
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield self.url(name)
        finally:
            self.sql(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Start a server, as another user when root since it refuses root, and stop it at the end.

    With `durable` every commit reaches the disk, as in production: for measuring, not for testing.
    Skips the test, or fails it in CI, where there is no PostgreSQL.
    """
    programs = find_postgres() or missing("PostgreSQL (`initdb` and `postgres`) is not on this machine")
    owner = _owner()
    folder = Path(tempfile.mkdtemp(prefix="pasito-pg-"))
    try:
        if owner:
            shutil.chown(folder, owner["user"], owner["group"])
        initdb = [
            str(programs / "initdb"),
            "--pgdata",
            str(folder / "data"),
            "--no-sync",
            "--no-instructions",
        ]
        _run([*initdb, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8"], owner)
        server = PostgresServer(programs, folder, {} if durable else _FAST)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # at once: the data is thrown away with the folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> dict[str, Any]:
    """Who runs the server, as arguments of `subprocess`: the caller, or a user without rights when root."""
    if os.geteuid() != 0:
        return {}
    known = {user.pw_name: user for user in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[str], owner: dict[str, Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **owner)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())


def _wait_until_ready(
    process: "subprocess.Popen[bytes]", status: Path, log: Path, seconds: float = 30
) -> None:
    """The last line of `postmaster.pid` says `ready` once the server answers."""
    deadline = time.monotonic() + seconds
    while not (status.exists() and status.read_text().rstrip().endswith("ready")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        time.sleep(0.02)
