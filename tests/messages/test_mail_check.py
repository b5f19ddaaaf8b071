"""`doctor` says what is wrong with the mail server in words that tell what to do."""

from pathlib import Path
from typing import Any

import pytest

from tests.messages.smtp_server import Post, certificate, smtp_server
from web.foundation.finding import Finding
from web.messages.mail import SmtpServer
from web.messages.mail_check import check_smtp

SENDER = "card@brewbar.example"


def way(port: int, **changed: Any) -> SmtpServer:
    return SmtpServer(**{"host": "127.0.0.1", "port": port, "security": "none", "timeout": 2.0} | changed)


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


async def test_a_good_server_is_good_and_gets_no_mail() -> None:
    post = Post()
    async with smtp_server(post) as port:
        finding = only(await check_smtp(way(port), SENDER))
    assert finding.level == "ok"
    assert post.taken == []


async def test_a_name_that_does_not_resolve() -> None:
    finding = only(await check_smtp(way(25, host="mx.nowhere.invalid"), SENDER))
    assert finding.level == "wrong"
    assert "cannot be resolved" in finding.what


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nothing_listens(host: str) -> None:
    async with smtp_server(Post()) as port:
        pass
    finding = only(await check_smtp(way(port, host=host), SENDER))
    assert finding.what == f"Nothing listens at {host}:{port}."


@pytest.mark.parametrize("security", ["tls", "starttls"])
async def test_an_expired_certificate(tmp_path: Path, security: str) -> None:
    theirs, ours = certificate(tmp_path, "localhost", expired=True)
    served = {"tls": theirs} if security == "tls" else {"starttls": theirs}
    async with smtp_server(Post(), **served) as port:
        finding = only(
            await check_smtp(way(port, host="localhost", security=security), SENDER, tls_context=ours)
        )
    assert finding.level == "wrong"
    assert "expired" in finding.what


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "elsewhere.example")
    async with smtp_server(Post(), tls=theirs) as port:
        finding = only(
            await check_smtp(way(port, host="localhost", security="tls"), SENDER, tls_context=ours)
        )
    assert "not to be trusted" in finding.what
    assert "localhost" in finding.what


async def test_tls_asked_of_a_port_that_starts_in_the_clear() -> None:
    async with smtp_server(Post()) as port:
        finding = only(await check_smtp(way(port, security="tls"), SENDER))
    assert "does not speak TLS from the first byte" in finding.what
    assert "starttls" in finding.do


async def test_starttls_asked_of_a_server_without_it() -> None:
    async with smtp_server(Post()) as port:
        finding = only(await check_smtp(way(port, security="starttls"), SENDER))
    assert "offers no STARTTLS" in finding.what


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_a_refused_login_shows_no_password() -> None:
    async with smtp_server(Post(), auth_required=True) as port:
        finding = only(await check_smtp(way(port, username="pasito", password="hunter2"), SENDER))
    assert "refused the login (535)" in finding.what
    assert "hunter2" not in finding.what + finding.do


async def test_a_login_asked_of_a_server_without_one() -> None:
    async with smtp_server(Post(), auth_exclude_mechanism=["LOGIN", "PLAIN"]) as port:
        finding = only(await check_smtp(way(port, username="pasito", password="s3cret"), SENDER))
    assert "offers no login" in finding.what


async def test_a_sender_that_the_server_does_not_take() -> None:
    async with smtp_server(Post(mail="553 5.7.1 not yours")) as port:
        finding = only(await check_smtp(way(port), SENDER))
    assert finding.what == f"127.0.0.1:{port} takes no mail from {SENDER} (553)."


async def test_a_silent_server() -> None:
    async with smtp_server(Post(before_answer=3)) as port:
        finding = only(await check_smtp(way(port, timeout=0.1), SENDER))
    assert "did not answer within 0.1 seconds" in finding.what


async def test_a_password_in_the_clear_is_named_even_where_the_server_is_not_reached() -> None:
    findings = await check_smtp(
        way(9, host="192.0.2.1", username="pasito", password="x", timeout=0.1), SENDER
    )
    assert [finding.level for finding in findings] == ["wrong", "wrong"]
    assert "unprotected" in findings[0].what
