"""Pushes: a phone is told that something of what it holds has changed, and asks our web service for it.

A push says nothing else, and its body is empty. Which pass it is about the phone finds out by itself, so that one push
is enough for all that changed before it left. Sources: Apple, "Adding a Web Service to Update Passes", "Sending
notification requests to APNs", "Handling notification responses from APNs".
"""

import asyncio
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, time
from typing import Literal, Protocol

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from web.foundation.http2 import Answer, Http2Client, NoAnswer, Rejected
from web.wallet.apple.certificates import Certificates
from web.wallet.files import write_private

APPLE_URL = "https://api.push.apple.com"
# A push waits so long for others to the same phone: passes that change together are claimed together.
GATHER_SECONDS = 0.01
# A phone is pushed to at most once in so long; what changes meanwhile shares the next push.
REST_SECONDS = 1.0
# Shorter than a delivery's lease, or another worker would think this one dead.
OVERALL_SECONDS = 30.0
# Apple keeps a push for a phone that is switched off; a phone that was away longer asks by itself when it is back.
KEPT_DAYS = 30

Verdict = Literal["pushed", "gone", "later", "refused"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a push to one phone.

    `pushed`: Apple has it. `gone`: the token is no phone's any more, as Apple found at `since` where it says so.
    `later`: Apple is not to be had; it wishes to be left alone for `after`, if it said so. `refused`: Apple will not
    take any push of ours before a person has mended something; `reason` says what.
    """

    verdict: Verdict
    reason: str = ""
    since: datetime | None = None
    after: timedelta | None = None


class Pusher(Protocol):
    """Tells phones that they should ask for their passes."""

    async def push(self, tokens: Sequence[str]) -> list[Outcome]:
        """An outcome for each push token, in its place. Raises nothing for a push that fails."""
        ...

    async def close(self) -> None: ...


class ApplePusher:
    """Pushes through Apple's service, over one connection that is kept. Close it at the end."""

    def __init__(self, certificates: Certificates, url: str = APPLE_URL) -> None:
        self._topic = certificates.pass_type_id
        self._client = Http2Client(url, client_tls(certificates))
        self._gathering: dict[str, asyncio.Task[Outcome]] = {}
        self._pushed_at: dict[str, float] = {}

    async def push(self, tokens: Sequence[str]) -> list[Outcome]:
        # A caller that goes away must not take with it what others wait for.
        return await asyncio.gather(*(asyncio.shield(self._soon(token)) for token in tokens))

    async def close(self) -> None:
        await self._client.close()

    def _soon(self, token: str) -> asyncio.Task[Outcome]:
        """The push to a phone that has not left yet: whoever asks before it leaves shares it."""
        task = self._gathering.get(token)
        if task is None:
            task = self._gathering[token] = asyncio.create_task(self._gather_and_push(token))
        return task

    async def _gather_and_push(self, token: str) -> Outcome:
        rest = self._pushed_at.get(token, -REST_SECONDS) + REST_SECONDS - monotonic()
        await asyncio.sleep(max(rest, GATHER_SECONDS))
        del self._gathering[token]
        self._note(token)
        try:
            # In the path nothing but what belongs there: a token is what some phone once sent us.
            path = f"/3/device/{token}" if token.isascii() and token.isalnum() else "/3/device/"
            async with asyncio.timeout(OVERALL_SECONDS):
                return _outcome(await self._client.post(path, self._headers(), b"{}"))
        except TimeoutError:
            return Outcome(verdict="later", reason=f"no answer within {OVERALL_SECONDS:.0f} seconds")
        except Rejected as error:
            return Outcome(verdict="refused", reason=str(error))
        except NoAnswer as error:
            return Outcome(verdict="later", reason=str(error))

    def _note(self, token: str) -> None:
        now = monotonic()
        self._pushed_at.pop(token, None)
        self._pushed_at[token] = now
        while (oldest := next(iter(self._pushed_at))) and self._pushed_at[oldest] < now - REST_SECONDS:
            del self._pushed_at[oldest]

    def _headers(self) -> list[tuple[str, str]]:
        # A whole day, so that the header is the same for many and HPACK writes it in one byte.
        until = (int(time()) // 86400 + KEPT_DAYS) * 86400
        return [
            ("apns-topic", self._topic),
            # It shows nobody anything by itself, and such pushes have priority 5: "10 is an error".
            ("apns-push-type", "background"),
            ("apns-priority", "5"),
            ("apns-expiration", str(until)),
        ]


class _Said(msgspec.Struct):
    """The body of a refusal. `timestamp` in milliseconds."""

    reason: str = ""
    timestamp: int | None = None


def _outcome(answer: Answer) -> Outcome:
    if answer.status == 200:
        return Outcome(verdict="pushed")
    try:
        said = msgspec.json.decode(answer.body, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = _Said()
    reason = f"{answer.status} {said.reason}".strip()
    if answer.status == 410 or said.reason == "BadDeviceToken":
        since = datetime.fromtimestamp(said.timestamp / 1000, UTC) if said.timestamp else None
        return Outcome(verdict="gone", reason=reason, since=since)
    if answer.status == 429 or answer.status >= 500:
        return Outcome(verdict="later", reason=reason, after=answer.retry_after)
    return Outcome(verdict="refused", reason=reason)


def client_tls(certificates: Certificates) -> ssl.SSLContext:
    """TLS that trusts what this machine trusts and shows the pass certificate."""
    context = ssl.create_default_context()
    chain = (certificates.certificate, certificates.intermediate)
    key = certificates.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # OpenSSL reads them from a file only; this one lives for a moment, in a folder that is ours alone.
    with tempfile.TemporaryDirectory(prefix="pasito-") as folder:
        file = Path(folder) / "client.pem"
        write_private(file, b"".join(each.public_bytes(Encoding.PEM) for each in chain) + key)
        context.load_cert_chain(file)
    return context
