"""Mail leaves by a real SMTP server, and every way that it can fail has its own ending."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.messages.smtp_server import Post, certificate, smtp_server
from tests.messages.test_mime import mail, read
from web.messages.mail import SmtpSender, SmtpServer
from web.messages.sending import Outcome, Refused, Sent, TryLater


@asynccontextmanager
async def sender_to(
    post: Post,
    *,
    connections: int = 4,
    seconds: float = 5,
    server: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[SmtpSender]:
    """A sender without TLS, connected to a server that behaves as `post` and `server` say."""
    async with smtp_server(post, **server or {}) as port:
        way = SmtpServer(host="127.0.0.1", port=port, security="none", timeout=seconds, **options)
        sender = SmtpSender(way, connections=connections)
        yield sender
        await sender.close()


async def outcome_with(post: Post, **options: Any) -> Outcome:
    async with sender_to(post, **options) as sender:
        return await sender.send(mail())


async def test_a_mail_arrives_as_it_was_written() -> None:
    post = Post()
    assert await outcome_with(post) == Sent()
    (taken,) = post.taken
    assert (taken.mail_from, taken.rcpt_tos) == ("card@brewbar.example", ["ana@example.com"])
    assert isinstance(taken.content, bytes)
    parsed = read(taken.content)
    assert parsed["Subject"] == "Tu tarjeta"
    plain, html = parsed.iter_parts()
    assert "Hola, Ñandú" in plain.get_content()
    assert "<p>Hola, Ñandú</p>" in html.get_content()


async def test_bounces_go_to_the_return_path() -> None:
    post = Post()
    await outcome_with(post, return_path="bounces@brewbar.example")
    assert post.taken[0].mail_from == "bounces@brewbar.example"


async def test_one_connection_serves_many_mails() -> None:
    post = Post()
    async with sender_to(post) as sender:
        assert [await sender.send(mail(id=f"m{i}")) for i in range(20)] == [Sent()] * 20
    assert (len(post.taken), len(post.connections)) == (20, 1)


async def test_a_burst_takes_as_many_connections_as_allowed_and_no_more() -> None:
    post = Post(before_answer=0.01)
    async with sender_to(post, connections=3) as sender:
        outcomes = await asyncio.gather(*(sender.send(mail(id=f"m{i}")) for i in range(20)))
    assert outcomes == [Sent()] * 20
    assert (len(post.taken), len(post.connections)) == (20, 3)


@pytest.mark.parametrize(
    "post",
    [
        Post(rcpt="550 5.1.1 <ana@example.com> unknown"),
        Post(data="554 5.7.1 looks like spam, ana@example.com"),
    ],
)
async def test_a_5xx_for_the_recipient_or_the_content_is_final(post: Post) -> None:
    assert isinstance(await outcome_with(post), Refused)


@pytest.mark.parametrize(
    "post",
    [
        Post(rcpt="450 4.2.0 greylisted"),
        Post(rcpt="452 4.2.2 ana@example.com is full"),
        Post(data="451 4.3.0 try again"),
        Post(mail="421 4.3.2 closing"),
    ],
)
async def test_a_4xx_is_tried_again(post: Post) -> None:
    assert isinstance(await outcome_with(post), TryLater)


async def test_a_refused_sender_is_the_installations_fault_and_keeps_the_mail() -> None:
    assert await outcome_with(Post(mail="550 5.7.1 not your domain")) == TryLater(
        "the mail server refused the sender's address (550 5.7.1)"
    )


@pytest.mark.parametrize("step", ["mail", "rcpt", "data"])
async def test_a_connection_lost_in_the_middle_is_tried_again(step: str) -> None:
    post = Post(**{step: "hang up"})
    async with sender_to(post) as sender:
        assert isinstance(await sender.send(mail()), TryLater)
        post.answers[step.upper()] = "250 OK"
        assert await sender.send(mail()) == Sent()


async def test_a_mail_after_a_refusal_goes_out_on_the_same_connection_to_its_own_recipient_only() -> None:
    post = Post(data="554 5.6.0 no")
    async with sender_to(post) as sender:
        await sender.send(mail())
        post.answers["DATA"] = "250 OK"
        assert await sender.send(mail(to="luis@example.com")) == Sent()
    assert ([envelope.rcpt_tos for envelope in post.taken], len(post.connections)) == (
        [["luis@example.com"]],
        1,
    )


async def test_a_connection_that_the_server_closed_meanwhile_costs_nothing() -> None:
    post = Post()
    async with sender_to(post) as sender:
        await sender.send(mail())
        post.hang_up()
        assert await sender.send(mail()) == Sent()
    assert len(post.connections) == 2


async def test_a_slow_server_does_not_hold_the_mail_for_ever() -> None:
    assert await outcome_with(Post(before_answer=5), seconds=0.1) == TryLater(
        "the mail server did not answer in time"
    )


async def test_a_server_that_drips_is_given_up_as_a_whole() -> None:
    """Each of four answers keeps within its limit, all of them together do not."""
    post = Post(before_answer=0.35)
    assert await outcome_with(post, seconds=0.4) == TryLater("the mail server did not answer in time")
    assert post.taken == []


async def test_nobody_there_is_tried_again() -> None:
    async with smtp_server(Post()) as port:
        pass
    outcome = await SmtpSender(SmtpServer(host="127.0.0.1", port=port, security="none")).send(mail())
    assert outcome == TryLater("the mail server cannot be reached")


async def test_starttls_protects_the_mail_and_the_login(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "localhost")
    post = Post()
    async with smtp_server(post, starttls=theirs, auth_required=True) as port:
        way = SmtpServer(host="localhost", port=port, username="pasito", password="s3cret")
        sender = SmtpSender(way, tls_context=ours)
        assert await sender.send(mail()) == Sent()
        await sender.close()
    assert (len(post.taken), post.protected) == (1, [True])


async def test_tls_from_the_first_byte(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "localhost")
    post = Post()
    async with smtp_server(post, tls=theirs) as port:
        sender = SmtpSender(SmtpServer(host="localhost", port=port, security="tls"), tls_context=ours)
        assert await sender.send(mail()) == Sent()
        await sender.close()
    assert len(post.taken) == 1


async def test_a_server_without_starttls_gets_nothing() -> None:
    post = Post()
    async with smtp_server(post) as port:
        outcome = await SmtpSender(SmtpServer(host="127.0.0.1", port=port)).send(mail())
    assert isinstance(outcome, TryLater)
    assert (post.taken, post.connections) == ([], set())


async def test_a_certificate_for_another_name_gets_nothing(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "elsewhere.example")
    post = Post()
    async with smtp_server(post, starttls=theirs) as port:
        outcome = await SmtpSender(SmtpServer(host="localhost", port=port), tls_context=ours).send(mail())
    assert isinstance(outcome, TryLater)
    assert post.taken == []


async def test_a_wrong_password_keeps_the_mails(tmp_path: Path) -> None:
    theirs, ours = certificate(tmp_path, "localhost")
    async with smtp_server(Post(), starttls=theirs, auth_required=True) as port:
        way = SmtpServer(host="localhost", port=port, username="pasito", password="wrong")
        outcome = await SmtpSender(way, tls_context=ours).send(mail())
    assert outcome == TryLater("the mail server refused the login (535 5.7.8)")


async def test_letters_beyond_ascii_reach_a_server_that_knows_them() -> None:
    post = Post()
    async with sender_to(post, server={"enable_SMTPUTF8": True}) as sender:
        assert await sender.send(mail(to="añá@münchen.example")) == Sent()
    assert post.taken[0].rcpt_tos == ["añá@xn--mnchen-3ya.example"]


async def test_letters_beyond_ascii_are_final_for_a_server_that_does_not_know_them() -> None:
    assert isinstance(await outcome_with(Post()), Sent)
    async with sender_to(Post()) as sender:
        assert isinstance(await sender.send(mail(to="añá@example.com")), Refused)
        assert await sender.send(mail()) == Sent()


async def test_what_is_no_address_is_final() -> None:
    async with sender_to(Post()) as sender:
        assert isinstance(await sender.send(mail(to="ana@example.com> SIZE=1 <eve@example.com")), Refused)


@pytest.mark.parametrize(
    "post",
    [
        Post(rcpt="550 5.1.1 <ana@example.com> unknown"),
        Post(rcpt="550 ana@example.com unknown"),
        Post(data="554 5.7.1 mail for ana@example.com refused"),
        Post(mail="451 4.1.8 card@brewbar.example does not resolve"),
    ],
)
async def test_no_reason_repeats_what_the_server_said(post: Post) -> None:
    outcome = await outcome_with(post)
    assert isinstance(outcome, Refused | TryLater)
    assert "@" not in outcome.reason
    assert "unknown" not in outcome.reason


def test_the_password_is_not_printed() -> None:
    assert "s3cret" not in repr(SmtpServer(host="mx.example", port=587, username="pasito", password="s3cret"))
