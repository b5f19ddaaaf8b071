import smtplib
import ssl
import time
from email.message import EmailMessage

import aiosmtplib
import pytest

from tests.support.smtp import SmtpServer, smtp_server


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "shop@pasito.test",
        "ana@pasito.test",
        "Tu tarjeta ☕",
    )
    message.set_content("Hello")
    return message


def send(server: SmtpServer, message: EmailMessage) -> None:
    with smtplib.SMTP(server.host, server.port, timeout=5) as client:
        client.send_message(message)


def test_it_keeps_what_it_is_sent() -> None:
    with smtp_server() as server:
        send(server, letter())
        [mail] = server.wait_for(1)
    assert mail.sender == "shop@pasito.test"
    assert mail.recipients == ("ana@pasito.test",)
    assert mail.message["Subject"] == "Tu tarjeta ☕"
    assert mail.message.get_content().strip() == "Hello"
    assert not mail.over_tls


async def test_it_answers_a_client_in_the_tests_own_event_loop() -> None:
    with smtp_server() as server:
        await aiosmtplib.send(letter(), hostname=server.host, port=server.port, start_tls=False)
        assert len(server.wait_for(1)) == 1


@pytest.mark.parametrize(("stage", "code"), [("MAIL", 421), ("RCPT", 550), ("DATA", 451)])
def test_it_refuses_at_the_stage_it_is_told_until_it_accepts_again(stage: str, code: int) -> None:
    with smtp_server() as server:
        server.refuse(f"{code} 4.3.0 not now", at=stage)
        with pytest.raises(smtplib.SMTPException, match=str(code)):
            send(server, letter())
        assert server.mails == []
        server.accept()
        send(server, letter())
        assert len(server.mails) == 1


def test_it_can_be_slow() -> None:
    with smtp_server() as server:
        server.delay = 0.2
        began = time.monotonic()
        send(server, letter())
        assert time.monotonic() - began >= 0.2


def test_waiting_for_a_mail_that_does_not_come_fails() -> None:
    with smtp_server() as server, pytest.raises(AssertionError, match="0 of 1 mails"):
        server.wait_for(1, seconds=0.05)


async def test_it_ends_at_once_while_a_client_is_still_talking() -> None:
    began = time.monotonic()
    with smtp_server() as server:
        server.delay = 60
        client = smtplib.SMTP(server.host, server.port, timeout=5)
        client.putcmd("EHLO me")
        client.getreply()
        client.putcmd("MAIL FROM:<shop@pasito.test>")
    client.close()
    assert time.monotonic() - began < 5


def test_with_starttls_it_takes_no_mail_in_the_clear_and_has_a_certificate_to_trust() -> None:
    with smtp_server(starttls=True) as server:
        with pytest.raises(smtplib.SMTPException, match="STARTTLS"):
            send(server, letter())
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
            client.starttls(context=ssl.create_default_context(cafile=server.certificate))
            client.send_message(letter())
        with (
            smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            client.starttls(context=ssl.create_default_context())
        [mail] = server.wait_for(1)
    assert mail.over_tls


def test_with_a_login_it_takes_mail_only_from_who_knows_it() -> None:
    with smtp_server(starttls=True, login=("shop", "secret")) as server:
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
            client.starttls(context=ssl.create_default_context(cafile=server.certificate))
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.send_message(letter())
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.login("shop", "wrong")
            client.login("shop", "secret")
            client.send_message(letter())
        [mail] = server.wait_for(1)
    assert mail.login == "shop"
