"""Processes as an operator starts them: several web processes and workers, each told to stop by SIGTERM."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.headerregistry import Address
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.conftest import Fresh
from tests.support.ports import free_port
from tests.support.rows import in_database, rows_of
from tests.support.serving import ROOT, Server, serving
from tests.support.smtp import SmtpServer, smtp_server
from web.foundation.sealing import Sealer
from web.program_file import create_from_file


@contextlib.contextmanager
def process(name: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Another process of an installation, such as a worker, killed at the end if it has not ended."""
    started = subprocess.Popen(
        [sys.executable, "-m", "web", name],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
    )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.kill()
            started.wait()


def stop(running: subprocess.Popen[bytes]) -> int:
    """The exit code after SIGTERM."""
    running.send_signal(signal.SIGTERM)
    return running.wait(30)


def by_mail(smtp: SmtpServer) -> dict[str, str]:
    """Settings for sending to this server."""
    return {
        "PASITO_SMTP_HOST": smtp.host,
        "PASITO_SMTP_PORT": str(smtp.port),
        "PASITO_SMTP_SECURITY": "none",
    }


def register(server: Server, slug: str = "brewbar") -> str:
    """Take the three steps; the address that was given."""
    address = f"zoe-{uuid4().hex[:12]}@example.org"
    with server.client() as client:
        assert client.post(f"/{slug}/register", data={"contact": address}).status_code == 303
        done = client.post(f"/{slug}/register/about", data={"name": "Zoë"})
        assert done.headers["location"] == f"/{slug}/register/card"
        assert client.get(f"/{slug}/register/card").status_code == 200
    return address


def addressees(smtp: SmtpServer) -> Counter[str]:
    return Counter(str(Address(addr_spec=mail.recipients[0])) for mail in smtp.mails)


def begin_a_post(port: int) -> socket.socket:
    """A request that has arrived in half: its form is still to come."""
    talk = socket.create_connection(("127.0.0.1", port), 10)
    head = f"POST /brewbar/register HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Length: 25\r\n"
    talk.sendall(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\n".encode())
    time.sleep(0.3)
    return talk


def end_the_post(talk: socket.socket) -> bytes:
    """The first line of the answer to the rest of the form."""
    talk.sendall(b"contact=ana%40example.org")
    answer = talk.makefile("rb").readline()
    talk.close()
    return answer


def test_two_web_processes_and_two_workers_confirm_each_registration_once(
    fresh_database: Fresh, data_dir: Path
) -> None:
    url = fresh_database("postgresql")
    with (
        smtp_server() as smtp,
        serving(
            url, data_dir, command=("serve", "--workers", "2"), PASITO_WORKER="false", **by_mail(smtp)
        ) as server,
        process("worker", server.environment) as first,
        process("worker", server.environment) as second,
    ):
        with ThreadPoolExecutor(6) as people:
            addresses = list(people.map(lambda _: register(server), range(30)))
        smtp.wait_for(30, seconds=40)
        talk = begin_a_post(int(server.environment["PORT"]))
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        assert end_the_post(talk) == b"HTTP/1.1 303 See Other\r\n"
        assert server.process.wait(30) == 0
        assert [stop(first), stop(second)] == [0, 0]
        assert addressees(smtp) == Counter(addresses)
    assert {row["state"] for row in rows_of(url, "delivery")} == {"done"}


def test_a_web_process_answers_what_has_arrived_and_then_ends_well(
    fresh_database: Fresh, data_dir: Path
) -> None:
    with serving(fresh_database("sqlite"), data_dir) as server:
        talk = begin_a_post(int(server.environment["PORT"]))
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health/live")
        assert end_the_post(talk) == b"HTTP/1.1 303 See Other\r\n"
        assert server.process.wait(30) == 0


def test_a_worker_learns_of_a_new_programme_and_finishes_its_mail_when_it_is_stopped(
    fresh_database: Fresh, data_dir: Path, tmp_path: Path, sealer: Sealer
) -> None:
    url = fresh_database("postgresql")
    file = tmp_path / "corner.toml"
    file.write_text('slug = "corner"\n[settings]\nname = "Corner"\nasks = "either"\n', "utf-8")
    with (
        smtp_server() as smtp,
        serving(url, data_dir, PASITO_WORKER="false", **by_mail(smtp)) as server,
        process("worker", server.environment) as worker,
    ):
        in_database(url, lambda conn: create_from_file(conn, file, sealer))
        _wait_until(lambda: httpx.get(f"{server.url}/corner").status_code == 200)
        smtp.delay = 1.0
        address = register(server, "corner")
        _wait_until(lambda: any(row["tries"] for row in rows_of(url, "delivery")))
        assert smtp.mails == [], "or the mail was out before the worker was stopped"
        assert stop(worker) == 0
        assert addressees(smtp) == Counter([address])
        assert [row["state"] for row in rows_of(url, "delivery")] == ["done"]


def test_the_demo_says_where_to_look_and_serves_it(tmp_path: Path) -> None:
    """On an empty folder, as `./dev run` finds it on a new machine."""
    port = free_port()
    with serving(
        f"sqlite:///{tmp_path / 'pasito.db'}", tmp_path, command=("demo",), port=port, PYTHONUNBUFFERED="1"
    ) as server:
        said = server.log.read_text()
        for path in ("/brewbar", "/brewbar/poster", "/dev/mailbox"):
            assert f"http://localhost:{port}{path}" in said
            assert httpx.get(f"{server.url}{path}", follow_redirects=True).status_code == 200
        assert "API key" not in said, "keys come with the API"
        assert stop(server.process) == 0


def _wait_until(so: object, seconds: float = 30) -> None:
    assert callable(so)
    ends = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < ends, "it did not come about in time"
        time.sleep(0.05)
