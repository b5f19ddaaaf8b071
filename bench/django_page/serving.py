"""Django's page on a server as its users run it: gunicorn, here with one process on the first core as ours."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from bench.served import ROOT, Place, answers, pin
from tests.support.ports import free_port


def session_cookie(number: int) -> str:
    return f"session={session_key(number)}"


def session_key(number: int) -> str:
    return f"bench{number:027}"


@contextlib.contextmanager
def django_served(here: Place, database_url: str, *, people: int, entries: int) -> Iterator[int]:
    """The port of a server whose `people` have a session and so many `entries` each."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DJANGO_SETTINGS_MODULE": "bench.django_page.settings",
    }
    fill = [sys.executable, "-m", "django", "fill", str(people), str(entries)]
    subprocess.run(fill, cwd=ROOT, env=environment, check=True)
    gunicorn = [
        sys.executable,
        "-m",
        "gunicorn",
        "bench.django_page.wsgi:application",
        f"--bind=127.0.0.1:{port}",
    ]
    options = [
        "--workers=1",
        "--worker-class=gthread",
        "--threads=2",
        "--keep-alive=30",
        "--no-control-socket",
    ]
    log = here.folder / f"{port}.log"
    with log.open("wb") as written, pin(last=False):
        process = subprocess.Popen(
            [*gunicorn, *options], cwd=ROOT, env=environment, stdout=written, stderr=written
        )
    try:
        if not answers(process, port):
            raise RuntimeError(f"Django did not start:\n{log.read_text()[-3000:]}")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
