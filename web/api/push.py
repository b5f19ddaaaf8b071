"""Messages to customers' cards."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.problems import Problem
from web.api.shapes import A_CUSTOMER, A_LOCATION, A_MOMENT, Id, Input, Output
from web.foundation.schema import is_id
from web.loyalty.card_message import LONGEST
from web.loyalty.push_message import LONGEST_URL, REASONS, URL_PATTERN, Kind, push, push_once
from web.loyalty.push_result import Outcome, Result, result_of

TAG = "Messages"
A_PASS = "0199a1b2-92a3-74b5-af20-3b4c5d6e7f80"

Text = Annotated[str, Meta(min_length=1, max_length=LONGEST, description="What the phone shows.")]
Url = Annotated[str, Meta(max_length=LONGEST_URL, pattern=URL_PATTERN, description="Opens from the message.")]


class NewMessage(Input, rename=None):
    """`customer_id`: our id, their id in your own system, or their e-mail address.

    `kind` says which of the customer's switches it obeys. News and offers are `marketing` and need a consent as well
    where the programme asks for one; `service` is for what the customer waits for, and has no switch.
    """

    customer_id: Annotated[str, Meta(min_length=1, max_length=254)]
    message: Text
    url: Url | None = None
    kind: Kind = "marketing"


class PassShown(Output, omit_defaults=True):
    """A message on one pass. `notified`: with a notice on the lock screen, as far as the vendor tells."""

    pass_id: Id
    platform: Literal["apple", "google"]
    status: Outcome
    notified: bool
    reason: str = ""


class MessageShown(Output, omit_defaults=True):
    """A message and what became of it.

    `held`: the quiet hours end at `heldUntil`. `sent`: the vendor has it. `shown`: a phone fetched the card that
    carries it. `merged`: it is shown together with the next one; `superseded`: the next one took its place before a
    phone had fetched it. `notDelivered`: `reason` says why.
    """

    id: Id
    customer_id: Id
    kind: Kind
    message: str
    url: str | None
    status: Outcome
    created_at: datetime
    reason: str = ""
    held_until: datetime | None = None
    released_at: datetime | None = None
    clicks: int = 0
    passes: tuple[PassShown, ...] = ()


EXAMPLE = MessageShown(
    id=A_LOCATION,
    customer_id=A_CUSTOMER,
    kind="reward",
    message="Your reward is ready!",
    url="https://example.com/rewards",
    status="shown",
    created_at=A_MOMENT,
    released_at=A_MOMENT,
    clicks=1,
    passes=(PassShown(pass_id=A_PASS, platform="apple", status="shown", notified=True),),
)


@operation(
    "POST",
    "/v1/programs/{program}/push",
    "/v1/push",
    scope="write",
    tag=TAG,
    status=201,
    example=NewMessage(
        customer_id="crm-4711",
        message="Your reward is ready!",
        url="https://example.com/rewards",
        kind="reward",
    ),
    answer=EXAMPLE,
)
async def send_push(call: Call, data: NewMessage) -> MessageShown:
    """Send a push notification.

    To every phone that holds the customer's card; where none does, or the customer does not want it, nothing is sent
    and the answer says so. Without an Idempotency-Key the same message to the same customer is one message for a day:
    the answer tells what became of it.
    """
    return await call.write(_push, call, data)


@operation(
    "GET",
    "/v1/programs/{program}/push/{message}",
    "/v1/push/{message}",
    scope="read",
    tag=TAG,
    answer=EXAMPLE,
)
async def get_push(call: Call) -> MessageShown:
    """Get what became of a push notification."""
    return await call.read(_read, call, call.path["message"].lower())


def _push(conn: Connection, call: Call, data: NewMessage) -> MessageShown:
    customer_id = require_customer(conn, call, data.customer_id)
    send = push if call.has_idempotency_key else push_once
    sent = send(conn, call.program, customer_id, data.message, kind=data.kind, url=data.url, actor=call.actor)
    return _read(conn, call, sent.id)


def _read(conn: Connection, call: Call, message_id: str) -> MessageShown:
    result = result_of(conn, call.program.id, message_id) if is_id(message_id) else None
    if result is None:
        raise Problem("not-found", "There is no such message in this programme.")
    return _show(result)


def _show(result: Result) -> MessageShown:
    return MessageShown(
        id=result.id,
        customer_id=result.customer_id,
        kind=result.kind,
        message=result.text,
        url=result.url,
        status=result.status,
        created_at=result.created_at,
        reason=REASONS[result.reason] if result.reason else "",
        held_until=result.held_until,
        released_at=result.released_at,
        clicks=result.clicks,
        passes=tuple(
            PassShown(
                pass_id=each.pass_id,
                platform=each.platform,
                status=each.status,
                notified=each.notified,
                reason=REASONS[each.reason] if each.reason else "",
            )
            for each in result.passes
        ),
    )


ROUTES = (send_push, get_push)
