"""A real server process for as long as a test needs one, and what a test may ask of it."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import randrange
from typing import Any

import httpx

from tests.support.ports import free_port
from tests.support.rows import rows_of

ROOT = Path(__file__).parent.parent.parent
STARTS_WITHIN = 40.0


@dataclass
class Server:
    """A running server. `environment` is what it was started with."""

    url: str
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    log: Path

    def client(self, **headers: str) -> httpx.Client:
        """A browser-like client with a cookie jar, in a network of its own so that limits do not meet.

        Nothing here speaks TLS, and reading the world's authorities anew for each client takes 20 ms: `verify=False`.
        """
        return httpx.Client(base_url=self.url, headers=self.headers(**headers), timeout=20, verify=False)

    def headers(self, **more: str) -> dict[str, str]:
        """What a browser on its own network sends: same-origin forms, and a proxy's word for its address."""
        return {
            "origin": self.url,
            "x-forwarded-for": f"10.{randrange(256)}.{randrange(256)}.7",
            "user-agent": IPHONE,
            "accept-language": "en",
        } | {name.replace("_", "-"): value for name, value in more.items()}

    def messages(self, to: str, *, most: float = 10.0, at_least: int = 1) -> list[dict[str, Any]]:
        """The mailbox's messages to an address, newest first, once there are `at_least` so many."""
        ends = time.monotonic() + most
        while True:
            found = [
                row["message"]
                for row in rows_of(self.environment["DATABASE_URL"], "mailbox_message")
                if row["message"]["to"] == to
            ]
            if len(found) >= at_least or time.monotonic() > ends:
                return found[::-1]
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without any warning, as a power cut would."""
        self.process.kill()
        self.process.wait()


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Mobile/15E148 Safari/604.1"
)
PIXEL = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Mobile Safari/537.36"
)
LAPTOP = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)


@contextlib.contextmanager
def serving(
    database_url: str,
    data_dir: Path,
    *,
    command: tuple[str, ...] = ("serve",),
    port: int | None = None,
    **settings: str,
) -> Iterator[Server]:
    """Start `python -m web serve` on a free port and wait until it is ready; stop it at the end.

    Settings are given by their environment names: PASITO_SMTP_HOST="127.0.0.1".
    """
    port = port or free_port()
    url = f"http://localhost:{port}"
    environment = {
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "PASITO_DATA_DIR": str(data_dir),
        "PASITO_BASE_URL": url,
        "PASITO_TRUSTED_PROXIES": "127.0.0.0/8",
        **settings,
    }
    with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "web", *command],
            cwd=ROOT,
            # Compiling every module anew at each start would triple the time that it takes.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    server = Server(url, process, environment, Path(log.name))
    try:
        _wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        server.log.unlink(missing_ok=True)


def _wait_until_ready(server: Server) -> None:
    ends = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < ends:
        if server.process.poll() is not None:
            break
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/health/ready", verify=False).status_code == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{server.log.read_text()[-3000:]}")
