"""An installation's processes, killed without warning and started again at the same place."""

import contextlib
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from tests.support.rows import in_database
from tests.support.serving import ROOT, Server, serving


class House:
    """A web process, on PostgreSQL with a worker of its own beside it. Close the stack at the end."""

    def __init__(
        self,
        stack: ExitStack,
        url: str,
        data_dir: Path,
        port: int,
        *,
        has_worker: bool | None = None,
        **settings: str,
    ) -> None:
        self.url, self.port = url, port
        self._data_dir, self._settings = data_dir, settings
        self._stack = stack.enter_context(ExitStack())
        self._has_worker = url.startswith("postgresql") if has_worker is None else has_worker
        self._worker: subprocess.Popen[bytes] | None = None
        self.server = self._open()
        stack.callback(self._end_worker)
        self._start_worker()
        self.kills = 0

    def kill_web(self) -> None:
        """As a power cut would; it is up again when this returns."""
        self.server.kill()
        self._stack.close()
        self.kills += 1
        self.server = self._open()
        self._let_leases_end()

    def kill_worker(self) -> None:
        if not self._has_worker:
            self.kill_web()
            return
        self._end_worker()
        self.kills += 1
        self._start_worker()
        self._let_leases_end()

    def _open(self) -> Server:
        settings: dict[str, Any] = {
            **self._settings,
            "PASITO_WORKER": "false" if self._has_worker else "true",
        }
        return self._stack.enter_context(
            serving(self.url, self._data_dir, command=("serve",), port=self.port, **settings)
        )

    def _start_worker(self) -> None:
        if self._has_worker:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "web", "worker"],
                cwd=ROOT,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **self.server.environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def _end_worker(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.wait()
            self._worker = None

    def _let_leases_end(self) -> None:
        """As if the minute had passed after which a dead worker's deliveries are anybody's."""
        while True:
            with contextlib.suppress(DBAPIError):  # a worker may hold rows in another order
                in_database(self.url, _start_leases_again)
                return


def _start_leases_again(conn: Connection) -> None:
    conn.execute(text("UPDATE delivery SET due_at = created_at WHERE state = 'waiting'"))
