"""Webhooks: where a merchant's own systems are told what happens."""

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_MOMENT, Id, Input, Output
from web.foundation.delivery import enqueue, release_lanes
from web.foundation.outgoing import BadTarget, check_target
from web.foundation.schema import is_id, utc_now
from web.foundation.sealing import Sealer
from web.integrations.webhooks import endpoint
from web.integrations.webhooks.endpoint import BY_OPERATOR, Endpoint, NoSuchEndpoint
from web.integrations.webhooks.envelope import WEBHOOK, tell_again, trial
from web.integrations.webhooks.secret import rotate_secret
from web.loyalty.event_catalogue import EVENTS, UnknownEvent
from web.loyalty.program import Program

TAG = "Webhooks"
A_WEBHOOK = "0199a1b2-7081-7293-8d0e-1f2a3b4c5d6e"
A_SECRET = "whsec_…"
PLACE = "/v1/programs/{program}/webhooks"

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=2000,
        description="An https address on the public Internet. Redirects are not followed.",
    ),
]
Names = Annotated[
    tuple[Annotated[str, Meta(min_length=1, max_length=60)], ...],
    Meta(
        min_length=1,
        max_length=60,
        description=f"Events by name or handle. There are: {', '.join(EVENTS)}.",
    ),
]


class NewWebhook(Input):
    """Without `events` it is told of the eighteen that JeriCommerce knows."""

    url: Url
    events: Names | None = None


class WebhookChange(Input):
    """What is left out stays. `paused`: false sends what waited, in order."""

    url: Url | None = None
    events: Names | None = None
    paused: bool | None = None


class Again(Input):
    """`since`: tell everything from then on, received or not. Without it: what was put aside after its last try."""

    since: datetime | None = None


class WebhookShown(Output):
    """`waiting` and `putAside` count letters; `failingSince` is null after a success."""

    id: Id
    url: str
    events: list[str]
    state: Literal["active", "paused"]
    pause_reason: str | None
    created_at: datetime
    last_success_at: datetime | None
    last_failure_at: datetime | None
    failing_since: datetime | None
    waiting: int
    put_aside: int


class WebhookMade(WebhookShown):
    """A new webhook. `secret` is shown here and never again."""

    secret: str


class Secret(Output):
    """The new secret, shown here and never again. For a day the one before signs as well."""

    secret: str


class Webhooks(Output):
    items: list[WebhookShown]


class Letters(Output):
    """How many letters go out for it."""

    letters: int


class Replayed(Letters):
    """`next`: there is more, at most 500 are taken at once; ask again with it as `since`."""

    next: datetime | None


SHOWN: dict[str, Any] = {
    "id": A_WEBHOOK,
    "url": "https://shop.example.com/pasito",
    "events": ["Balance changed", "Tier upgraded"],
    "state": "active",
    "pause_reason": None,
    "created_at": A_MOMENT,
    "last_success_at": A_MOMENT,
    "last_failure_at": None,
    "failing_since": None,
    "waiting": 0,
    "put_aside": 0,
}
EXAMPLE = WebhookShown(**SHOWN)


@operation("GET", PLACE, scope="admin", tag=TAG, answer=Webhooks(items=[EXAMPLE]))
async def list_webhooks(call: Call) -> Webhooks:
    """List the webhooks, and how they are doing."""
    return await call.read(_list, call.program.id)


@operation(
    "POST",
    PLACE,
    scope="admin",
    tag=TAG,
    status=201,
    example=NewWebhook(url="https://shop.example.com/pasito", events=("balance-changed", "tier-upgraded")),
    answer=WebhookMade(**SHOWN, secret=A_SECRET),
    failures=("conflict",),
    secret=True,
)
async def add_webhook(call: Call, data: NewWebhook) -> WebhookMade:
    """Add a webhook.

    Each event is sent to it by a POST, signed with the secret of this answer; README.md shows how to check that.
    """
    return await call.write(_add, call, data)


@operation(
    "PATCH",
    f"{PLACE}/{{webhook}}",
    scope="admin",
    tag=TAG,
    example=WebhookChange(paused=False),
    answer=EXAMPLE,
)
async def change_webhook(call: Call, data: WebhookChange) -> WebhookShown:
    """Change, pause or resume a webhook.

    While it is paused, what happens is kept for 30 days.
    """
    return await call.write(_change, call, data)


@operation("DELETE", f"{PLACE}/{{webhook}}", scope="admin", tag=TAG, answer=EXAMPLE)
async def remove_webhook(call: Call) -> WebhookShown:
    """Remove a webhook.

    What waits for it is given up. The answer is how it was.
    """
    return await call.write(_remove, call)


@operation(
    "POST", f"{PLACE}/{{webhook}}/secret", scope="admin", tag=TAG, answer=Secret(secret=A_SECRET), secret=True
)
async def change_webhook_secret(call: Call) -> Secret:
    """Change a webhook's secret.

    For a day both secrets sign, so that the receiver may change over at any moment of it.
    """
    return await call.write(_rotate, call, call.parts.sealer)


@operation("POST", f"{PLACE}/{{webhook}}/test", scope="admin", tag=TAG, status=202, answer=Letters(letters=1))
async def test_webhook(call: Call) -> Letters:
    """Send a test to a webhook.

    A letter of the name "Webhook test" goes out at once, like any other.
    """
    return await call.write(_test, call)


@operation(
    "POST",
    f"{PLACE}/{{webhook}}/replay",
    scope="admin",
    tag=TAG,
    status=202,
    example=Again(since=A_MOMENT),
    answer=Replayed(letters=7, next=None),
)
async def replay_webhook(call: Call, data: Again) -> Replayed:
    """Send again what a webhook has missed.

    Events keep their ids, by which a receiver that got them knows the repeat.
    """
    return await call.write(_replay, call, call.program, data)


def _list(conn: Connection, program_id: str) -> Webhooks:
    found = endpoint.endpoints_of(conn, program_id)
    return Webhooks(items=[_shown(conn, program_id, each) for each in found])


def _add(conn: Connection, call: Call, new: NewWebhook) -> WebhookMade:
    _check(call, new.url)
    program_id = call.program.id
    try:
        made, secret = endpoint.add_endpoint(conn, program_id, new.url, call.parts.sealer, new.events)
    except UnknownEvent as error:
        raise invalid("/events", f"There is no event {error}.") from None
    except endpoint.TooManyEndpoints:
        raise Problem("conflict", "There are as many webhooks as a programme may have.") from None
    found = endpoint.find_endpoint(conn, program_id, made)
    return WebhookMade(**_fields(conn, program_id, found), secret=secret)


def _change(conn: Connection, call: Call, change: WebhookChange) -> WebhookShown:
    program_id, webhook_id = call.program.id, _found(conn, call).id
    if change.url is not None:
        _check(call, change.url)
    try:
        endpoint.change_endpoint(conn, program_id, webhook_id, url=change.url, events=change.events)
    except UnknownEvent as error:
        raise invalid("/events", f"There is no event {error}.") from None
    if change.paused:
        endpoint.pause_endpoint(conn, program_id, webhook_id, BY_OPERATOR)
    elif change.paused is False:
        endpoint.resume_endpoint(conn, program_id, webhook_id)
    return _shown(conn, program_id, _found(conn, call))


def _remove(conn: Connection, call: Call) -> WebhookShown:
    found = _found(conn, call)
    shown = _shown(conn, call.program.id, found)
    endpoint.remove_endpoint(conn, call.program.id, found.id)
    return shown


def _rotate(conn: Connection, call: Call, sealer: Sealer) -> Secret:
    return Secret(secret=rotate_secret(conn, call.program.id, _found(conn, call).id, sealer))


def _test(conn: Connection, call: Call) -> Letters:
    found = _found(conn, call)
    payload = {"endpoint": found.id, **trial(call.program)}
    enqueue(conn, call.program.id, WEBHOOK, endpoint.lane_of(found.id), payload)
    return Letters(letters=1)


def _replay(conn: Connection, call: Call, program: Program, asked: Again) -> Replayed:
    found = _found(conn, call)
    if asked.since is None:
        released = release_lanes(conn, program.id, endpoint.lane_of(found.id))
        return Replayed(letters=released, next=None)
    if asked.since.tzinfo is None:
        raise invalid("/since", "Give the moment with its zone, like 2026-11-20T09:30:00Z.")
    letters, more_from = tell_again(conn, program, found, min(asked.since, utc_now()))
    return Replayed(letters=letters, next=more_from)


def _check(call: Call, url: str) -> None:
    try:
        check_target(url, private=call.parts.settings.webhook_allow_private)
    except BadTarget as error:
        raise invalid("/url", str(error)) from None


def _found(conn: Connection, call: Call) -> Endpoint:
    webhook_id = call.path["webhook"]
    try:
        if is_id(webhook_id):
            return endpoint.find_endpoint(conn, call.program.id, webhook_id)
    except NoSuchEndpoint:
        pass
    raise Problem("not-found", "There is no webhook of that id.")


def _shown(conn: Connection, program_id: str, found: Endpoint) -> WebhookShown:
    return WebhookShown(**_fields(conn, program_id, found))


def _fields(conn: Connection, program_id: str, found: Endpoint) -> dict[str, Any]:
    waiting, put_aside = endpoint.backlog_of(conn, program_id, found.id)
    return {
        "id": found.id,
        "url": found.url,
        "events": found.events,
        "state": "active" if found.paused_at is None else "paused",
        "pause_reason": found.pause_reason,
        "created_at": found.created_at,
        "last_success_at": found.last_success_at,
        "last_failure_at": found.last_failure_at,
        "failing_since": found.failing_since,
        "waiting": waiting,
        "put_aside": put_aside,
    }


ROUTES = (
    list_webhooks,
    add_webhook,
    change_webhook,
    remove_webhook,
    change_webhook_secret,
    test_webhook,
    replay_webhook,
)
