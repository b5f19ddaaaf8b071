"""Google Wallet as a server on this machine: tokens, classes and objects over REST, messages, callbacks, a phone.

It speaks HTTP on a free port, is as strict as the REST reference, and fails as a test tells it to. `Google.phone`
is an Android phone: it opens save links as Google's page does, holds cards, shows notices and removes cards.
"""

import json
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.google_schema import (
    MOST_MESSAGES,
    REQUIRED,
    RESOURCES,
    InvalidError,
    check,
    check_complete,
)
from tests.support.google_signer import Signer

SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
SAVE_URL = "https://pay.google.com/gp/v/save/"
LONGEST_LINK = 1800
ISSUER_ID = "3388000000012345678"
# Notices for one pass in 24 hours, of messages; changed fields have as many of their own.
NOTICES_A_DAY = 3
DAY = 86_400.0
# Changes of these are told on the lock screen, where a change asks for it.
NOTIFIABLE = ("loyaltyPoints", "secondaryLoyaltyPoints", "balance", "state")
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
_PATH = re.compile(rf"/walletobjects/v1/({'|'.join(RESOURCES)})(?:/([^/]+)(/addMessage)?)?")


class RefusalError(Exception):
    """How Google says no."""

    def __init__(self, status: int, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True)
class Call:
    """One request to the API. `path` has no prefix: "loyaltyObject/33880….card-1"."""

    method: str
    path: str
    body: Any
    at: float

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Notice:
    """What lit up a phone: a message's text, or the name of a field that changed."""

    object_id: str
    text: str


def make_account(path: Path, email: str = "wallet@brewbar.iam.gserviceaccount.com") -> RSAPublicKey:
    """Write a service account's key file, as the console hands it out; returns its public key."""
    key = generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "private_key_id": "key-1",
        "private_key": pem,
        "client_email": email,
    }
    path.write_text(json.dumps(account))
    path.chmod(0o600)
    return key.public_key()


@dataclass
class Google:
    """`accounts` maps e-mail -> (key id, public key). What is stored is in `held`, by resource and id."""

    accounts: dict[str, tuple[str, RSAPublicKey]]
    account_file: Path
    issuer_id: str = ISSUER_ID
    held: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {name: {} for name in RESOURCES}
    )
    # Every request, tokens' and keys' too: "POST /token".
    calls: list[str] = field(default_factory=list)
    api_calls: list[Call] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    token_seconds: int = 3600
    keys_seconds: int = 3600
    # Requests a second that the API takes; 0 for any number.
    pace: int = 0
    # Seconds that each API call takes.
    delay: float = 0.0
    # Carried out, but the answer never comes: so many of the next API calls.
    lose_answers: int = 0
    # How far this server's clock is ahead, in seconds: `clock += 86400` is tomorrow.
    clock: float = 0.0
    _tokens: set[str] = field(default_factory=set)
    _failures: deque[RefusalError] = field(default_factory=deque)
    _told: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.signer = Signer(self.issuer_id)
        self.phone = AndroidPhone(self)

    def __enter__(self) -> "Google":
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def api_url(self) -> str:
        return f"{self.origin}/walletobjects/v1"

    @property
    def token_url(self) -> str:
        return f"{self.origin}/token"

    @property
    def keys_url(self) -> str:
        return f"{self.origin}/gp/m/issuer/keys"

    @property
    def settings(self) -> dict[str, str]:
        """By these a server of ours talks to this Google: `serving(url, data_dir, **google.settings)`."""
        return {
            "PASITO_GOOGLE_ISSUER": self.issuer_id,
            "PASITO_GOOGLE_CREDENTIALS": str(self.account_file),
            "PASITO_GOOGLE_API_URL": self.api_url,
            "PASITO_GOOGLE_TOKEN_URL": self.token_url,
            "PASITO_GOOGLE_KEYS_URL": self.keys_url,
        }

    def fail_next(
        self, *statuses: int, retry_after: str | None = None, message: str = "told to fail"
    ) -> None:
        """The next API calls are answered like this instead of being carried out."""
        self._failures.extend(RefusalError(status, message, retry_after) for status in statuses)

    def recover(self) -> None:
        """Nothing fails any more."""
        self._failures.clear()
        self.lose_answers, self.delay, self.pace = 0, 0.0, 0

    def revoke_tokens(self) -> None:
        self._tokens.clear()

    def object(self, pass_id: str, resource: str = "loyaltyObject") -> dict[str, Any] | None:
        """What Google has of a pass, by our serial number."""
        return next((held for id_, held in self.held[resource].items() if id_.endswith(pass_id)), None)

    def wait_for(self, found: Callable[[], Any], seconds: float = 10.0) -> Any:
        """What `found` returns, once that is something: `google.wait_for(lambda: google.object(pass_id))`."""
        ends = time.monotonic() + seconds
        while not (value := found()):
            assert time.monotonic() < ends, f"Google waited in vain; it was asked: {self.calls[-10:]}"
            time.sleep(0.01)
        return value

    def callback(self, event: str, object_id: str, **more: Any) -> bytes:
        """The body that Google sends when an object was saved (`save`) or removed (`del`)."""
        return json.dumps(self.signer.envelope(self.signer.message(event, object_id, **more))).encode()

    def save(self, url: str) -> dict[str, Any]:
        """What a phone that opens this save link would hold. Raises RefusalError as Google's page would."""
        return self.held["loyaltyObject"][self.phone.save(url)]

    # What the API does

    def grant(self, form: dict[str, list[str]]) -> dict[str, Any]:
        if form.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            raise RefusalError(400, "unsupported_grant_type")
        claims = self.verified(form["assertion"][0], audience=self.token_url, demand=["iat", "exp", "scope"])
        if claims["scope"] != SCOPE or claims["exp"] - claims["iat"] > 3600:
            raise RefusalError(400, "invalid_scope")
        token = secrets.token_urlsafe()
        self._tokens.add(token)
        return {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"}

    def call(self, method: str, path: str, authorization: str, content: Any) -> Any:
        with self._lock:
            self._take_turn()
            if self._failures:
                raise self._failures.popleft()
            if authorization.removeprefix("Bearer ") not in self._tokens:
                raise RefusalError(401, "Request had invalid authentication credentials.")
            match = _PATH.fullmatch(path)
            if not match:
                raise RefusalError(404, "no such method")
            self.api_calls.append(
                Call(method, path.removeprefix("/walletobjects/v1/"), content, time.monotonic())
            )
            resource, id_, adds_message = match.groups()
            try:
                if id_ is None and method == "POST":
                    return self.insert(resource, content)
                if id_ is not None:
                    return self._change(method, resource, id_, content, bool(adds_message))
            except InvalidError as error:
                raise RefusalError(400, str(error)) from error
            raise RefusalError(404, "no such method")

    def insert(self, resource: str, content: Any) -> dict[str, Any]:
        check_complete(resource, content)
        if not content["id"].startswith(f"{self.issuer_id}."):
            raise RefusalError(403, "The caller does not have permission for this issuer.")
        if content["id"] in self.held[resource]:
            raise RefusalError(409, f"{content['id']} already exists.")
        kept = {name: value for name, value in content.items() if name != "notifyPreference"}
        if resource.endswith("Class"):
            kept = _reviewed(resource, kept)
        else:
            self._check_class(resource, kept["classId"])
            kept["hasUsers"] = False
        self.held[resource][content["id"]] = kept
        return kept

    def _change(self, method: str, resource: str, id_: str, content: Any, adds_message: bool) -> Any:
        present = self.held[resource].get(id_)
        if present is None:
            raise RefusalError(404, f"{resource} {id_} not found")
        if method == "GET":
            return present
        if adds_message and method == "POST":
            return self._add_message(resource, present, content)
        if content.get("id", id_) != id_:
            raise InvalidError("the id cannot be changed")
        if method == "PATCH":
            check(resource, content)
            after = present | content
        elif method == "PUT":
            check_complete(resource, content)
            after = content | {name: present[name] for name in ("hasUsers",) if name in present}
        else:
            raise RefusalError(404, "no such method")
        if resource.endswith("Class"):
            if content.get("reviewStatus", "UNDER_REVIEW") not in ("UNDER_REVIEW", "DRAFT"):
                raise InvalidError("reviewStatus can be set to UNDER_REVIEW or DRAFT only")
            if present["reviewStatus"] == "APPROVED" and "reviewStatus" not in content:
                raise InvalidError("Approved classes have to be sent with reviewStatus UNDER_REVIEW")
            after = _reviewed(resource, after)
        else:
            self._check_class(resource, after["classId"])
        self._tell_of_change(present, after)
        for message in content.get("messages", ()):  # sent whole, a notifying message notifies
            if message.get("messageType") == "TEXT_AND_NOTIFY":
                self._tell(after, "message", message["body"])
        self.held[resource][id_] = {
            name: value for name, value in after.items() if name != "notifyPreference"
        }
        return self.held[resource][id_]

    def _add_message(self, resource: str, present: dict[str, Any], content: Any) -> dict[str, Any]:
        if set(content) != {"message"}:
            raise InvalidError("Missing required field: message")
        message = {"messageType": "TEXT"} | content["message"]
        check(resource, {"messages": [message]})
        messages = [*present.get("messages", []), message]
        if len(messages) > MOST_MESSAGES:
            raise InvalidError("more than 10 messages")
        if message["messageType"] == "TEXT_AND_NOTIFY" and not self._may_tell(present["id"], "message"):
            raise RefusalError(
                429, "QuotaExceededException: no more than 3 notifications for a pass within 24 hours"
            )
        present["messages"] = messages
        if message["messageType"] == "TEXT_AND_NOTIFY":
            self._tell(present, "message", message["body"])
        return {"resource": present}

    def _tell_of_change(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        if after.get("notifyPreference") != "NOTIFY_ON_UPDATE":
            return
        changed = [name for name in NOTIFIABLE if before.get(name) != after.get(name)]
        if changed and self._may_tell(after["id"], "change"):
            self._tell(after, "change", changed[0])

    def _may_tell(self, object_id: str, sort: str) -> bool:
        at = time.time() + self.clock
        return (
            len([then for then in self._told.get((object_id, sort), ()) if then > at - DAY]) < NOTICES_A_DAY
        )

    def _tell(self, thing: dict[str, Any], sort: str, text: str) -> None:
        self._told.setdefault((thing["id"], sort), []).append(time.time() + self.clock)
        if thing.get("hasUsers", False):
            self.notices.append(Notice(thing["id"], text))

    def _check_class(self, resource: str, class_id: str) -> None:
        kept = self.held[resource.replace("Object", "Class")].get(class_id)
        if kept is None:
            raise RefusalError(404, f"class {class_id} not found")
        if kept.get("reviewStatus", "APPROVED") != "APPROVED":
            raise RefusalError(400, f"class {class_id} is not approved")

    def _take_turn(self) -> None:
        if self.pace:
            since = time.monotonic() - 1.0
            if sum(call.at > since for call in self.api_calls[-2 * self.pace :]) >= self.pace:
                raise RefusalError(429, "Quota exceeded for quota metric 'Requests' per second")

    def verified(self, token: str, audience: str, demand: list[str] | None = None) -> dict[str, Any]:
        """A JWT's claims, if one of the accounts signed it. Raises: RefusalError."""
        try:
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
            key_id, key = self.accounts[issuer]
            if jwt.get_unverified_header(token).get("kid", key_id) != key_id:
                raise RefusalError(400, "invalid_grant: unknown key")
            options: Any = {"require": demand or ["iat"]}
            return jwt.decode(token, key, algorithms=["RS256"], audience=audience, options=options)
        except (jwt.InvalidTokenError, KeyError) as error:
            raise RefusalError(400, f"invalid_grant: {error}") from error


class AndroidPhone:
    """Holds cards as Google Wallet does, and lets Google call back at each save and removal.

    `calls_back` is where: a class names https addresses only, and a test's server has none.
    """

    def __init__(self, google: Google, calls_back: str | None = None) -> None:
        self._google = google
        self.calls_back = calls_back
        self.cards: list[str] = []
        # The status with which each callback was answered.
        self.answers: list[int] = []

    def save(self, url: str) -> str:
        """Open a save link and tap "Add"; returns the object's id. Raises: RefusalError."""
        google = self._google
        if not url.startswith(SAVE_URL) or len(url) > LONGEST_LINK:
            raise RefusalError(400, "not a save link, or one too long for a browser")
        claims = google.verified(url.removeprefix(SAVE_URL), audience="google")
        if claims.get("typ") != "savetowallet" or not isinstance(claims.get("origins"), list):
            raise RefusalError(400, "wrong claims")
        payload = dict(claims["payload"])
        resource, cards = next((name[:-1], payload[name]) for name in payload if name.endswith("Objects"))
        for program in payload.get(f"{resource.replace('Object', 'Class')}es", []):
            if program["id"] not in google.held[resource.replace("Object", "Class")]:
                self._insert(resource.replace("Object", "Class"), program)
        (card,) = cards
        if card["id"] not in google.held[resource]:
            self._insert(resource, card)
        google.held[resource][card["id"]]["hasUsers"] = True
        if card["id"] not in self.cards:
            self.cards.append(card["id"])
        self._call_back("save", resource, card["id"])
        return str(card["id"])

    def remove(self, object_id: str) -> None:
        """Remove a card from the wallet."""
        resource = next(name for name in REQUIRED if object_id in self._google.held[name])
        self.cards.remove(object_id)
        self._google.held[resource][object_id]["hasUsers"] = False
        self._call_back("del", resource, object_id)

    def shows(self, object_id: str) -> dict[str, Any]:
        """A card with what it has of its class, as it is on the screen now."""
        held = self._google.held
        resource = next(name for name in REQUIRED if object_id in held[name])
        card = held[resource][object_id]
        return {"class": held[resource.replace("Object", "Class")][card["classId"]]} | card

    def notices(self, object_id: str) -> list[str]:
        return [notice.text for notice in self._google.notices if notice.object_id == object_id]

    def _insert(self, resource: str, content: dict[str, Any]) -> None:
        try:
            self._google.insert(resource, content)
        except InvalidError as error:
            raise RefusalError(400, str(error)) from error

    def _call_back(self, event: str, resource: str, object_id: str) -> None:
        if self.calls_back:
            class_id = self._google.held[resource][object_id]["classId"]
            body = self._google.callback(event, object_id, class_id=class_id)
            headers = {"content-type": "application/json"}
            answer = httpx.post(self.calls_back, content=body, headers=headers, timeout=10)
            self.answers.append(answer.status_code)


def _reviewed(resource: str, kept: dict[str, Any]) -> dict[str, Any]:
    """The platform approves at once what is put up for review; generic classes are not reviewed."""
    if resource == "genericClass":
        return kept
    if kept["reviewStatus"] not in ("UNDER_REVIEW", "APPROVED", "DRAFT"):
        raise InvalidError("Invalid value at 'resource.reviewStatus'")
    return kept | {"reviewStatus": "DRAFT" if kept["reviewStatus"] == "DRAFT" else "APPROVED"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is part of the tests."""


def _handler(google: Google) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            google.calls.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            try:
                self._handle(body)
            except RefusalError as refusal:
                error = {
                    "code": refusal.status,
                    "message": str(refusal),
                    "status": _STATUS.get(refusal.status, "UNKNOWN"),
                }
                self._answer(refusal.status, {"error": error}, {"retry-after": refusal.retry_after})

        do_GET = do_PATCH = do_PUT = do_POST  # noqa: N815

        def _handle(self, body: bytes) -> None:
            if self.path == "/token":
                return self._answer(200, google.grant(parse_qs(body.decode())))
            if self.path == "/gp/m/issuer/keys":
                cached = {"cache-control": f"public, max-age={google.keys_seconds}"}
                return self._answer(200, google.signer.keys(), cached)
            if google.delay:
                time.sleep(google.delay)
            content = json.loads(body) if body else None
            answer = google.call(self.command, self.path, self.headers.get("authorization", ""), content)
            if google.lose_answers:
                google.lose_answers -= 1
                self.close_connection = True
                return None
            return self._answer(200, answer)

        def _answer(self, status: int, content: Any, headers: Mapping[str, str | None] | None = None) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            for name, value in (headers or {}).items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: a test looks at `calls`."""

    return Handler
