"""Registrations: which phones want to hear of which passes, and what changed since they last asked."""

from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.types import ASGIApp
from sqlalchemy import bindparam, literal, select

from web.foundation.document import Document, list_of
from web.foundation.limits import PHONE_REGISTRATION
from web.loyalty.installation import pass_device, register_device, unregister_device
from web.loyalty.wallet_pass import wallet_pass
from web.passkit.calls import (
    CREATED,
    DEVICE_ID,
    NO_CONTENT,
    OK,
    Answer,
    AnyRequest,
    Refused,
    apple_of,
    holder_of,
    parts_of,
)
from web.passkit.tag import Held, changed_since, tag_of

DEVICE = "/passkit/v1/devices/{device:str}/registrations/{pass_type:str}"
LONGEST_REGISTRATION = 2_000
LONGEST_TAG = 2_000

OF_DEVICE = (
    select(wallet_pass.c.id, wallet_pass.c.version)
    .join_from(
        pass_device,
        wallet_pass,
        (wallet_pass.c.program_id == pass_device.c.program_id) & (wallet_pass.c.id == pass_device.c.pass_id),
    )
    .where(pass_device.c.device_id == bindparam("device"))
)
HELD_BY = Document(list[Held], list_of(OF_DEVICE), select(literal(1)).subquery())


class Registration(msgspec.Struct, rename="camel"):
    """What a phone sends when it registers: the token that pushes reach it by."""

    push_token: Annotated[str, msgspec.Meta(pattern="^[0-9A-Fa-f]{8,200}$")]


class Changed(msgspec.Struct, rename="camel"):
    serial_numbers: list[str]
    last_updated: str


_registration = msgspec.json.Decoder(Registration)


@post(
    f"{DEVICE}/{{serial:str}}",
    name="passkit_register",
    status_code=201,
    request_max_body_size=LONGEST_REGISTRATION,
)
async def register(request: AnyRequest) -> ASGIApp:
    """201 for a phone that is new to the pass, 200 for one that is not; either way its push token is kept.

    A void pass takes registrations as well: its phones have yet to hear of it.
    """
    parts = parts_of(request)
    card = await holder_of(request)
    await parts.limit(PHONE_REGISTRATION, card.held.id)
    device = _device(request)
    sent = _registration.decode(await request.body())
    is_new = await parts.database.write(register_device, card.held, card.program_id, device, sent.push_token)
    parts.metrics.phone_registrations.labels("new" if is_new else "known").inc()
    if is_new:
        parts.work_to_do.set()
    return CREATED if is_new else OK


@delete(f"{DEVICE}/{{serial:str}}", name="passkit_unregister", status_code=200)
async def unregister(request: AnyRequest) -> ASGIApp:
    """200, whether the phone was registered or not."""
    parts = parts_of(request)
    card = await holder_of(request)
    await parts.limit(PHONE_REGISTRATION, card.held.id)
    gone = await parts.database.write(unregister_device, card.program_id, card.held.id, _device(request))
    parts.metrics.phone_registrations.labels("gone" if gone else "unknown").inc()
    if gone:
        parts.work_to_do.set()
    return OK


@get(DEVICE, name="passkit_list_changed")
async def list_changed(request: AnyRequest) -> ASGIApp:
    """The serials that changed since the tag, and the tag to ask with next; 204 where none did.

    No token comes with this call: a phone that nobody registered is told what one that holds nothing new is.
    """
    parts = parts_of(request)
    device = str(request.path_params["device"])
    is_ours = request.path_params["pass_type"] == apple_of(parts).pass_type_id
    if not is_ours or not DEVICE_ID.fullmatch(device):
        return NO_CONTENT
    held = await parts.database.ask(HELD_BY, device=device) or []
    changed = changed_since(_tag(request), held)
    if not changed:
        return NO_CONTENT
    body = msgspec.json.encode(Changed(serial_numbers=changed, last_updated=tag_of(held)))
    length = str(len(body)).encode()
    return Answer(200, [(b"content-type", b"application/json"), (b"content-length", length)], body)


def _tag(request: AnyRequest) -> str:
    if not request.scope["query_string"]:
        return ""
    given: Any = request.query_params.get("passesUpdatedSince", "")
    return str(given)[:LONGEST_TAG]


def _device(request: AnyRequest) -> str:
    device = str(request.path_params["device"])
    if not DEVICE_ID.fullmatch(device):
        raise Refused(400)
    return device
