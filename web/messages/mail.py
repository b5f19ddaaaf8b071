"""Mail by SMTP: a few connections, kept open, each good for many messages."""

import asyncio
import re
import ssl
from time import monotonic
from typing import Literal

import aiosmtplib
import msgspec

from web.messages.envelope import Message
from web.messages.mime import WireMail, wire_mail
from web.messages.sending import Outcome, Refused, Sent, TryLater

# One dialogue is at most a greeting, TLS, login and five commands, each with its own time limit;
# a server that drips slower than this holds a worker for no good.
_DIALOGUE = 3
# Servers hang up on idle clients after five minutes at the latest (RFC 5321, 4.5.3.2.7); many do
# so after one.
_IDLE_SECONDS = 50.0
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")


class SmtpServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail leaves. `security` is never guessed: "starttls" refuses a server without it.

    `timeout` is in seconds for each step. `return_path` is where bounces go; without one they go
    to each message's From address.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    timeout: float = 15.0
    return_path: str | None = None

    def __repr__(self) -> str:
        # The generated one would print the password into a log or a traceback.
        return f"SmtpServer({self.host}:{self.port}, {self.security})"

    def client(self, tls_context: ssl.SSLContext | None = None) -> aiosmtplib.SMTP:
        """A client for this server, not yet connected."""
        return aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.security == "tls",
            start_tls=self.security == "starttls",
            timeout=self.timeout,
            tls_context=tls_context,
        )


class SmtpSender:
    """Sends by one server over at most `connections` connections at a time.

    `tls_context` replaces the system's trust, for a server with a private authority.
    """

    def __init__(
        self, server: SmtpServer, *, connections: int = 4, tls_context: ssl.SSLContext | None = None
    ) -> None:
        self._server = server
        self._tls_context = tls_context
        self._free = asyncio.Semaphore(connections)
        self._idle: list[tuple[aiosmtplib.SMTP, float]] = []

    async def send(self, message: Message) -> Outcome:
        try:
            mail = wire_mail(message)
        except ValueError as error:
            return Refused(str(error))
        async with self._free:
            try:
                async with asyncio.timeout(self._server.timeout * _DIALOGUE):
                    return await self._deliver(mail)
            except TimeoutError:
                return TryLater("the mail server did not answer in time")
            except (aiosmtplib.SMTPException, OSError) as error:
                return _outcome(error)

    async def close(self) -> None:
        """Says goodbye on every idle connection. Call it once no `send` is under way."""
        while self._idle:
            client, _ = self._idle.pop()
            try:
                await client.quit()
            except (aiosmtplib.SMTPException, OSError):
                client.close()

    async def _deliver(self, mail: WireMail) -> Outcome:
        client = await self._connection()
        try:
            await client.sendmail(
                self._server.return_path or mail.sender,
                mail.recipient,
                mail.content,
                mail_options=["SMTPUTF8"] if mail.international else [],
            )
        except aiosmtplib.SMTPNotSupported:
            return Refused("the mail server cannot reach addresses with letters beyond ASCII (no SMTPUTF8)")
        except BaseException as error:
            # A refusal ends with a RSET, and the connection is as good as before.
            if not isinstance(error, aiosmtplib.SMTPResponseException | aiosmtplib.SMTPRecipientsRefused):
                client.close()
            raise
        finally:
            if client.is_connected:
                self._idle.append((client, monotonic()))
        return Sent()

    async def _connection(self) -> aiosmtplib.SMTP:
        while self._idle:
            client, since = self._idle.pop()
            if monotonic() - since < _IDLE_SECONDS and await _answers(client):
                return client
            client.close()
        client = self._server.client(self._tls_context)
        await client.connect()
        return client


async def _answers(client: aiosmtplib.SMTP) -> bool:
    try:
        await client.noop()
    except (aiosmtplib.SMTPException, OSError):
        return False
    except BaseException:
        client.close()
        raise
    return True


def _outcome(error: aiosmtplib.SMTPException | OSError) -> Outcome:
    """What an error means for the message.

    Only a refusal of this recipient or of this content is final. A refused login or sender is the
    installation's fault: the mails wait until it is mended. The server's own sentences are left
    out, for they often repeat the address.
    """
    match error:
        case aiosmtplib.SMTPRecipientsRefused():
            first = error.recipients[0]
            return _by_code(first.code, f"the mail server refused the recipient ({_codes(first)})")
        case aiosmtplib.SMTPDataError():
            return _by_code(error.code, f"the mail server refused the message ({_codes(error)})")
        case aiosmtplib.SMTPAuthenticationError():
            return TryLater(f"the mail server refused the login ({_codes(error)})")
        case aiosmtplib.SMTPSenderRefused():
            return TryLater(f"the mail server refused the sender's address ({_codes(error)})")
        case aiosmtplib.SMTPResponseException():
            return TryLater(f"the mail server is not ready ({_codes(error)})")
        case aiosmtplib.SMTPConnectError():
            return TryLater("the mail server cannot be reached")
        case aiosmtplib.SMTPServerDisconnected():
            return TryLater("the mail server dropped the connection")
        case _:
            return TryLater(f"the connection to the mail server failed ({type(error).__name__})")


def _by_code(code: int, reason: str) -> Outcome:
    return Refused(reason) if 500 <= code < 600 else TryLater(reason)


def _codes(error: aiosmtplib.SMTPResponseException) -> str:
    enhanced = _ENHANCED.match(str(error.message))
    return f"{error.code} {enhanced[0]}" if enhanced else str(error.code)
