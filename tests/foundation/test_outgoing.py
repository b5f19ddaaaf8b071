"""Requests to addresses that others chose: out into the Internet, and never behind our own walls."""

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ports import free_port
from tests.support.receiver import Receiver, Reply, receiving
from web.foundation import outgoing
from web.foundation.outgoing import BadTarget, NoAnswer, Outgoing, check_target, is_public

CLOSED = st.one_of(
    *(
        st.ip_addresses(network=network)
        for network in ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
                        "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4")
    )
)  # fmt: skip
OPEN = st.sampled_from(
    ["1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "172.15.0.1", "223.255.255.254"]
)


@pytest.fixture(scope="module")
def shop() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
async def free() -> AsyncIterator[Outgoing]:
    """As in development, where our own network may be called."""
    client = Outgoing(private=True)
    yield client
    await client.close()


@pytest.fixture
async def guarded() -> AsyncIterator[Outgoing]:
    client = Outgoing()
    yield client
    await client.close()


# ---- Which addresses are the Internet's


@given(st.ip_addresses())
def test_what_is_called_public_is_global_by_python_s_own_account(address: Any) -> None:
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved or address in ipaddress.ip_network("64:ff9b::/96")


@given(CLOSED)
def test_a_closed_address_stays_closed_in_every_dress(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    dresses = [
        str(address),
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        str(ipaddress.IPv6Address((0x2002 << 112) | number << 80)),
        str(ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF))),
        f"fe80::{address}%eth0",
        f"fc00::{address}",
    ]
    assert not any(map(is_public, dresses))


@given(OPEN)
def test_an_open_one_is_open_also_from_a_network_without_ipv4(address: str) -> None:
    assert is_public(address)
    assert is_public(f"64:ff9b::{address}")
    assert not is_public(f"::ffff:{address}")


@pytest.mark.parametrize("address", ["2606:4700::1111", "2a00:1450:4001::200e"])
def test_the_internet_s_sixth_version_is_open(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address", ["::1", "::", "ff02::1", "2001:db8::1", "fd00::1", "3fff::1", "", "x", "1"]
)
def test_what_is_special_or_no_address_is_not(address: str) -> None:
    assert not is_public(address)


# ---- Which URLs are taken


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.com/hooks",
        "ftp://shop.example.com",
        "file:///etc/passwd",
        "https://",
        "shop.example.com",
        "https://user:secret@shop.example.com/",
        "https://shop.example.com:22/",
        "https://shop.example.com:70000/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://shop.example.com/\n",
        "https://shop.example.com/" + "x" * 2000,
        "",
        "https://exa mple.com",
    ],
)
def test_an_address_that_cannot_be_called_is_told_so_at_once(url: str) -> None:
    with pytest.raises(BadTarget):
        check_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.com/hooks?to=pasito",
        "https://shop.example.com:8443",
        "https://bücher.example/hooks",
        "https://8.8.8.8/",
    ],
)
def test_an_ordinary_address_is_taken(url: str) -> None:
    assert check_target(url).scheme == b"https"


@given(st.text(max_size=60))
def test_whatever_is_typed_is_judged_and_never_breaks(text: str) -> None:
    for url in (
        text,
        f"https://{text}",
        f"https://shop.example.com:{text}",
        f"https://shop.example.com/{text}",
    ):
        with contextlib.suppress(BadTarget):
            assert check_target(url).scheme == b"https"


# ---- What is done


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.0.0.1", "017700000001"])
async def test_a_name_that_leads_to_this_machine_is_not_called(guarded: Outgoing, host: str) -> None:
    with pytest.raises(BadTarget):
        await guarded.post(f"https://{host}:{free_port()}/", b"", {})


async def test_a_request_arrives_as_it_was_meant_past_every_proxy(
    free: Outgoing, shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    answer = await free.post(f"{shop.url}?a=1", b'{"a":1}', {"x-kind": "test"})
    assert (answer.status, answer.retry_after) == (200, None)
    received = shop.requests[-1]
    assert (received.path, received.body, received.headers["x-kind"]) == ("/hooks?a=1", b'{"a":1}', "test")
    assert received.headers["host"] in shop.url


async def test_a_redirect_is_an_answer_and_not_followed(free: Outgoing, shop: Receiver) -> None:
    with receiving() as inner:
        shop.answer = lambda _: Reply(307, {"location": inner.url})
        assert (await free.post(shop.url, b"", {})).status == 307
        assert inner.requests == []
    shop.answer = lambda _: Reply()


async def test_who_hangs_or_drips_is_left_after_the_time_given(
    free: Outgoing, shop: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "OVERALL_SECONDS", 0.2)
    shop.answer = lambda _: Reply(hang=5)
    begun = monotonic()
    with pytest.raises(NoAnswer, match="no answer"):
        await free.post(shop.url, b"", {})
    shop.answer = lambda _: Reply(endless=True)
    assert (await free.post(shop.url, b"", {})).status == 200, "its answer was there before its body"
    assert monotonic() - begun < 2
    shop.answer = lambda _: Reply()


async def test_who_is_not_there_is_told_in_words(free: Outgoing) -> None:
    with pytest.raises(NoAnswer, match="refused"):
        await free.post(f"http://127.0.0.1:{free_port()}/", b"", {})
    with pytest.raises(NoAnswer, match="not known"):
        await free.post("http://nobody.invalid/", b"", {})


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("120", 120),
        ("99999999999", 86_400),
        ("{in ten minutes}", 600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("soon", None),
        ("-5", None),
    ],
)
async def test_the_wait_that_is_asked_for_is_read_in_both_spellings(
    free: Outgoing, shop: Receiver, written: str, seconds: float | None
) -> None:
    in_ten_minutes = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    written = written.replace("{in ten minutes}", in_ten_minutes)
    shop.answer = lambda _: Reply(429, {"retry-after": written})
    answer = await free.post(shop.url, b"", {})
    shop.answer = lambda _: Reply()
    if seconds is None:
        assert answer.retry_after is None
    else:
        assert answer.retry_after is not None
        assert abs(answer.retry_after.total_seconds() - seconds) < 5


# ---- TLS, and names that change their mind


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for the name shop.test, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("shop.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "shop.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


def name_server(answers: list[str]) -> Callable[..., list[Any]]:
    """A name server that gives each of its answers once, and the last one for ever."""

    def look_up(host: str, port: int, **_: Any) -> list[Any]:
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    return look_up


async def test_tls_asks_for_the_name_and_the_connection_goes_to_the_address_that_was_judged(
    certificate: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.1 plays the Internet here, 127.0.0.2 our own network."""
    server, trust = certificate
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == "127.0.0.1")
    client = Outgoing(trust=trust)
    with receiving(tls=server) as shop:
        port = int(shop.url.split(":")[2].partition("/")[0])
        answers = ["127.0.0.1", "127.0.0.2"]
        monkeypatch.setattr(outgoing.socket, "getaddrinfo", name_server(answers))
        assert (await client.post(f"https://shop.test:{port}/", b"1", {})).status == 200
        await client._pool.aclose()
        with pytest.raises(BadTarget):
            await client.post(f"https://shop.test:{port}/", b"2", {})
        monkeypatch.setattr(outgoing.socket, "getaddrinfo", name_server(["127.0.0.1"]))
        with pytest.raises(NoAnswer, match="certificate"):
            await client.post(f"https://other.test:{port}/", b"3", {})
        assert [request.body for request in shop.requests] == [b"1"]
    await client.close()
