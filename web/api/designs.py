"""The design of cards: its versions, their way to the phones, and the pictures on them."""

from base64 import b64decode
from datetime import datetime
from typing import Annotated

from msgspec import Meta
from sqlalchemy.engine import Connection

from web.api.call import Call
from web.api.operation import operation
from web.api.problems import Problem, invalid
from web.api.shapes import A_MOMENT, Input, Output
from web.loyalty.card_design import CardDesign, begin_again, designs_of, newest_design, pause, resume
from web.loyalty.program import ImageKind, set_image
from web.wallet.apple.images import PictureError
from web.wallet.pictures import take_in

TAG = "Programmes"
# A dot of one pixel.
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNg+M9QDwADgQF/e5IkGQAAAABJRU5ErkJggg=="
KINDS: dict[str, ImageKind] = {"logo": "logo", "icon": "icon", "strip": "strip", "hero": "hero"}


class DesignShown(Output):
    """One version. `changes` are the parts that differ from the one before: `colours`, `texts`, `rewards` and so on.

    `done` of `total` cards have it; `state` is `running`, `paused`, `done` or `superseded` by a newer one.
    """

    number: int
    changes: list[str]
    state: str
    total: int
    done: int
    created_at: datetime
    ended_at: datetime | None


class Designs(Output):
    items: list[DesignShown]


class Steering(Input):
    """`run` lets a roll-out that rests go on; one that is done begins anew, for every card."""

    state: Annotated[str, Meta(pattern="^(run|pause)$", examples=["pause"])]


class Picture(Input):
    """A PNG, JPEG or WebP file in Base64, of at most 700 KB."""

    picture: Annotated[str, Meta(min_length=4, extra_json_schema={"contentEncoding": "base64"})]


class PictureShown(Output):
    """`bytes` is the size of what is kept: drawn anew, with nothing in it but its pixels."""

    kind: str
    bytes: int


EXAMPLE = DesignShown(
    number=4,
    changes=["colours", "texts"],
    state="running",
    total=12000,
    done=3500,
    created_at=A_MOMENT,
    ended_at=None,
)


@operation("GET", "/v1/programs/{program}/designs", scope="read", tag=TAG, answer=Designs(items=[EXAMPLE]))
async def list_designs(call: Call) -> Designs:
    """List the versions of the cards' design.

    The newest first. A version is made by itself whenever something that cards show is changed: settings, pictures,
    rewards, tiers, locations.
    """
    found = await call.read(designs_of, call.program.id)
    return Designs(items=[_shown(each) for each in found])


@operation(
    "POST",
    "/v1/programs/{program}/designs/rollout",
    scope="admin",
    tag=TAG,
    example=Steering(state="pause"),
    answer=EXAMPLE,
    failures=("conflict",),
)
async def steer_rollout(call: Call, data: Steering) -> DesignShown:
    """Pause the roll-out of the newest design, or let it run."""
    return await call.write(_steer, call.program.id, data.state)


@operation(
    "PUT",
    "/v1/programs/{program}/pictures/{kind}",
    scope="admin",
    tag=TAG,
    example=Picture(picture=DOT),
    answer=PictureShown(kind="logo", bytes=20_480),
)
async def put_picture(call: Call, data: Picture) -> PictureShown:
    """Set a picture of the card.

    `{kind}` is `logo`, `icon`, `strip` (behind the front of Apple's card) or `hero` (across Google's).
    """
    kind = KINDS.get(call.path["kind"])
    if kind is None:
        raise Problem("not-found", "A card has a logo, an icon, a strip and a hero.")
    try:
        kept = take_in(kind, b64decode(data.picture, validate=True))
    except PictureError as error:
        raise invalid("/picture", str(error)) from None
    except ValueError:
        raise invalid("/picture", "Write the file in Base64.") from None
    await call.write(_keep, call.program.id, kept)
    return PictureShown(kind=kind, bytes=len(kept[kind]))


def _keep(conn: Connection, program_id: str, kept: dict[ImageKind, bytes]) -> None:
    for kind, content in kept.items():
        set_image(conn, program_id, kind, content)


def _steer(conn: Connection, program_id: str, state: str) -> DesignShown:
    now = newest_design(conn, program_id)
    if state == "pause":
        changed = pause(conn, program_id)
    elif now is not None and now.state == "done":
        changed = begin_again(conn, program_id) is not None
    else:
        changed = resume(conn, program_id)
    after = newest_design(conn, program_id)
    if after is None or not changed:
        raise Problem("conflict", f"The roll-out is {after.state}." if after else "There is no version yet.")
    return _shown(after)


def _shown(design: CardDesign) -> DesignShown:
    return DesignShown(
        number=design.number,
        changes=design.changes,
        state=design.state,
        total=design.total,
        done=design.done,
        created_at=design.created_at,
        ended_at=design.ended_at,
    )


ROUTES = (list_designs, steer_rollout, put_picture)
