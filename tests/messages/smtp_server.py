"""A real SMTP server for one test: on a free port of this machine, as friendly or unfriendly as told."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HELLO = "250 OK"


class Post:
    """What the server answers at each step, and what it has taken.

    An answer may be "hang up": the connection is then cut without a word. `before_answer` is a wait
    in seconds at every step.
    """

    def __init__(
        self, mail: str = HELLO, rcpt: str = HELLO, data: str = HELLO, before_answer: float = 0
    ) -> None:
        self.answers = {"MAIL": mail, "RCPT": rcpt, "DATA": data}
        self.before_answer = before_answer
        self.taken: list[Envelope] = []
        self.connections: set[Any] = set()
        self.protected: list[bool] = []
        self.servers: list[SMTP] = []
        self.accounts = {b"pasito": b"s3cret"}

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        await asyncio.sleep(self.before_answer)
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.connections.add(session.peer)
        self.protected.append(session.ssl is not None)
        return await self._answer("MAIL", server, lambda: setattr(envelope, "mail_from", address))

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        return await self._answer("RCPT", server, lambda: envelope.rcpt_tos.append(address))

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return await self._answer("DATA", server, lambda: self.taken.append(envelope))

    async def _answer(self, step: str, server: SMTP, accept: Any) -> str:
        await asyncio.sleep(self.before_answer)
        answer = self.answers[step]
        if answer.startswith("2"):
            accept()
        if answer == "hang up":
            assert server.transport is not None
            server.transport.abort()
        return answer

    def check_login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=self.accounts.get(data.login) == data.password, handled=False)

    def hang_up(self) -> None:
        """Cuts every connection, as a server does that has waited long enough."""
        for server in self.servers:
            if server.transport is not None:
                server.transport.close()


@asynccontextmanager
async def smtp_server(
    post: Post, *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, **options: Any
) -> AsyncIterator[int]:
    """Yields the port. `options` go to the protocol (`auth_required`, `enable_SMTPUTF8`, …)."""

    def protocol() -> SMTP:
        server = SMTP(
            post, hostname="mx.example", tls_context=starttls, require_starttls=starttls is not None,
            authenticator=post.check_login, auth_require_tls=starttls is not None, **options,
        )  # fmt: skip
        post.servers.append(server)
        return server

    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=tls)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        post.hang_up()
        await asyncio.sleep(0)


def certificate(folder: Path, *names: str, expired: bool = False) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a fresh certificate for `names`, and a client's that trusts just it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    end = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=2))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{names[0]}.pem"
    file.write_bytes(private + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=pem.decode())
