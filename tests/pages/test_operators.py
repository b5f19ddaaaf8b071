"""What operators see: health, metrics, and how pages fail and come back."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from tests.conftest import Fresh
from tests.pages.steps import new_address, register, registered
from tests.support.forwarding import wire
from tests.support.rows import in_database
from tests.support.serving import Server, serving
from web.migrations import upgrade
from web.settings import Settings
from web.wallet.apple.development import CERTIFICATE, INTERMEDIATE, KEY, development_certificates

STACK = ("Traceback", "sqlite", "asyncpg", "SELECT ", "no such table", "visit.", "/web/", "itestar")
PRODUCTION = {
    "PASITO_ENVIRONMENT": "production",
    "PASITO_BASE_URL": "https://cards.example.test",
    "PASITO_SECRET_KEYS": "0123456789abcdef" * 2,
    "PASITO_SMTP_HOST": "127.0.0.1",
    "PASITO_MAIL_FROM": "cards@example.test",
    "PASITO_WORKER": "false",
    "PASITO_METRICS_TOKEN": "watch-me",
}


def run(url: str, *statements: str) -> None:
    def work(conn: Connection) -> None:
        for statement in statements:
            conn.execute(text(statement))

    in_database(url, work)


def test_live_says_only_that_the_process_answers(server: Server) -> None:
    with server.client() as client:
        answer = client.get("/health/live")
    assert (answer.status_code, answer.text) == (200, "alive\n")
    assert answer.headers["cache-control"] == "no-store"


def test_ready_counts_what_waits(server: Server) -> None:
    with server.client() as client:
        lines = dict(line.split(" ", 1) for line in client.get("/health/ready").text.splitlines()[1:])
    assert lines.keys() == {"waiting", "dead", "oldest_seconds"}
    assert lines["dead"] == "0"


def test_not_ready_while_migrations_are_behind(fresh_database: Fresh, data_dir: Path) -> None:
    url = fresh_database("sqlite")
    with serving(url, data_dir) as server, server.client() as client:
        assert client.get("/health/ready").status_code == 200
        run(url, "update alembic_version set version_num = 'older'")
        behind = client.get("/health/ready")
        assert behind.status_code == 503
        assert "migrate" in behind.text
        assert client.get("/health/live").status_code == 200


def test_the_end_of_apples_certificates_is_told_before_it_comes(
    fresh_database: Fresh, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.wallet.apple.development._LIFETIME", timedelta(days=20))
    usual = Settings()
    held = development_certificates(
        tmp_path / "signing", pass_type_id=usual.apple_pass_type, team_id=usual.apple_team
    )
    names = {"certificate": CERTIFICATE, "key": KEY, "intermediate": INTERMEDIATE}
    files = {f"PASITO_APPLE_{name.upper()}": str(tmp_path / "signing" / file) for name, file in names.items()}
    with serving(fresh_database("sqlite"), data_dir, **files) as server:  # type: ignore[arg-type]
        ready = httpx.get(f"{server.url}/health/ready")
        metrics = httpx.get(f"{server.url}/metrics").text
    assert ready.status_code == 200, "a restart would mend nothing"
    assert f"warning the Apple Wallet certificates are good until {held.ends:%Y-%m-%d} only" in ready.text
    line = next(
        line for line in metrics.splitlines() if line.startswith("pasito_certificate_expires_seconds")
    )
    assert line.split("}")[0].endswith('certificate="apple"')
    assert 19 < float(line.split()[-1]) / 86400 < 20


def test_metrics_are_for_this_machine_and_count_routes_without_naming_anybody(sqlite_server: Server) -> None:
    customer = registered(sqlite_server)
    with httpx.Client(base_url=sqlite_server.url) as local:
        metrics = local.get("/metrics")
        assert metrics.status_code == 200
        for header in ({"x-forwarded-for": "203.0.113.7"}, {"x-forwarded-for": "127.0.0.1"}):
            assert local.get("/metrics", headers=header).status_code == 401
    assert 'route="/{slug}/register/about",status="303"' in metrics.text.replace(":str", "")
    for word in (customer["email"], customer["id"], customer["card_number"], "brewbar"):
        assert word not in metrics.text


def test_a_refusal_is_counted_by_its_rule(sqlite_server: Server) -> None:
    with sqlite_server.client() as client:
        for _ in range(21):
            client.post("/brewbar/card", data={"contact": new_address()})
    metrics = httpx.get(f"{sqlite_server.url}/metrics").text
    assert 'pasito_limit_refusals_total{rule="card_request_by_network"}' in metrics


def test_production_has_no_mailbox_and_asks_for_the_metrics_token(data_dir: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'production.db'}"
    upgrade(url)
    with serving(url, data_dir, **PRODUCTION) as server:
        with server.client(host="cards.example.test") as client:
            for path in (
                "/dev/mailbox",
                "/dev/mailbox/01a1fd3d-5326-7202-a719-6fd3a29e9fa8/html",
                "/dev/phone",
                "/dev",
            ):
                assert client.get(path).status_code == 404
            for given, status in (
                ("Bearer watch-me", 200),
                ("Bearer wrong", 401),
                ("", 401),
                ("Bearer é", 401),
            ):
                asked = {"authorization": given.encode()} if given else {}
                assert client.get("/metrics", headers=asked).status_code == status, given
        with server.client(host="localhost") as client:
            assert client.get("/dev/mailbox").status_code == 421


def test_a_broken_database_is_a_500_that_tells_nothing_and_heals(
    fresh_database: Fresh, data_dir: Path
) -> None:
    url = fresh_database("sqlite")
    with serving(url, data_dir) as server, server.client(accept_language="es") as client:
        address = new_address()
        client.post("/brewbar/register", data={"contact": address})
        run(url, "alter table visit rename to elsewhere")
        for answer in (
            client.get("/brewbar/register/about"),
            client.post("/brewbar/register/about", data={"name": "Zoë Secret"}),
            client.get("/brewbar/register/about", headers={"hx-request": "true"}),
        ):
            assert answer.status_code == 500
            check_fault(answer)
        assert client.get("/brewbar").status_code == 200, "what needs no row goes on"
        run(url, "alter table elsewhere rename to visit")
        assert client.get("/brewbar/register/about").status_code == 200
        log = server.log.read_text()
    assert '"status":500' in log.replace(" ", "")
    for secret in (address, "Zoë Secret"):
        assert secret not in log


def check_fault(answer: httpx.Response) -> None:
    """In the brand, in the visitor's language, with a name for it and without a word of how it came about."""
    assert "Brew Bar" in answer.text
    assert 'lang="es"' in answer.text or "<html" not in answer.text
    assert answer.headers["x-request-id"] in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for word in STACK:
        assert word not in answer.text.partition("</style>")[2], word


def test_a_database_that_goes_away_is_a_503_and_comes_back_without_a_restart(
    fresh_database: Fresh, data_dir: Path
) -> None:
    real = fresh_database("postgresql")
    parts = urlsplit(real)
    assert parts.port is not None
    with wire(parts.port) as between:
        url = real.replace(f":{parts.port}/", f":{between.port}/")
        with serving(url, data_dir) as server, server.client(accept_language="es") as client:
            address = new_address()
            client.post("/brewbar/register", data={"contact": address})
            between.cut()
            for answer in (
                client.get("/brewbar/register/about"),
                client.post("/brewbar/register/about", data={"name": "Zoë"}),
                client.post("/brewbar/card", data={"contact": address}),
            ):
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) >= 1
                check_fault(answer)
            assert client.get("/health/ready").status_code == 503
            assert client.get("/health/live").status_code == 200
            assert client.get("/brewbar").status_code == 200
            between.join()
            came_back = until(lambda: client.get("/health/ready").status_code == 200)
            assert came_back, server.log.read_text()[-2000:]
            done = client.post("/brewbar/register/about", data={"name": "Zoë"})
            assert done.headers["location"] == "/brewbar/register/card"
            assert server.messages(address), "the worker came back too"
            with server.client() as other:
                assert register(other, new_address()).status_code == 303


def until(true: Any, seconds: float = 10) -> bool:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if true():
            return True
        time.sleep(0.1)
    return False
