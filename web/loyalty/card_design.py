"""Versions of what a programme's cards have in common, and how far the newest has come to the phones.

A version is told by its parts, each a fingerprint of something that cards show. Whoever notices that a part is
another than in the last version writes a new one, and its roll-out begins: pass after pass in the order of their ids,
a batch for each transaction, so that it goes on where it was after any interruption. A newer version takes over from
an older one and begins anew; what the older had not reached gets the newer alone.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import CheckConstraint, Column, Integer, String, Table, func, insert, select, update
from sqlalchemy.engine import Connection

from web.foundation.delivery import INSERT, delivery_row, enqueue_merged
from web.foundation.schema import Id, Json, Moment, metadata, utc_now
from web.loyalty.program import program
from web.loyalty.wallet_pass import move_versions, update_row, wallet_pass

# The delivery that rolls a version out, and the one by which the phones of a batch of passes hear of it.
DESIGN_ROLLOUT, APPLE_CARDS = "design_rollout", "apple_cards"
State = Literal["running", "paused", "done", "superseded"]

card_design = Table(
    "card_design",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("number", Integer, primary_key=True),
    # Fingerprints by part, and the parts that differ from the version before.
    Column("parts", Json, nullable=False),
    Column("changes", Json, nullable=False),
    Column("state", String(12), nullable=False),
    # Passes that lived when it was made, how many it has reached, and the last of these.
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("reached", Id),
    Column("created_at", Moment, nullable=False),
    Column("ended_at", Moment),
    CheckConstraint("state in ('running', 'paused', 'done', 'superseded')", name="state_is_known"),
)


class CardDesign(msgspec.Struct, frozen=True, kw_only=True):
    """One version. `done` may pass `total` by the cards that were issued meanwhile."""

    number: int
    parts: dict[str, str]
    changes: list[str]
    state: State
    total: int
    done: int
    reached: str | None
    created_at: datetime
    ended_at: datetime | None


_COLUMNS = tuple(card_design.c[name] for name in CardDesign.__struct_fields__)


def designs_of(conn: Connection, program_id: str, most: int = 50) -> list[CardDesign]:
    """The newest versions, the newest first."""
    rows = conn.execute(
        select(*_COLUMNS)
        .where(card_design.c.program_id == program_id)
        .order_by(card_design.c.number.desc())
        .limit(most)
    )
    return [CardDesign(**row._mapping) for row in rows]


def newest_design(conn: Connection, program_id: str) -> CardDesign | None:
    return next(iter(designs_of(conn, program_id, 1)), None)


def settle_design(conn: Connection, program_id: str, parts: dict[str, str]) -> CardDesign | None:
    """Make a new version where a part differs from the newest, and begin to roll it out; None where none does.

    A programme's first version has nothing to be rolled out over.
    """
    # All processes notice at once, and the first version has no row yet to wait for.
    conn.execute(select(program.c.id).where(program.c.id == program_id).with_for_update())
    last = _locked(conn, program_id)
    if last is not None and last.parts == parts:
        return None
    changes = sorted(name for name in parts if last is None or last.parts.get(name) != parts[name])
    now = utc_now()
    living = conn.scalar(select(func.count()).where(*_living(program_id))) or 0
    total = 0 if last is None else living
    conn.execute(
        update(card_design)
        .where(card_design.c.program_id == program_id, card_design.c.state.in_(("running", "paused")))
        .values(state="superseded", ended_at=now)
    )
    row: dict[str, Any] = {
        "number": last.number + 1 if last else 1,
        "parts": parts,
        "changes": changes,
        "state": "running" if total else "done",
        "total": total,
        "done": 0,
        "reached": None,
        "created_at": now,
        "ended_at": None if total else now,
    }
    conn.execute(insert(card_design).values(program_id=program_id, **row))
    if total:
        _begin(conn, program_id)
    return CardDesign(**row)


def roll_out(conn: Connection, program_id: str, most: int) -> int:
    """Take the newest version to the next `most` passes; returns how many, 0 where nothing is left to do.

    Their phones are told by one delivery for all; Google hears of each.
    """
    design = _locked(conn, program_id)
    if design is None or design.state != "running":
        return 0
    batch = (
        select(wallet_pass.c.id)
        .where(*_living(program_id), *((wallet_pass.c.id > design.reached,) if design.reached else ()))
        .order_by(wallet_pass.c.id)
        .limit(most)
    )
    moved = move_versions(conn, program_id, wallet_pass.c.id.in_(batch))
    held = [each for each in moved if each.is_held]
    apple = [each.id for each in held if each.platform == "apple"]
    if apple:
        lane = f"{APPLE_CARDS}:{apple[0]}"
        conn.execute(INSERT, delivery_row(program_id, APPLE_CARDS, lane, {"pass_ids": apple}))
    enqueue_merged(
        conn, [update_row(program_id, each.id, "google") for each in held if each.platform == "google"]
    )
    is_last = len(moved) < most
    conn.execute(
        update(card_design)
        .where(card_design.c.program_id == program_id, card_design.c.number == design.number)
        .values(
            done=design.done + len(moved),
            reached=max((each.id for each in moved), default=design.reached),
            state="done" if is_last else "running",
            ended_at=utc_now() if is_last else None,
        )
    )
    return 0 if is_last else len(moved)


def begin_again(conn: Connection, program_id: str) -> CardDesign | None:
    """Roll the newest version out once more, to every pass; None where there is no version yet."""
    design = _locked(conn, program_id)
    if design is None:
        return None
    total = conn.scalar(select(func.count()).where(*_living(program_id))) or 0
    _set(conn, program_id, design, state="running", total=total, done=0, reached=None, ended_at=None)
    _begin(conn, program_id)
    return newest_design(conn, program_id)


def pause(conn: Connection, program_id: str) -> bool:
    """Let the roll-out rest after the batch that is under way; False where none runs."""
    design = _locked(conn, program_id)
    if design is None or design.state != "running":
        return False
    _set(conn, program_id, design, state="paused")
    return True


def resume(conn: Connection, program_id: str) -> bool:
    """Let a paused roll-out go on where it was; False where none rests."""
    design = _locked(conn, program_id)
    if design is None or design.state != "paused":
        return False
    _set(conn, program_id, design, state="running")
    _begin(conn, program_id)
    return True


def _begin(conn: Connection, program_id: str) -> None:
    lane = f"{DESIGN_ROLLOUT}:{program_id}"
    enqueue_merged(conn, [delivery_row(program_id, DESIGN_ROLLOUT, lane, {}, merge_key=lane)])


def _locked(conn: Connection, program_id: str) -> CardDesign | None:
    row = conn.execute(
        select(*_COLUMNS)
        .where(card_design.c.program_id == program_id)
        .order_by(card_design.c.number.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()
    return None if row is None else CardDesign(**row._mapping)


def _living(program_id: str) -> tuple[Any, ...]:
    return wallet_pass.c.program_id == program_id, wallet_pass.c.voided_at.is_(None)


def _set(conn: Connection, program_id: str, design: CardDesign, **values: Any) -> None:
    conn.execute(
        update(card_design)
        .where(card_design.c.program_id == program_id, card_design.c.number == design.number)
        .values(**values)
    )
