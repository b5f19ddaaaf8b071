"""SMS by a provider's plain HTTP interface: one POST for each message."""

import json
import re
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, cast
from urllib.parse import parse_qsl

import httpx
import msgspec

from web.messages.envelope import Message
from web.messages.sending import Outcome, Refused, Sent, TryLater

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_KNOWN = {"to", "text", "id"}
# Not about this message: a refused key, an overloaded or slow provider.
_PASSING = {401, 403, 408, 425, 429}
_LONGEST_WAIT = 86_400.0


class SmsProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's HTTP interface.

    `body` is a template with {to}, {text} and {id} in its values. By `content_type` it is a JSON
    document, such as `{"to": "{to}", "body": "{text}"}`, or a form, such as
    `To={to}&Body={text}&From=BREWBAR`. `bearer`, or `username` with `password`, signs the request.
    `timeout` is in seconds. Raises ValueError when the template is not of its form, names an unknown
    placeholder, or leaves out {to} or {text}.
    """

    url: str
    body: str
    content_type: Literal["application/json", "application/x-www-form-urlencoded"] = "application/json"
    bearer: str | None = None
    username: str | None = None
    password: str | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        used = set(_PLACEHOLDER.findall(" ".join(_strings(self.fields()))))
        if unknown := used - _KNOWN:
            raise ValueError(f"the SMS body names unknown placeholders: {', '.join(sorted(unknown))}")
        if missing := {"to", "text"} - used:
            raise ValueError(f"the SMS body leaves out: {', '.join(sorted(missing))}")

    def __repr__(self) -> str:
        # The generated one would print the provider's key into a log or a traceback.
        return f"SmsProvider({httpx.URL(self.url).host})"

    def fields(self) -> object:
        """The template, parsed. Values are filled in afterwards, so none can break out of its place."""
        if self.content_type == "application/json":
            return json.loads(self.body)
        return dict(parse_qsl(self.body, keep_blank_values=True, strict_parsing=True))


class HttpSmsSender:
    """Sends by one provider over the given client, which its owner closes.

    The message's id also goes out as `Idempotency-Key`, for providers that then send a repeat once.
    """

    def __init__(self, provider: SmsProvider, client: httpx.AsyncClient) -> None:
        self._provider = provider
        self._client = client

    async def send(self, message: Message) -> Outcome:
        try:
            response = await self._post(message)
        except httpx.TimeoutException:
            return TryLater("the SMS provider did not answer in time")
        except httpx.HTTPError as error:
            return TryLater(f"the SMS provider cannot be reached ({type(error).__name__})")
        return _outcome(response)

    async def close(self) -> None:
        """The client belongs to whoever gave it."""

    async def _post(self, message: Message) -> httpx.Response:
        provider = self._provider
        fields = _filled(provider.fields(), {"to": message.to, "text": message.text, "id": message.id})
        headers = {"Idempotency-Key": message.id}
        if provider.bearer is not None:
            headers["Authorization"] = f"Bearer {provider.bearer}"
        elif provider.username is not None:
            basic = f"{provider.username}:{provider.password or ''}".encode()
            headers["Authorization"] = f"Basic {b64encode(basic).decode()}"
        as_json = provider.content_type == "application/json"
        return await self._client.post(
            provider.url,
            json=fields if as_json else None,
            data=None if as_json else cast(dict[str, str], fields),
            headers=headers,
            timeout=provider.timeout,
            follow_redirects=False,
        )


def _outcome(response: httpx.Response) -> Outcome:
    """Reads the status alone: a provider's own words often repeat the number."""
    status = response.status_code
    if response.is_success:
        return Sent()
    reason = f"the SMS provider answered {status}"
    if response.is_client_error and status not in _PASSING:
        return Refused(reason)
    return TryLater(reason, after=_retry_after(response.headers.get("Retry-After", "")))


def _retry_after(value: str) -> float | None:
    """Seconds to wait (RFC 9110, 10.2.3: seconds or a date), at most a day; None when not said."""
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)


def _strings(template: object) -> list[str]:
    match template:
        case str():
            return [template]
        case dict():
            return [text for value in template.values() for text in _strings(value)]
        case list():
            return [text for value in template for text in _strings(value)]
    return []


def _filled(template: object, values: dict[str, str]) -> object:
    match template:
        case str():
            return _PLACEHOLDER.sub(lambda found: values[found[1]], template)
        case dict():
            return {name: _filled(value, values) for name, value in template.items()}
        case list():
            return [_filled(value, values) for value in template]
    return template
