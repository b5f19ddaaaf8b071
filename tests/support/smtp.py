"""A real SMTP server that keeps what it is sent and misbehaves when told to."""

import asyncio
import datetime
import ipaddress
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Mail:
    """One message as it arrived."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage
    over_tls: bool
    login: str | None


class SmtpServer:
    """A running server. Made by `smtp_server`; what it does may be changed while it runs."""

    def __init__(self, certificate: Path | None, login: tuple[str, str] | None) -> None:
        self.host = "127.0.0.1"
        self.port = 0
        self.certificate = certificate
        self.login = login
        self.mails: list[Mail] = []
        self.refusals: dict[str, str] = {}
        self.delay = 0.0
        self._arrived = threading.Condition()

    def refuse(self, reply: str, *, at: str = "RCPT") -> None:
        """Answer `MAIL`, `RCPT` or `DATA` with this reply, for example `451 4.3.0 try later`."""
        self.refusals[at] = reply

    def accept(self) -> None:
        """Refuse nothing any more, and answer without delay."""
        self.refusals.clear()
        self.delay = 0.0

    def wait_for(self, number: int, *, seconds: float = 5) -> list[Mail]:
        """All mails, once there are this many; AssertionError when they do not come in time.

        Blocks: an async test whose own loop sends the mail calls it by `asyncio.to_thread`.
        """
        with self._arrived:
            came = self._arrived.wait_for(lambda: len(self.mails) >= number, seconds)
        assert came, f"{len(self.mails)} of {number} mails arrived in {seconds} s"
        return list(self.mails)

    # The names and signatures of the hooks are aiosmtpd's.

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        await asyncio.sleep(self.delay)
        if "MAIL" in self.refusals:
            return self.refusals["MAIL"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "RCPT" in self.refusals:
            return self.refusals["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if "DATA" in self.refusals:
            return self.refusals["DATA"]
        assert isinstance(envelope.content, bytes)
        mail = Mail(
            sender=envelope.mail_from or "",
            recipients=tuple(envelope.rcpt_tos),
            message=message_from_bytes(envelope.content, policy=policy.default),
            over_tls=session.ssl is not None,
            login=session.auth_data,
        )
        with self._arrived:
            self.mails.append(mail)
            self._arrived.notify_all()
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, sent: object
    ) -> AuthResult:
        known = (
            isinstance(sent, LoginPassword) and (sent.login.decode(), sent.password.decode()) == self.login
        )
        return AuthResult(
            success=known, handled=False, auth_data=self.login[0] if known and self.login else None
        )


@contextmanager
def smtp_server(*, starttls: bool = False, login: tuple[str, str] | None = None) -> Iterator[SmtpServer]:
    """Serve SMTP on a free port until the end of the block, in a thread of its own.

    `starttls` requires it, with a self-signed certificate for 127.0.0.1 and localhost: `certificate` is the
    file to trust it by. `login` is the user and password that are required then.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="smtp", daemon=True)
    with tempfile.TemporaryDirectory(prefix="pasito-smtp-") as folder:
        context, certificate = _tls(Path(folder)) if starttls else (None, None)
        server = SmtpServer(certificate, login)

        def session() -> SMTP:
            return SMTP(
                server,
                hostname="mail.test",
                loop=loop,
                tls_context=context,
                require_starttls=starttls,
                auth_required=login is not None,
                auth_require_tls=starttls,
                authenticator=server.authenticate if login else None,
                enable_SMTPUTF8=True,
            )

        thread.start()
        listening = asyncio.run_coroutine_threadsafe(
            loop.create_server(session, server.host, 0), loop
        ).result(10)
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(_close(listening), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


async def _close(listening: asyncio.Server) -> None:
    """Stop listening and break off the conversations that are still open."""
    listening.close()
    talks = asyncio.all_tasks() - {asyncio.current_task()}
    for talk in talks:
        talk.cancel()
    await asyncio.gather(*talks, return_exceptions=True)


def _tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A context with a new self-signed certificate, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    hosts = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(hosts, critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "certificate.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, secret)
    return context, chain
