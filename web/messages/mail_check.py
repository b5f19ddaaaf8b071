"""What is wrong with the way to the mail server, in plain words for the person who runs it."""

import asyncio
import errno
import ipaddress
import socket
import ssl

import aiosmtplib

from web.foundation.finding import Finding
from web.messages.mail import SmtpServer


async def check_smtp(
    server: SmtpServer, sender: str, *, tls_context: ssl.SSLContext | None = None
) -> list[Finding]:
    """Walks the way of a mail from `sender` up to, not including, a recipient; sends nothing.

    Stops at the first thing that is wrong, since nothing behind it can be known.
    """
    where = f"{server.host}:{server.port}"
    try:
        await asyncio.get_running_loop().getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [
            _wrong(
                f"The mail server's name {server.host!r} cannot be resolved.",
                "Check the host name for a slip, and this machine's DNS.",
            )
        ]
    findings = _unprotected_login(server)
    client = server.client(tls_context)
    try:
        await client.connect()
        await client.mail(sender)
        await client.quit()
    except (aiosmtplib.SMTPException, OSError) as error:
        client.close()
        return [*findings, _explain(error, server, where)]
    return [*findings, Finding("ok", f"The mail server {where} answers and accepts mail from {sender}.")]


def _wrong(what: str, do: str) -> Finding:
    return Finding("wrong", what, do)


def _unprotected_login(server: SmtpServer) -> list[Finding]:
    if server.security != "none" or server.username is None or _is_this_machine(server.host):
        return []
    return [
        _wrong(
            "The mail server's password crosses the network unprotected.",
            'Set the mail security to "starttls" (usually port 587) or "tls" (usually port 465).',
        )
    ]


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _explain(error: BaseException, server: SmtpServer, where: str) -> Finding:
    """Names what stopped the dialogue; a lost network first, then what the server said."""
    cause = error.__cause__ or error
    match cause:
        case ssl.SSLCertVerificationError():
            return _wrong(
                f"The certificate of {where} is not to be trusted: {cause.verify_message}",
                "Use the host name that the certificate is made for; have an expired one renewed; "
                "for a private authority give its certificate to this machine.",
            )
        case ssl.SSLError():
            return _wrong(
                f"{where} does not speak TLS from the first byte.",
                'Ports 587 and 25 usually want the mail security "starttls", port 465 "tls".',
            )
        # Several addresses that refuse arrive as one OSError with their texts joined.
        case OSError() if f"[Errno {errno.ECONNREFUSED}]" in str(cause):
            return _wrong(
                f"Nothing listens at {where}.",
                "Check the port (587, 465 or 25) and that the mail server is running.",
            )
        case TimeoutError():
            return _wrong(
                f"{where} did not answer within {server.timeout:g} seconds.",
                "A firewall may swallow the connection, and many hosts block port 25. A wrong choice "
                'between "tls" and "starttls" can look like this too.',
            )
    return _explain_answer(error, where)


def _explain_answer(error: BaseException, where: str) -> Finding:
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return _wrong(
                f"{where} refused the login ({error.code}).",
                "Check user name and password; many providers want an app password or API key here.",
            )
        case aiosmtplib.SMTPSenderRefused():
            return _wrong(
                f"{where} takes no mail from {error.sender} ({error.code}).",
                "Use a sender address that this server may send for.",
            )
        case aiosmtplib.SMTPResponseException():
            return _wrong(
                f"{where} answered {error.code} instead of serving.", "Ask whoever runs that server."
            )
        case aiosmtplib.SMTPException() if "STARTTLS extension" in error.message:
            return _wrong(
                f"{where} offers no STARTTLS, so nothing was sent to it.",
                'Use its TLS port with the mail security "tls" (usually 465).',
            )
        case aiosmtplib.SMTPException() if "AUTH" in error.message or "authentication" in error.message:
            return _wrong(
                f"{where} offers no login that this program knows.",
                "Use its submission port (587 or 465), or leave out the user name if it wants none.",
            )
    return _wrong(
        f"The connection to {where} fails ({type(error).__name__}).",
        "Check host, port and the mail security; the server may not know this machine's address.",
    )
