"""A customer's own code, by which friends say who sent them. It is random: nobody's name can be read from it."""

from sqlalchemy import Column, String, Table, UniqueConstraint, select
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, insert_or_skip, metadata, utc_now
from web.foundation.short_code import NotACodeError, new_code, normalise
from web.loyalty.identity import resolve
from web.loyalty.program import Program

# 35 random bits and a check: short enough to be told over a counter. To guess one gains nobody anything.
CODE_LENGTH = 8

referral_code = Table(
    "referral_code",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("customer_id", Id, primary_key=True),
    Column("code", String(CODE_LENGTH), nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("program_id", "code"),
)


def find_code(conn: Connection, program_id: str, customer_id: str) -> str | None:
    """A customer's code, if they ever asked for it."""
    return conn.scalar(
        select(referral_code.c.code).where(
            referral_code.c.program_id == program_id, referral_code.c.customer_id == customer_id
        )
    )


def code_for(conn: Connection, program: Program, customer_id: str) -> str:
    """A customer's code, made the first time it is asked for; from then on it stays the same."""
    while (known := find_code(conn, program.id, customer_id)) is None:
        # Skipped where another request was quicker, or where the code is somebody's already.
        conn.execute(
            insert_or_skip(conn, referral_code).values(
                program_id=program.id,
                customer_id=customer_id,
                code=new_code(CODE_LENGTH),
                created_at=utc_now(),
            )
        )
    return known


def advocate_of(conn: Connection, program_id: str, code: str) -> str | None:
    """Whose code it is today, however it was typed. None for one that never was, or whose owner is gone."""
    try:
        typed = normalise(code, CODE_LENGTH)
    except NotACodeError:
        return None
    owner = conn.scalar(
        select(referral_code.c.customer_id).where(
            referral_code.c.program_id == program_id, referral_code.c.code == typed
        )
    )
    return None if owner is None else resolve(conn, program_id, owner)
