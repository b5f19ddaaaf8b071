"""Requests to addresses that somebody else chose: they reach the public Internet and nothing behind our own walls.

The name is resolved here and the connection made to the very address that was judged, so a name server that answers
differently the second time wins nothing; TLS still verifies the name. No redirect is followed, no proxy from the
environment is used, and time and size are bounded (OWASP, Server-Side Request Forgery Prevention).
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from time import monotonic

import httpcore
import httpx
import msgspec

from web.foundation.retry_after import wait_asked_for

OVERALL_SECONDS = 10.0
CONNECT_SECONDS = 5.0
# What is left of an answer is read only so that the connection can be used again.
DRAIN_SECONDS, DRAIN_BYTES = 1.0, 4096
ADDRESSES_TRIED = 3
LONGEST_URL = 2000
HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
USUAL_PORTS = frozenset((80, 443, 8443))

# IANA's special-purpose registries, multicast and what is reserved. Python's own `is_global` differs by version.
_CLOSED_V4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
_OPEN_V6 = IPv6Network("2000::/3")
# 6to4 (2002::/16) and Teredo (in 2001::/23) carry an IPv4 address that may be anybody's.
_CLOSED_V6 = tuple(
    IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)
# A network that speaks IPv6 alone reaches IPv4 through this prefix (RFC 6052): the address inside counts.
_NAT64 = IPv6Network("64:ff9b::/96")


class BadTarget(Exception):
    """An address that is not called; the text says why and what to write instead."""


class NoAnswer(Exception):
    """The other side was not reached or did not answer in time. The text holds no personal data."""


class Answer(msgspec.Struct, frozen=True):
    """What came back: the status, the wait that was asked for, and how long it took in seconds."""

    status: int
    retry_after: timedelta | None
    seconds: float


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public Internet. What cannot be read does not."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except (ValueError, AddressValueError):
        return False
    if isinstance(parsed, IPv6Address) and parsed in _NAT64:
        parsed = IPv4Address(int(parsed) & 0xFFFFFFFF)
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _CLOSED_V4)
    return parsed in _OPEN_V6 and not any(parsed in network for network in _CLOSED_V6)


def check_target(url: str, *, private: bool = False) -> httpcore.URL:
    """The parts of an address that may be called. `private` allows http and our own network, for development.

    Raises: BadTarget.
    """
    try:
        parsed = httpx.URL(url)
        port = parsed.port
    except (httpx.InvalidURL, ValueError):
        raise BadTarget("This is no address like https://shop.example.com/webhooks.") from None
    host = parsed.raw_host.decode("ascii")
    if len(url) > LONGEST_URL or not HOST.fullmatch(host) or parsed.scheme not in ("https", "http"):
        raise BadTarget("Give an address like https://shop.example.com/webhooks, of 2000 characters at most.")
    if parsed.scheme == "http" and not private:
        raise BadTarget("The address has to begin with https://, or anybody on the way could read along.")
    if parsed.userinfo:
        raise BadTarget("Leave user name and password out: every request is signed instead.")
    if port is not None and port not in USUAL_PORTS and not 1024 <= port <= 65535:
        raise BadTarget("Use port 443, 8443, 80, or one from 1024 on.")
    if _is_literal(host) and not private and not is_public(host):
        raise BadTarget("This address is not on the public Internet.")
    return httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=port, target=parsed.raw_path)


class Outgoing:
    """Makes the requests of a process, over connections that are kept for a while. Close it at the end."""

    def __init__(self, *, private: bool = False, trust: ssl.SSLContext | None = None) -> None:
        self._private = private
        self._backend = _GuardedBackend(private)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=64,
            max_keepalive_connections=32,
            keepalive_expiry=15,
            network_backend=self._backend,
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        """POST and return the answer, whatever its status. Raises: BadTarget, NoAnswer."""
        target, begun = check_target(url, private=self._private), monotonic()
        try:
            async with (
                asyncio.timeout(OVERALL_SECONDS),
                self._pool.stream(
                    "POST",
                    target,
                    headers=list(headers.items()),
                    content=body,
                    extensions={"timeout": {"connect": CONNECT_SECONDS}},
                ) as response,
            ):
                seconds = monotonic() - begun
                await _drain(response)
                return Answer(response.status, _wait_asked_for(response), seconds)
        except (TimeoutError, httpcore.TimeoutException):
            raise NoAnswer(f"no answer within {OVERALL_SECONDS:.0f} seconds") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as error:
            raise NoAnswer(_why(error)) from error

    async def close(self) -> None:
        await self._pool.aclose()
        self._backend.close()


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the address that was judged, never to a name."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._inner = httpcore.AnyIOBackend()
        # Threads of our own: a name server that hangs holds up nobody but those who called its names.
        self._resolvers = ThreadPoolExecutor(8, "resolver")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        found = await self._resolve(host, port)
        allowed = [address for address in found if self._private or is_public(address)]
        if not allowed:
            raise BadTarget(f"{host} is not on the public Internet.")
        problem: Exception | None = None
        for address in allowed[:ADDRESSES_TRIED]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        assert problem is not None
        raise problem

    async def _resolve(self, host: str, port: int) -> list[str]:
        """A name's addresses, each once, in the system's order of preference."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._resolvers, _look_up, host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"the name {host} is not known") from error
        return list(dict.fromkeys(found))

    def close(self) -> None:
        self._resolvers.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _drain(response: httpcore.Response) -> None:
    """Read a short answer to its end; a long, slow or broken one closes the connection instead."""
    read = 0
    with contextlib.suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in response.aiter_stream():
                read += len(chunk)
                if read > DRAIN_BYTES:
                    return


def _wait_asked_for(response: httpcore.Response) -> timedelta | None:
    value = next((raw for name, raw in response.headers if name.lower() == b"retry-after"), b"")
    return wait_asked_for(value.decode("latin-1").strip())


def _why(error: Exception) -> str:
    """In words: libraries' own texts repeat addresses and differ from one version to the next."""
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not good: {cause.verify_message}"
            case ssl.SSLError():
                return "TLS could not be agreed on"
            case ConnectionRefusedError():
                return "the connection was refused"
            case socket.gaierror():
                return "its name is not known"
        cause = cause.__cause__ or cause.__context__
    return "the connection broke"
