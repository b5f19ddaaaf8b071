"""What is wrong with the way to the mail server, in plain words for the person who runs it."""

import asyncio
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
            Finding("wrong", f"The mail server's name {server.host!r} cannot be resolved.",
                    "Check the host name for a slip, and this machine's DNS.")
        ]  # fmt: skip
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


def _unprotected_login(server: SmtpServer) -> list[Finding]:
    if server.security != "none" or server.username is None or _is_this_machine(server.host):
        return []
    return [
        Finding("wrong", "The mail server's password crosses the network unprotected.",
                'Set the mail security to "starttls" (usually port 587) or "tls" (usually port 465).')
    ]  # fmt: skip


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _explain(error: BaseException, server: SmtpServer, where: str) -> Finding:
    cause: BaseException = error.__cause__ or error
    match cause:
        case ssl.SSLCertVerificationError():
            return Finding(
                "wrong",
                f"The certificate of {where} is not to be trusted: {cause.verify_message}.",
                "Use the host name that the certificate is made for; have an expired one renewed; "
                "for a private authority give its certificate to this machine.",
            )
        case ssl.SSLError():
            return Finding(
                "wrong",
                f"{where} does not speak TLS from the first byte.",
                'Port 587 and 25 usually want the mail security "starttls", port 465 "tls".',
            )
        case ConnectionRefusedError():
            return Finding(
                "wrong",
                f"Nothing listens at {where}.",
                "Check the port (587, 465 or 25) and that the mail server is running.",
            )
    match error:
        case aiosmtplib.SMTPAuthenticationError():
            return Finding(
                "wrong",
                f"{where} refused the login ({error.code}).",
                "Check user name and password; many providers want an app password or API key here.",
            )
        case aiosmtplib.SMTPSenderRefused():
            return Finding(
                "wrong",
                f"{where} takes no mail from {error.sender} ({error.code}).",
                "Use a sender address that this server is allowed to send for.",
            )
        case aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return Finding(
                "wrong",
                f"{where} did not answer within {server.timeout:g} seconds.",
                "A firewall may swallow the connection; many hosts block port 25. A wrong choice between "
                '"tls" and "starttls" can also look like this.',
            )
        case aiosmtplib.SMTPResponseException():
            return Finding(
                "wrong", f"{where} answered {error.code} instead of serving.", "Ask whoever runs the server."
            )
        case aiosmtplib.SMTPServerDisconnected():
            return Finding(
                "wrong", f"{where} hung up.", "It may want TLS, or may not know this machine's address."
            )
    if "STARTTLS" in str(error):
        return Finding(
            "wrong",
            f"{where} offers no STARTTLS, so nothing was sent to it.",
            'Use its TLS port with the mail security "tls" (usually 465).',
        )
    if "AUTH" in str(error) or "authentication" in str(error):
        return Finding(
            "wrong",
            f"{where} offers no login that this program knows.",
            "Use its submission port (587 or 465), or leave the user name out if it wants none.",
        )
    return Finding(
        "wrong", f"No connection to {where} ({type(cause).__name__}).", "Check host, port, network."
    )
