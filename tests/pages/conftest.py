"""One server on each database for all tests of pages, and programmes of other kinds beside the demo's.

Tests share the servers, so each uses addresses and networks of its own.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.conftest import BOTH, Fresh
from tests.support.serving import ROOT, Server, serving

ATELIER = """
slug = "atelier"
[settings]
name = "Atelier"
languages = ["en", "es"]
country = "GB"
asks = "email"
[settings.texts.en]
gain = "The tenth lamp is free"
[[settings.fields]]
key = "shoe"
kind = "text"
label = { en = "Your shoe size" }
required = true
[[settings.fields]]
key = "since"
kind = "date"
label = { en = "Customer since" }
required = true
[[settings.fields]]
key = "moved"
kind = "date"
label = { en = "Moved in" }
[[settings.fields]]
key = "style"
kind = "choice"
label = { en = "Your style" }
required = true
options = [ { value = "plain", label = { en = "Plain" } }, { value = "lush", label = { en = "Lush" } } ]
[[settings.fields]]
key = "born"
kind = "birthday"
label = { en = "Your birthday" }
required = true
[[settings.fields]]
key = "note"
kind = "text"
label = { en = "Anything else" }
"""
PHONES = """
slug = "kiosk"
[settings]
name = "Kiosk"
country = "GB"
asks = "phone"
"""


@pytest.fixture(scope="package", params=BOTH)
def server(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        yield stack.enter_context(serving(Fresh(request, stack)(request.param), data_dir))


@pytest.fixture(scope="package")
def sqlite_server(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        yield stack.enter_context(serving(Fresh(request, stack)("sqlite"), data_dir))


@pytest.fixture(scope="package")
def shops(sqlite_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """The server with two more programmes, each made by the command while it runs."""
    folder = tmp_path_factory.mktemp("programs")
    for slug, text in (("atelier", ATELIER), ("kiosk", PHONES)):
        path = folder / f"{slug}.toml"
        path.write_text(text)
        create_program(sqlite_server, slug, str(path))
    return sqlite_server


def create_program(server: Server, slug: str, *arguments: str) -> None:
    """Make a programme by command, and wait until the running server has it."""
    command = [sys.executable, "-m", "web", "program", "create", *arguments]
    environment = {"PATH": "/usr/bin:/bin", **server.environment}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    ends = time.monotonic() + 6
    while httpx.get(f"{server.url}/{slug}", verify=False).status_code != 200:
        assert time.monotonic() < ends, "the server did not take the new programme over"
        time.sleep(0.1)
