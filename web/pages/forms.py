"""What a browser posts: read strictly, and shown to come from our own page."""

import base64
import hmac
import os
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request

from web.foundation.sealing import Sealer

LONGEST_FORM = 64 * 1024
LONGEST_FIELD = 2000
MOST_FIELDS = 100


class BadForm(Exception):
    """A form that no browser of ours would send: not UTF-8, with NUL bytes, far too long."""


class Forged(Exception):
    """A form without proof that it came from our own page."""


async def read_form(request: Request[Any, Any, Any]) -> dict[str, list[str]]:
    """The values of a posted form, by name. Raises: BadForm."""
    body = await request.body()
    if len(body) > LONGEST_FORM:
        raise BadForm
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=MOST_FIELDS,
        )
    except ValueError as error:
        raise BadForm from error
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value or len(value) > LONGEST_FIELD:
            raise BadForm
        values.setdefault(name, []).append(value)
    return values


def must_show_token(request: Request[Any, Any, Any], *, has_cookies: bool) -> bool:
    """Whether the shell's look at the headers did not settle where a form comes from.

    Without our cookies there is nothing of anybody's that a form could act upon; but a browser that hides its
    origin has the form from a page that gave it a token.
    """
    headers = request.headers
    if "sec-fetch-site" in headers:
        return False
    return has_cookies if "origin" not in headers else headers["origin"].lower() == "null"


def make_token(sealer: Sealer, program_id: str, secret: str) -> str:
    """A token bound to `secret`, and different on each page, so that compression tells nothing of it."""
    proof = _proof(sealer, program_id, secret)
    pad = os.urandom(len(proof))
    return base64.urlsafe_b64encode(pad + _mixed(pad, proof)).decode()


def check_token(sealer: Sealer, program_id: str, secrets: list[str], values: dict[str, list[str]]) -> None:
    """Raises: Forged, where the form's token was made for none of `secrets`."""
    try:
        raw = base64.urlsafe_b64decode(values.get("form_token", [""])[0])
    except ValueError as error:
        raise Forged from error
    half = len(raw) // 2
    shown = _mixed(raw[:half], raw[half : 2 * half])
    if not any(hmac.compare_digest(shown, _proof(sealer, program_id, secret)) for secret in secrets):
        raise Forged


def _mixed(one: bytes, other: bytes) -> bytes:
    """Each bit that differs; two texts of one length."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _proof(sealer: Sealer, program_id: str, secret: str) -> bytes:
    return sealer.mark(secret, f"form/{program_id}")
