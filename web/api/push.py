"""Messages to customers' cards."""

from typing import Annotated, Literal

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.customers import require_customer
from web.api.operation import operation
from web.api.shapes import A_CUSTOMER, A_LOCATION, Id, Input, Output
from web.loyalty.push_message import push

TAG = "Messages"

Text = Annotated[str, Meta(min_length=1, max_length=240, description="What the phone shows.")]
Url = Annotated[
    str, Meta(max_length=500, pattern=r"^https?://[^\s/]+", description="Opens from the message.")
]


class NewMessage(Input, rename=None):
    """`customer_id`: our id, their id in your own system, or their e-mail address."""

    customer_id: Annotated[str, Meta(min_length=1, max_length=254)]
    message: Text
    url: Url | None = None


class MessageShown(Output, omit_defaults=True):
    """A message. `notDelivered` says that no phone holds the card, and `reason` that it is so."""

    id: Id
    customer_id: Id
    status: Literal["queued", "notDelivered"]
    reason: str = ""


@operation(
    "POST",
    "/v1/programs/{program}/push",
    "/v1/push",
    scope="write",
    tag=TAG,
    status=201,
    example=NewMessage(
        customer_id="crm-4711", message="Your reward is ready!", url="https://example.com/rewards"
    ),
    answer=MessageShown(id=A_LOCATION, customer_id=A_CUSTOMER, status="queued"),
)
async def send_push(call: Call, data: NewMessage) -> MessageShown:
    """Send a push notification.

    To every phone that holds the customer's card; where none does, nothing is sent and the answer says so.
    """
    return await call.write(_push, call, data)


def _push(conn: Connection, call: Call, data: NewMessage) -> MessageShown:
    customer_id = require_customer(conn, call, data.customer_id)
    pushed = push(conn, call.program.id, customer_id, data.message, url=data.url, actor=call.actor)
    return MessageShown(
        id=pushed.id, customer_id=customer_id, status=pushed.status, reason=pushed.not_delivered_because
    )


ROUTES = (send_push,)
