"""Google's Wallet API over REST, and the access token that it asks for (RFC 7523, the JWT bearer grant)."""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic, time

import httpx
import jwt

from web.wallet.google.account import ServiceAccount
from web.wallet.google.objects import Json

API_URL = "https://walletobjects.googleapis.com/walletobjects/v1"
TOKEN_URL = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"

Resource = str  # "loyaltyClass", "offerObject" …: see kinds.py

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_SECONDS = 3600  # the longest that Google grants
_EARLY_SECONDS = 60  # a token is renewed before it can expire on its way


class GoogleError(Exception):
    """Google's answer was no. `status` is None where there was no answer."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after  # seconds, where Google named a time


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
    """Stores classes and objects. Every call raises a GoogleError of the kind that says what to do."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        account: ServiceAccount,
        *,
        api_url: str = API_URL,
        token_url: str = TOKEN_URL,
    ) -> None:
        self._http, self._account = http, account
        self._api_url, self._token_url = api_url, token_url
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

    async def store(self, resource: Resource, content: Json) -> Json:
        """Stores it whether or not it is there already, so that a repetition does no harm."""
        try:
            return await self.insert(resource, content)
        except AlreadyExistsError:
            return await self.patch(resource, content)

    async def _call(self, method: str, path: str, content: Json | None = None) -> Json:
        try:
            return await self._send(method, path, content)
        except UnauthorizedError:
            self._token = ""  # it may have been revoked before its time: once more with a new one
            return await self._send(method, path, content)

    async def _send(self, method: str, path: str, content: Json | None) -> Json:
        headers = {"authorization": f"Bearer {await self._access_token()}"}
        return await self._answer(
            self._http.build_request(method, f"{self._api_url}/{path}", json=content, headers=headers)
        )

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
