"""Google's Wallet API over REST, and the access token that it asks for (RFC 7523, the JWT bearer grant)."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic, time
from typing import Literal, NamedTuple

import httpx
import jwt

from web.foundation.pace import Pace
from web.wallet.google.account import ServiceAccount
from web.wallet.google.objects import Json

API_URL = "https://walletobjects.googleapis.com/walletobjects/v1"
TOKEN_URL = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"

Kind = Literal["loyalty", "offer", "giftCard", "generic"]
ClassResource = Literal["loyaltyClass", "offerClass", "giftCardClass", "genericClass"]
ObjectResource = Literal["loyaltyObject", "offerObject", "giftCardObject", "genericObject"]
Resource = ClassResource | ObjectResource
MessageType = Literal["TEXT", "TEXT_AND_NOTIFY"]


class Message(NamedTuple):
    """What a message on a card says. Google tells two of one `id` apart by nothing."""

    id: str
    header: str
    body: str


_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_SECONDS = 3600  # the longest that Google grants
_EARLY_SECONDS = 60  # a token is renewed before it can expire on its way
# Longer than this nobody waits for a turn: a delivery comes back later instead of keeping its worker.
_LONGEST_TURN = 10.0


class GoogleError(Exception):
    """Google's answer was no. `status` is None where there was no answer."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after  # seconds, where Google named a time

    @property
    def name(self) -> str:
        """What metrics call it: "too_many_requests"."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__.removesuffix("Error")).lower()


class RefusedError(GoogleError):
    """The request itself is wrong (400 and its like): trying again will not help."""


class UnauthorizedError(GoogleError):
    """Google does not know the service account, or no longer (401, or no access token granted)."""


class ForbiddenError(GoogleError):
    """The service account is known but has no rights to this issuer (403)."""


class NotFoundError(GoogleError):
    """No such class or object (404)."""


class AlreadyExistsError(GoogleError):
    """A class or object with this id is there (409)."""


class TooManyRequestsError(GoogleError):
    """More than about 20 requests a second for the issuer (429). Try again, not before `retry_after`."""


class QuotaExceededError(TooManyRequestsError):
    """A fourth notification for one pass within 24 hours; without one the same request is taken."""


class UnavailableError(GoogleError):
    """Google is out of order or out of reach (5xx, network). Try again later."""


_ERRORS: dict[int, type[GoogleError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: AlreadyExistsError,
    429: TooManyRequestsError,
}


class GoogleClient:
    """Stores classes and objects. Every call raises a GoogleError of the kind that says what to do.

    `pace` is kept by waiting. `count` hears how each request ended: "ok", or the error's name.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        account: ServiceAccount,
        *,
        api_url: str = API_URL,
        token_url: str = TOKEN_URL,
        pace: Pace | None = None,
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._http, self._account = http, account
        self._api_url, self._token_url = api_url, token_url
        self._pace, self._count = pace, count
        self._token, self._token_until = "", 0.0
        self._renewal = asyncio.Lock()

    async def get(self, resource: Resource, id_: str) -> Json:
        """What Google holds under this id. Raises NotFoundError."""
        return await self._call("GET", f"{resource}/{id_}")

    async def insert(self, resource: Resource, content: Json) -> Json:
        """Stores something new. Raises AlreadyExistsError."""
        return await self._call("POST", resource, content)

    async def patch(self, resource: Resource, content: Json) -> Json:
        """Changes the fields given of what has the content's id. Raises NotFoundError."""
        return await self._call("PATCH", f"{resource}/{content['id']}", content)

    async def replace(self, resource: Resource, content: Json) -> Json:
        """Puts the content in the place of all that has its id. Raises NotFoundError."""
        return await self._call("PUT", f"{resource}/{content['id']}", content)

    async def add_message(
        self,
        resource: ObjectResource,
        object_id: str,
        message: Message,
        message_type: MessageType = "TEXT",
    ) -> Json:
        """Adds a message to a card and returns the card; repeated, it adds another of the same `id`.

        Raises NotFoundError, and QuotaExceededError for one that would notify too often.
        """
        content = {"message": message._asdict() | {"messageType": message_type}}
        answer = await self._call("POST", f"{resource}/{object_id}/addMessage", content)
        return dict(answer.get("resource", {}))

    async def _call(self, method: str, path: str, content: Json | None = None) -> Json:
        try:
            try:
                answer = await self._send(method, path, content)
            except UnauthorizedError:
                self._token = ""  # it may have been revoked before its time: once more with a new one
                answer = await self._send(method, path, content)
        except GoogleError as error:
            self._count(error.name)
            raise
        self._count("ok")
        return answer

    async def _send(self, method: str, path: str, content: Json | None) -> Json:
        headers = {"authorization": f"Bearer {await self._access_token()}"}
        request = self._http.build_request(method, f"{self._api_url}/{path}", json=content, headers=headers)
        if self._pace is None:
            return await self._answer(request)
        if self._pace.wait > _LONGEST_TURN:
            raise TooManyRequestsError("Google asked for quiet", status=429, retry_after=self._pace.wait)
        await self._pace.turn()
        try:
            return await self._answer(request)
        except QuotaExceededError:
            raise
        except TooManyRequestsError as error:
            self._pace.hold(error.retry_after or 1.0)
            raise

    async def _access_token(self) -> str:
        async with self._renewal:  # many cards at once shall not ask for many tokens
            if not self._token or monotonic() >= self._token_until:
                granted = await self._ask_for_token()
                self._token = str(granted.get("access_token", ""))
                self._token_until = monotonic() + float(granted.get("expires_in", 0)) - _EARLY_SECONDS
            return self._token

    async def _ask_for_token(self) -> Json:
        form = {"grant_type": _GRANT, "assertion": self._assertion()}
        try:
            return await self._answer(self._http.build_request("POST", self._token_url, data=form))
        except RefusedError as error:  # an unknown account or key is answered 400, "invalid_grant"
            raise UnauthorizedError(str(error), status=error.status) from error

    def _assertion(self) -> str:
        now = int(time())
        claims = {
            "iss": self._account.client_email,
            "scope": SCOPE,
            "aud": self._token_url,
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }
        headers = {"kid": self._account.private_key_id}
        return jwt.encode(claims, self._account.key, algorithm="RS256", headers=headers)

    async def _answer(self, request: httpx.Request) -> Json:
        try:
            response = await self._http.send(request)
            if response.is_success:
                return dict(response.json())
        except (httpx.TransportError, ValueError) as error:
            raise UnavailableError(f"no usable answer from {request.url.host}: {error}") from error
        raise _error(request, response)


def _error(request: httpx.Request, response: httpx.Response) -> GoogleError:
    status = response.status_code
    kind = _ERRORS.get(status) or (UnavailableError if status >= 500 else RefusedError)
    # The guide "Trigger push notifications" names the exception and leaves the status open.
    if "QuotaExceededException" in response.text:
        kind = QuotaExceededError
    message = f"{request.method} {request.url.path} was answered {status}: {response.text[:300]}"
    return kind(message, status=status, retry_after=_retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait, from a number of seconds or a date (RFC 9110 section 10.2.3)."""
    value = response.headers.get("retry-after", "")
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
