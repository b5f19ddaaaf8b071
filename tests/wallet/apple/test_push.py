"""Pushes to phones, against a service that speaks HTTP/2 over TLS and knows what Apple's refuses."""

import asyncio
import contextlib
import random
import secrets
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time

import pytest

from tests.support.apns import (
    BAD_CERTIFICATE,
    BAD_DEVICE_TOKEN,
    BROKEN,
    CUT,
    OK,
    SHUTDOWN,
    TOO_MANY,
    TOPIC_DISALLOWED,
    Answer,
    ApnsServer,
    unregistered,
)
from tests.support.authority import TlsAuthority
from tests.support.ports import free_port
from web.settings import Settings
from web.wallet.apple.certificates import Certificates
from web.wallet.apple.development import INTERMEDIATE, ROOT, development_certificates
from web.wallet.apple.push import ApplePusher, Outcome

PUSHED = Outcome(verdict="pushed")


def a_token() -> str:
    return secrets.token_hex(32)


def tokens(number: int) -> list[str]:
    return [a_token() for _ in range(number)]


@pytest.fixture(scope="module")
def ours(data_dir: Path, apns: ApnsServer) -> Certificates:
    usual = Settings()
    return development_certificates(
        data_dir / "signing", pass_type_id=usual.apple_pass_type, team_id=usual.apple_team
    )


@pytest.fixture
async def pusher(
    apns: ApnsServer, ours: Certificates, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ApplePusher]:
    apns.forget()
    monkeypatch.setenv("SSL_CERT_FILE", str(apns.authority))
    opened = ApplePusher(ours, apns.url)
    yield opened
    await opened.close()


async def test_a_push_says_nothing_but_whose_pass_type_it_is_about(
    pusher: ApplePusher, apns: ApnsServer
) -> None:
    token = a_token()
    assert await pusher.push([token]) == [PUSHED]
    [push] = apns.pushes
    assert (push.token, push.body) == (token, b"{}")
    assert push.headers["apns-topic"] == Settings().apple_pass_type
    assert (push.headers["apns-push-type"], push.headers["apns-priority"]) == ("background", "5")
    days = (int(push.headers["apns-expiration"]) - time()) / 86400
    assert 28 < days <= 30, "a phone that is off for weeks hears of it when it is on again"


async def test_many_pushes_share_one_connection_and_each_gets_its_own_answer(
    pusher: ApplePusher, apns: ApnsServer
) -> None:
    many = tokens(300)
    apns.answer(many[7], TOO_MANY)
    apns.answer(many[200], unregistered())
    outcomes = await pusher.push(many)
    assert [place for place, outcome in enumerate(outcomes) if outcome != PUSHED] == [7, 200]
    assert (outcomes[7].verdict, outcomes[200].verdict) == ("later", "gone")
    await pusher.push(tokens(3))
    assert len({push.connection for push in apns.pushes}) == 1


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        (BAD_DEVICE_TOKEN, "gone", "400 BadDeviceToken"),
        (Answer(410, "Unregistered"), "gone", "410 Unregistered"),
        (TOO_MANY, "later", "429 TooManyRequests"),
        (BROKEN, "later", "500 InternalServerError"),
        (SHUTDOWN, "later", "503 Shutdown"),
        (Answer(502), "later", "502"),
        (BAD_CERTIFICATE, "refused", "403 BadCertificate"),
        (TOPIC_DISALLOWED, "refused", "400 TopicDisallowed"),
        (Answer(400, "DeviceTokenNotForTopic"), "refused", "400 DeviceTokenNotForTopic"),
    ],
)
async def test_each_answer_says_what_to_do(
    pusher: ApplePusher, apns: ApnsServer, answer: Answer, verdict: str, reason: str
) -> None:
    apns.answer_next(answer)
    [outcome] = await pusher.push(tokens(1))
    assert (outcome.verdict, outcome.reason) == (verdict, reason)


async def test_apples_own_words_about_time_are_kept(pusher: ApplePusher, apns: ApnsServer) -> None:
    since = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    gone, busy = tokens(2)
    apns.answer(gone, unregistered(since))
    apns.answer(busy, Answer(429, "TooManyRequests", retry_after="90"))
    first, second = await pusher.push([gone, busy])
    assert (first.since, second.after) == (since, timedelta(seconds=90))


async def test_no_more_are_under_way_than_the_server_allows(pusher: ApplePusher, apns: ApnsServer) -> None:
    apns.allow_streams(3)
    assert await pusher.push(tokens(100)) == [PUSHED] * 100
    assert len({push.connection for push in apns.pushes}) == 1, "who sends more at once is cut off"


async def test_a_connection_whose_end_is_announced_is_followed_by_another_without_loss(
    pusher: ApplePusher, apns: ApnsServer
) -> None:
    apns.go_away_after(20, 40)
    many = tokens(200)
    assert await pusher.push(many) == [PUSHED] * 200
    assert set(apns.tokens(accepted=True)) == set(many)
    assert len({push.connection for push in apns.pushes}) == 3


async def test_what_was_under_way_when_a_connection_broke_is_sent_again(
    pusher: ApplePusher, apns: ApnsServer
) -> None:
    apns.answer_next(*[OK] * 30, CUT)
    many = tokens(100)
    assert await pusher.push(many) == [PUSHED] * 100
    assert set(apns.tokens(accepted=True)) == set(many)


async def test_a_connection_that_ended_while_nobody_used_it_is_not_missed(
    pusher: ApplePusher, apns: ApnsServer
) -> None:
    for end in (apns.cut, apns.go_away):
        await pusher.push(tokens(1))
        await asyncio.to_thread(end)
        assert await pusher.push(tokens(1)) == [PUSHED]


async def test_a_connection_that_nobody_hears_is_found_out_by_asking(
    pusher: ApplePusher, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("QUIET_SECONDS", 0.05), ("TICK_SECONDS", 0.05), ("CONNECT_SECONDS", 0.3)):
        monkeypatch.setattr(f"web.foundation.http2_connection.{name}", seconds)
    await pusher.push(tokens(1))
    await asyncio.sleep(0.5)
    assert apns.connections == 1, "one that answers is kept"
    apns.deaf = True
    await asyncio.to_thread(apns.wait_until, lambda: not apns.connections)
    apns.deaf = False
    assert await pusher.push(tokens(1)) == [PUSHED]
    assert len({push.connection for push in apns.pushes}) == 2


async def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(
    pusher: ApplePusher, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.foundation.http2_connection.ANSWER_SECONDS", 0.1)
    monkeypatch.setattr("web.foundation.http2_connection.TICK_SECONDS", 0.05)
    apns.delay = 30
    [outcome] = await pusher.push(tokens(1))
    assert (outcome.verdict, outcome.reason[:16]) == ("later", "no answer within")
    assert len(apns.pushes) == 3, "it was tried over new connections"


async def test_a_service_that_is_away_is_not_asked_by_each_push(
    ours: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.foundation.http2.PAUSE_SECONDS", 60)
    with listening_once() as (port, callers):
        pusher = ApplePusher(ours, f"https://127.0.0.1:{port}")
        for _ in range(3):
            [outcome] = await pusher.push(tokens(1))
            assert outcome.verdict == "later"
        await pusher.close()
        assert len(callers) == 1
    [outcome] = await ApplePusher(ours, f"https://127.0.0.1:{free_port()}").push(tokens(1))
    assert outcome == Outcome(verdict="later", reason="the connection was refused")


async def test_pushes_to_a_phone_at_the_same_moment_are_one(pusher: ApplePusher, apns: ApnsServer) -> None:
    """A phone that holds several cards asks for all of them."""
    phone, other = tokens(2)
    outcomes = await asyncio.gather(pusher.push([phone]), pusher.push([phone, other]), pusher.push([phone]))
    assert outcomes == [[PUSHED], [PUSHED, PUSHED], [PUSHED]]
    assert sorted(apns.tokens()) == sorted([phone, other])


async def test_a_phone_is_pushed_to_for_what_came_later_but_not_again_and_again(
    pusher: ApplePusher, apns: ApnsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.wallet.apple.push.REST_SECONDS", 0.4)
    phone = a_token()
    await pusher.push([phone])
    changes = []
    for _ in range(5):
        changes.append(asyncio.create_task(pusher.push([phone])))
        await asyncio.sleep(0.02)
    assert len(apns.pushes) == 1
    assert await asyncio.gather(*changes) == [[PUSHED]] * 5
    first, second = apns.pushes
    assert second.at - first.at >= 0.35


async def test_one_who_stops_waiting_takes_nobody_with_him(pusher: ApplePusher, apns: ApnsServer) -> None:
    phone = a_token()
    impatient, patient = (asyncio.create_task(pusher.push([phone])) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == [PUSHED]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_certificate_that_the_service_does_not_take_is_an_operators_matter(
    loop: str, tmp_path: Path, ours: Certificates, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Settings()
    unknown = development_certificates(
        tmp_path / "other", pass_type_id=usual.apple_pass_type, team_id=usual.apple_team
    )
    authority = TlsAuthority(tmp_path)
    context = authority.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    for name in (ROOT, INTERMEDIATE):
        context.load_verify_locations(data_dir / "signing" / name)
    context.set_alpn_protocols(["h2"])
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))

    async def push(port: int) -> Outcome:
        pusher = ApplePusher(unknown, f"https://127.0.0.1:{port}")
        [outcome] = await pusher.push(tokens(1))
        await pusher.close()
        return outcome

    with listening_once(context) as (port, _), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        outcome = runner.run(push(port))
    assert outcome == Outcome(verdict="refused", reason="it does not take our certificate (unknown ca)")


async def test_a_service_that_nobody_vouches_for_is_told_nothing(
    apns: ApnsServer, ours: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apns.forget()
    monkeypatch.setenv("SSL_CERT_FILE", str(TlsAuthority(tmp_path).file))
    pusher = ApplePusher(ours, apns.url)
    [outcome] = await pusher.push(tokens(1))
    await pusher.close()
    assert outcome.verdict == "refused"
    assert outcome.reason.startswith("its certificate is not good")
    assert apns.pushes == []


async def test_whatever_happens_to_connections_what_counts_as_pushed_has_arrived(
    pusher: ApplePusher, apns: ApnsServer
) -> None:
    chance = random.Random(20)
    for _ in range(6):
        many = tokens(80)
        apns.allow_streams(chance.choice([2, 10, 1000]))
        apns.go_away_after(*(chance.randrange(1, 60) for _ in range(chance.randrange(3))))
        apns.answer_next(*chance.choices([OK, BROKEN, CUT], [60, 3, 1], k=chance.randrange(80)))
        outcomes = await pusher.push(many)
        arrived = set(apns.tokens(accepted=True))
        assert {outcome.verdict for outcome in outcomes} <= {"pushed", "later"}
        for token, outcome in zip(many, outcomes, strict=True):
            assert outcome.verdict == "later" or token in arrived


def _new_uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": _new_uvloop}


@contextlib.contextmanager
def listening_once(context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[object]]]:
    """A listener that hangs up on all callers, after a handshake where it has a context; its port, and who called."""
    callers: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    caller, address = listener.accept()
                except OSError:
                    return
                callers.append(address)
                with caller, contextlib.suppress(OSError):
                    if context is not None:
                        context.wrap_socket(caller, server_side=True).close()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1], callers
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
