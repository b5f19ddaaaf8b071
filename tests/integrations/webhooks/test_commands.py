"""Webhooks by command, and what the doctor says of them."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from tests.conftest import SECRET, Fresh
from tests.integrations.webhooks.office import the_checker_of_the_readme
from tests.support.ports import free_port
from tests.support.receiver import Receiver, Reply
from tests.support.rows import in_database, rows_of
from tests.test_cli import Command, commanding, complained, done
from web.doctor.webhooks import look_at_webhooks
from web.foundation.finding import Finding
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.integrations.webhooks.endpoint import webhook_endpoint
from web.loyalty.program import load_program, reseal_signing_keys

is_from_pasito = the_checker_of_the_readme()
OURS = ("--program", "brewbar")


@pytest.fixture
def database_url(fresh_database: Fresh) -> str:
    return fresh_database("sqlite")


@pytest.fixture
def command(data_dir: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("PASITO_WEBHOOK_ALLOW_PRIVATE", "true")
    return commanding(data_dir, database_url)


def added(command: Command, url: str, *more: str) -> tuple[str, str]:
    """The id and the secret of a new endpoint."""
    found = re.search(
        r"Endpoint  (\S+)\nSecret    (whsec_\S+)\n", done(command("webhook", "add", *OURS, url, *more))
    )
    assert found is not None
    return found[1], found[2]


def test_an_endpoint_s_whole_life(command: Command, receiver: Receiver, database_url: str) -> None:
    its, secret = added(command, receiver.url, "--event", "balance-changed")
    assert "nothing was sent yet" in done(command("webhook", "list", *OURS))
    assert "answered 200" in done(command("webhook", "test", *OURS, its))
    [tried] = receiver.requests
    assert tried.envelope["name"] == "Webhook test"
    assert is_from_pasito(tried.body, tried.headers["x-pasito-signature"], secret)
    assert "whsec_" in done(command("webhook", "rotate", *OURS, its, "--now"))
    done(command("webhook", "test", *OURS, its))
    later = receiver.requests[-1]
    assert not is_from_pasito(later.body, later.headers["x-pasito-signature"], secret)
    done(command("webhook", "change", *OURS, its, "--event", "Tier changed", "--url", f"{receiver.url}?b"))
    done(command("webhook", "pause", *OURS, its))
    listed = done(command("webhook", "list", *OURS))
    assert f"{receiver.url}?b" in listed
    assert "Tier upgraded, Tier downgraded" in listed
    assert "PAUSED" in listed
    assert "0 go out now" in done(command("webhook", "resume", *OURS, its))
    assert "0 go out now" in done(command("webhook", "replay", *OURS, its, "--since", "2026-01-01"))
    assert "Removed" in done(command("webhook", "remove", *OURS, its))
    assert rows_of(database_url, "webhook_endpoint") == []
    assert "+ Coupon used" in done(command("webhook", "events"))


def test_what_goes_wrong_is_one_sentence(
    command: Command, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    its, _ = added(command, receiver.url)
    receiver.answer = lambda _: Reply(500)
    assert "Only 2xx" in complained(command("webhook", "test", *OURS, its))
    done(command("webhook", "change", *OURS, its, "--url", f"http://127.0.0.1:{free_port()}/"))
    assert "was refused" in complained(command("webhook", "test", *OURS, its))
    assert "webhook events" in complained(command("webhook", "change", *OURS, its, "--event", "lunch"))
    assert "webhook list" in complained(command("webhook", "pause", *OURS, "7"))
    unknown = "0192f7c0-0000-7000-8000-000000000001"
    for name in ("pause", "resume", "replay", "rotate", "remove", "test", "change"):
        assert "no endpoint" in complained(command("webhook", name, *OURS, unknown))
    monkeypatch.delenv("PASITO_WEBHOOK_ALLOW_PRIVATE")
    assert "https://" in complained(command("webhook", "add", *OURS, receiver.url))


def test_the_doctor_says_who_does_not_listen(command: Command, database_url: str) -> None:
    added(command, "https://shop.example.com/hooks/a-secret-path")

    def findings(*keys: str, **changes: object) -> list[Finding]:
        def look(conn: Connection) -> list[Finding]:
            conn.execute(update(webhook_endpoint).values(**changes)) if changes else None
            program = load_program(conn, "brewbar", Sealer((SECRET,)))
            assert program is not None
            return list(look_at_webhooks(conn, program.id, "brewbar", Sealer(keys or (SECRET,))))

        found: list[Finding] = in_database(database_url, look)
        assert "a-secret-path" not in str(found)
        return found

    assert [each.level for each in findings()] == ["ok"]
    assert [each.level for each in findings("another key")] == ["wrong", "ok"]
    [failing] = findings(failing_since=utc_now() - timedelta(hours=2))
    assert failing.level == "note"
    assert "webhook test" in failing.do
    [paused] = findings(paused_at=utc_now(), pause_reason="it answered 410")
    assert paused.level == "wrong"
    assert "shop.example.com" in paused.what
    assert "it answered 410" in paused.what
    assert "webhook resume" in paused.do
    [by_hand] = findings(pause_reason="by the operator")
    assert by_hand.level == "note", "who paused it knows"


def test_key_reseal_takes_the_secrets_along(command: Command, database_url: str) -> None:
    old, new = "o" * 40, "n" * 40
    in_database(database_url, lambda conn: reseal_signing_keys(conn, Sealer((old, SECRET))))

    def keyed(keys: str) -> Command:
        return lambda *arguments: command(*arguments, PASITO_SECRET_KEYS=keys)

    its, _ = added(keyed(old), f"http://127.0.0.1:{free_port()}/")
    assert "key" in complained(keyed(f"{new},{SECRET[:20]}")("webhook", "test", *OURS, its))
    assert "2 " in done(keyed(f"{new},{old}")("key", "reseal"))
    refused = complained(keyed(new)("webhook", "test", *OURS, its))
    assert "was not reached" in refused, "its secret was opened, and nobody listens"
