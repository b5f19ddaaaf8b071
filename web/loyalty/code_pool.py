"""Codes that another system knows, kept until they are given away: each of them once.

A pool belongs to a reward or to a coupon. Who takes a code leaves the id of what it was taken for.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Literal

import msgspec
from sqlalchemy import Column, Index, String, Table, UniqueConstraint, bindparam, func, select, update
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, insert_or_skip, metadata, new_id, utc_now

LONGEST_CODE = 64
# One statement inserts so many; one answer tells of so many lines that were left out.
BATCH, MOST_PROBLEMS = 1000, 100
_CODE = re.compile(rf"[^\s\x00-\x1f\x7f]{{1,{LONGEST_CODE}}}")

pool_code = Table(
    "pool_code",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    # The reward or the coupon.
    Column("owner_id", Id, nullable=False),
    Column("code", String(LONGEST_CODE), nullable=False),
    # The redemption or the customer's coupon that it went to.
    Column("taken_by", Id),
    Column("taken_at", Moment),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("program_id", "code"),
)
_FREE = pool_code.c.taken_by.is_(None)
Index(
    "ix_pool_code_free",
    pool_code.c.program_id,
    pool_code.c.owner_id,
    pool_code.c.id,
    sqlite_where=_FREE,
    postgresql_where=_FREE,
)


class BadLine(msgspec.Struct, frozen=True):
    """A line that was left out; lines count from 1. `why`: there already, twice in the file, or no code."""

    line: int
    why: Literal["known", "repeated", "not_a_code"]


class Loaded(msgspec.Struct, frozen=True):
    """What came of a file: codes added, lines left out, and the first of these (100 at most)."""

    added: int
    left_out: int
    problems: list[BadLine]


_OF_OWNER = (pool_code.c.program_id == bindparam("of_program"), pool_code.c.owner_id == bindparam("of_owner"))
_NEXT = (
    select(pool_code.c.id)
    .where(*_OF_OWNER, _FREE)
    .order_by(pool_code.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .scalar_subquery()
)
_TAKE = (
    update(pool_code)
    .where(pool_code.c.program_id == bindparam("of_program"), pool_code.c.id == _NEXT, _FREE)
    .values(taken_by=bindparam("taker"), taken_at=bindparam("now"))
    .returning(pool_code.c.code)
)


def load_codes(conn: Connection, program_id: str, owner_id: str, lines: Iterable[str]) -> Loaded:
    """Add the codes of a file to a pool: one on each line, or a CSV's first column; a heading is passed over.

    What is good is taken, what is not is reported with the number of its line, so that a file that was loaded
    before can be extended and loaded again. The file is read as it comes, and never held as a whole.
    """
    added, left_out, problems = 0, 0, list[BadLine]()
    numbered = enumerate(lines, 1)
    while batch := list(islice(numbered, BATCH)):
        codes: dict[str, int] = {}
        bad: list[BadLine] = []
        for number, code in _codes_in(batch):
            if not _CODE.fullmatch(code):
                bad.append(BadLine(number, "not_a_code"))
            elif code in codes:
                bad.append(BadLine(number, "repeated"))
            else:
                codes[code] = number
        fresh = _add(conn, program_id, owner_id, list(codes))
        bad += [BadLine(number, "known") for code, number in codes.items() if code not in fresh]
        added += len(fresh)
        left_out += len(bad)
        problems += sorted(bad, key=lambda each: each.line)[: MOST_PROBLEMS - len(problems)]
    return Loaded(added, left_out, problems)


def take_code(conn: Connection, program_id: str, owner_id: str, taker: str) -> str | None:
    """The next free code of a pool, from now on of `taker` alone; None if there is none."""
    wanted = {"of_program": program_id, "of_owner": owner_id, "taker": taker, "now": utc_now()}
    code: str | None = conn.scalar(_TAKE, wanted)
    return code


def put_back(conn: Connection, program_id: str, taker: str) -> None:
    """A code that nobody saw may go to somebody else."""
    conn.execute(
        update(pool_code)
        .where(pool_code.c.program_id == program_id, pool_code.c.taken_by == taker)
        .values(taken_by=None, taken_at=None)
    )


def codes_left(conn: Connection, program_id: str, owner_id: str, *, most: int | None = None) -> int:
    """How many codes of a pool are free; counts no further than `most`."""
    free = select(pool_code.c.id).where(
        pool_code.c.program_id == program_id, pool_code.c.owner_id == owner_id, _FREE
    )
    return conn.scalar(select(func.count()).select_from(free.limit(most).subquery())) or 0


def _codes_in(batch: list[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    for number, line in batch:
        cell = re.split("[,;\t]", line.removeprefix("\ufeff"), maxsplit=1)[0].strip().strip("\"'").strip()
        if cell and not (number == 1 and cell.lower() in ("code", "codes", "coupon", "discount code")):
            yield number, cell


def _add(conn: Connection, program_id: str, owner_id: str, codes: list[str]) -> set[str]:
    if not codes:
        return set()
    now = utc_now()
    rows = [
        {"program_id": program_id, "id": new_id(), "owner_id": owner_id, "code": code, "created_at": now}
        for code in codes
    ]
    return set(conn.scalars(insert_or_skip(conn, pool_code).returning(pool_code.c.code), rows))
