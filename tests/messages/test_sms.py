"""SMS leave by a provider's HTTP interface: a real server answers in all its moods."""

import base64
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from web.messages.envelope import Message
from web.messages.sending import Refused, Sent, TryLater
from web.messages.sms import HttpSmsSender, SmsProvider

JSON_BODY = '{"to": "{to}", "parts": [{"text": "Hi: {text}"}], "ref": "{id}", "flash": false}'
FORM = "application/x-www-form-urlencoded"
FORM_BODY = "To={to}&Body={text}&From=BREW+BAR&Ref={id}"


class Provider(ThreadingHTTPServer):
    """Answers every POST with `status` and `headers`, after `wait` seconds, and keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.daemon_threads = True
        self.status, self.headers, self.wait = 200, dict[str, str](), 0.0
        self.requests: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/messages?account=7"


class _Answer(BaseHTTPRequestHandler):
    server: Provider

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
        time.sleep(self.server.wait)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def sms(**changed: Any) -> Message:
    fields = {"id": "0193-s", "channel": "sms", "to": "+34600000000", "locale": "es", "text": "Hola"}
    return Message(**fields | changed)


def sender(provider: Provider, client: httpx.AsyncClient, **options: Any) -> HttpSmsSender:
    return HttpSmsSender(SmsProvider(url=provider.url, **{"body": JSON_BODY} | options), client)


async def test_a_json_provider_gets_the_filled_document(
    provider: Provider, client: httpx.AsyncClient
) -> None:
    assert await sender(provider, client).send(sms()) == Sent()
    headers, body = provider.requests[0]
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "to": "+34600000000",
        "parts": [{"text": "Hi: Hola"}],
        "ref": "0193-s",
        "flash": False,
    }


async def test_a_form_provider_gets_the_filled_form(provider: Provider, client: httpx.AsyncClient) -> None:
    text = 'a&To=+1 "ñ" {to}'
    assert await sender(provider, client, body=FORM_BODY, content_type=FORM).send(sms(text=text)) == Sent()
    headers, body = provider.requests[0]
    assert headers["content-type"] == FORM
    assert parse_qs(body.decode()) == {
        "To": ["+34600000000"],
        "Body": [text],
        "From": ["BREW BAR"],
        "Ref": ["0193-s"],
    }


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(codec="utf-8"), min_size=1), form=st.booleans())
async def test_no_text_breaks_out_of_its_place(provider: Provider, text: str, form: bool) -> None:
    provider.requests.clear()
    body = "to={to}&text={text}" if form else '{"to": "{to}", "text": "{text}"}'
    async with httpx.AsyncClient(trust_env=False) as client:
        await sender(provider, client, body=body, content_type=FORM if form else "application/json").send(
            sms(text=text)
        )
    _, sent = provider.requests[0]
    received = {k: v[0] for k, v in parse_qs(sent.decode()).items()} if form else json.loads(sent)
    assert received == {"to": "+34600000000", "text": text}


async def test_the_delivery_can_be_told_from_a_repeat(provider: Provider, client: httpx.AsyncClient) -> None:
    await sender(provider, client).send(sms())
    await sender(provider, client).send(sms())
    assert [headers["idempotency-key"] for headers, _ in provider.requests] == ["0193-s"] * 2


async def test_bearer_and_basic_credentials(provider: Provider, client: httpx.AsyncClient) -> None:
    await sender(provider, client, bearer="k3y").send(sms())
    await sender(provider, client, username="añá", password="p:w").send(sms())
    await sender(provider, client).send(sms())
    credentials = [headers.get("authorization") for headers, _ in provider.requests]
    assert credentials == ["Bearer k3y", "Basic " + base64.b64encode("añá:p:w".encode()).decode(), None]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_2xx_is_sent(provider: Provider, client: httpx.AsyncClient, status: int) -> None:
    provider.status = status
    assert await sender(provider, client).send(sms()) == Sent()


@pytest.mark.parametrize("status", [400, 404, 410, 422])
async def test_4xx_is_final(provider: Provider, client: httpx.AsyncClient, status: int) -> None:
    provider.status = status
    assert await sender(provider, client).send(sms()) == Refused(f"the SMS provider answered {status}")


@pytest.mark.parametrize("status", [302, 401, 403, 408, 425, 429, 500, 502, 503])
async def test_what_may_pass_is_tried_again(
    provider: Provider, client: httpx.AsyncClient, status: int
) -> None:
    provider.status, provider.headers = status, {"Location": "/elsewhere"}
    assert await sender(provider, client).send(sms()) == TryLater(f"the SMS provider answered {status}")
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("said", "after"),
    [("7", 7), ("0", 0), ("999999999", 86_400), ("soon", None), ("-5", None), ("", None), ("٧", None)],
)
async def test_retry_after_in_seconds(
    provider: Provider, client: httpx.AsyncClient, said: str, after: float | None
) -> None:
    provider.status, provider.headers = 429, {"Retry-After": said} if said.isascii() else {}
    outcome = await sender(provider, client).send(sms())
    assert isinstance(outcome, TryLater)
    assert outcome.after == after


@pytest.mark.parametrize(("minutes", "low", "high"), [(10, 590, 600), (-10, 0, 0)])
async def test_retry_after_as_a_date(
    provider: Provider, client: httpx.AsyncClient, minutes: int, low: float, high: float
) -> None:
    when = datetime.now(UTC) + timedelta(minutes=minutes)
    provider.status, provider.headers = 503, {"Retry-After": format_datetime(when, usegmt=True)}
    outcome = await sender(provider, client).send(sms())
    assert isinstance(outcome, TryLater)
    assert outcome.after is not None
    assert low <= outcome.after <= high


async def test_a_slow_provider_is_tried_again(provider: Provider, client: httpx.AsyncClient) -> None:
    provider.wait = 0.5
    assert await sender(provider, client, timeout=0.05).send(sms()) == TryLater(
        "the SMS provider did not answer in time"
    )


async def test_nobody_there_is_tried_again(client: httpx.AsyncClient) -> None:
    server = Provider()
    server.server_close()
    outcome = await sender(server, client).send(sms())
    assert isinstance(outcome, TryLater)
    assert "cannot be reached" in outcome.reason


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", '{"to": "{to}"}'),
        ("application/json", '{"to": "{to}", "text": "{text}", "from": "{sender}"}'),
        ("application/json", "To={to}&Body={text}"),
        ("application/json", '{"{to}": "{text}"}'),
        (FORM, "To={to}"),
        (FORM, "{to} {text}"),
    ],
)
def test_a_wrong_template_stops_the_start(content_type: Any, body: str) -> None:
    with pytest.raises(ValueError):
        SmsProvider(url="https://sms.example", body=body, content_type=content_type)


def test_the_key_is_not_printed() -> None:
    assert "k3y" not in repr(SmsProvider(url="https://sms.example?k=k3y", body=JSON_BODY, bearer="k3y"))
