"""A local stand-in for Google's token endpoint and Wallet API, as strict as the documentation says.

It speaks HTTP on a free port, knows service accounts by their public keys, and keeps what it is given.
"""

import json
import re
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

SCOPE = "https://www.googleapis.com/auth/wallet_object.issuer"
FIELDS = {
    "loyaltyObject": set(
        """id classId state accountId accountName barcode loyaltyPoints secondaryLoyaltyPoints messages
        textModulesData linksModuleData heroImage imageModulesData merchantLocations notifyPreference
        validTimeInterval smartTapRedemptionValue disableExpirationNotification rotatingBarcode
        groupingInfo passConstraints appLinkData""".split()  # noqa: SIM905
    ),
    "loyaltyClass": set(
        """id issuerName localizedIssuerName programName localizedProgramName programLogo wideProgramLogo
        heroImage reviewStatus hexBackgroundColor countryCode callbackOptions messages textModulesData
        linksModuleData imageModulesData merchantLocations notifyPreference homepageUri
        multipleDevicesAndHoldersAllowedStatus accountNameLabel localizedAccountNameLabel accountIdLabel
        localizedAccountIdLabel rewardsTier rewardsTierLabel""".split()  # noqa: SIM905
    ),
}
REQUIRED = {
    "loyaltyClass": {"id", "issuerName", "programName", "programLogo", "reviewStatus"},
    "loyaltyObject": {"id", "classId", "state"},
}


class RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class GoogleStandIn:
    """`accounts` maps e-mail -> (key id, public key). What was stored is in `held`."""

    issuer_id: str
    accounts: dict[str, tuple[str, RSAPublicKey]]
    held: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=lambda: {"loyaltyClass": {}, "loyaltyObject": {}}
    )
    calls: list[str] = field(default_factory=list)
    token_seconds: int = 3600
    _tokens: set[str] = field(default_factory=set)
    _failures: deque[tuple[int, str | None]] = field(default_factory=deque)

    def __enter__(self) -> "GoogleStandIn":
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
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

    def fail_next(self, *statuses: int, retry_after: str | None = None) -> None:
        """The next API calls are answered like this instead of being carried out."""
        self._failures.extend((status, retry_after) for status in statuses)

    def revoke_tokens(self) -> None:
        self._tokens.clear()

    def save(self, url: str) -> dict[str, Any]:
        """What a phone that opens this save link would hold. Raises RefusalError as Google's page would."""
        prefix = "https://pay.google.com/gp/v/save/"
        if not url.startswith(prefix) or len(url) > 1800:
            raise RefusalError(400, "not a save link, or one too long for a browser")
        claims = self._verified(url.removeprefix(prefix), audience="google")
        if claims.get("typ") != "savetowallet" or not isinstance(claims.get("origins"), list):
            raise RefusalError(400, "wrong claims")
        for program in claims["payload"].get("loyaltyClasses", []):
            if program["id"] not in self.held["loyaltyClass"]:
                self._insert("loyaltyClass", program)
        (card,) = claims["payload"]["loyaltyObjects"]
        if card["id"] not in self.held["loyaltyObject"]:
            self._insert("loyaltyObject", card)
        return self.held["loyaltyObject"][card["id"]]

    def grant(self, form: dict[str, list[str]]) -> dict[str, Any]:
        if form.get("grant_type") != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            raise RefusalError(400, "unsupported_grant_type")
        claims = self._verified(form["assertion"][0], audience=self.token_url, demand=["iat", "exp", "scope"])
        if claims["scope"] != SCOPE or claims["exp"] - claims["iat"] > 3600:
            raise RefusalError(400, "invalid_scope")
        token = secrets.token_urlsafe()
        self._tokens.add(token)
        return {"access_token": token, "expires_in": self.token_seconds, "token_type": "Bearer"}

    def call(self, method: str, path: str, authorization: str, content: Any) -> dict[str, Any]:
        if authorization.removeprefix("Bearer ") not in self._tokens:
            raise RefusalError(401, "UNAUTHENTICATED")
        match = re.fullmatch(r"/walletobjects/v1/(loyaltyClass|loyaltyObject)(?:/([^/]+))?", path)
        if not match:
            raise RefusalError(404, "no such method")
        resource, id_ = match.groups()
        if method == "POST" and id_ is None:
            return self._insert(resource, content)
        if id_ not in self.held[resource]:
            raise RefusalError(404, f"{resource} {id_} not found")
        if method == "PATCH":
            _check_fields(resource, content)
            self.held[resource][id_] |= content
        return self.held[resource][id_]

    def next_failure(self) -> tuple[int, str | None] | None:
        return self._failures.popleft() if self._failures else None

    def _insert(self, resource: str, content: dict[str, Any]) -> dict[str, Any]:
        _check_fields(resource, content)
        if missing := REQUIRED[resource] - content.keys():
            raise RefusalError(400, f"missing {missing}")
        if not re.fullmatch(r"\d+\.[A-Za-z0-9._-]+", content["id"]):
            raise RefusalError(400, f"invalid id {content['id']}")
        if not content["id"].startswith(f"{self.issuer_id}."):
            raise RefusalError(403, "another issuer's id")
        if content["id"] in self.held[resource]:
            raise RefusalError(409, "already exists")
        if resource == "loyaltyObject" and content["classId"] not in self.held["loyaltyClass"]:
            raise RefusalError(404, f"class {content['classId']} not found")
        self.held[resource][content["id"]] = content
        return content

    def _verified(self, token: str, audience: str, demand: list[str] | None = None) -> dict[str, Any]:
        try:
            issuer = jwt.decode(token, options={"verify_signature": False})["iss"]
            key_id, key = self.accounts[issuer]
            if jwt.get_unverified_header(token).get("kid", key_id) != key_id:
                raise RefusalError(400, "invalid_grant: unknown key")
            options: Any = {"require": demand or ["iat"]}
            return jwt.decode(token, key, algorithms=["RS256"], audience=audience, options=options)
        except (jwt.InvalidTokenError, KeyError) as error:
            raise RefusalError(400, f"invalid_grant: {error}") from error


def _check_fields(resource: str, content: dict[str, Any]) -> None:
    if unknown := content.keys() - FIELDS[resource]:
        raise RefusalError(400, f"unknown fields {unknown}")
    colour = content.get("hexBackgroundColor", "#000000")
    if not re.fullmatch(r"#[0-9a-f]{6}", colour):
        raise RefusalError(400, "invalid colour")
    for name in ("programLogo", "heroImage"):
        if name in content and not content[name]["sourceUri"]["uri"].startswith("https://"):
            raise RefusalError(400, "a picture that is not public")
    _check_localized(content)


def _check_localized(part: Any) -> None:
    """Every localised string has a default and names its languages as BCP 47 does."""
    if isinstance(part, list):
        for item in part:
            _check_localized(item)
    elif isinstance(part, dict):
        for name, value in part.items():
            if name.startswith("localized"):
                for text in (value["defaultValue"], *value["translatedValues"]):
                    if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z0-9]+)*", text["language"]):
                        raise RefusalError(400, f"no language: {text['language']}")
            else:
                _check_localized(value)


def _handler(google: GoogleStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._handle()

        do_GET = do_PATCH = do_POST  # noqa: N815

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            google.calls.append(f"{self.command} {self.path}")
            try:
                if self.path == "/token":
                    self._answer(200, google.grant(parse_qs(body.decode())))
                elif failure := google.next_failure():
                    self._answer(failure[0], {"error": "told to fail"}, retry_after=failure[1])
                else:
                    content = json.loads(body) if body else None
                    authorization = self.headers.get("authorization", "")
                    self._answer(200, google.call(self.command, self.path, authorization, content))
            except RefusalError as refusal:
                self._answer(refusal.status, {"error": str(refusal)})

        def _answer(self, status: int, content: Any, retry_after: str | None = None) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            if retry_after is not None:
                self.send_header("retry-after", retry_after)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
