"""The ledger: what was booked, never changed, and the balance that sums it up.

Amounts are integers in the programme's minor units (scale 0: whole points, 2: hundredths).
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from web.foundation.schema import Id, Moment, insert_or_skip, metadata, new_id, utc_now

Amount = BigInteger().with_variant(Integer, "sqlite")

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("id", Id, primary_key=True),
    Column("customer_id", Id, nullable=False),
    Column("amount", Amount, nullable=False),
    Column("balance_after", Amount, nullable=False),
    Column("reason", String(120), nullable=False),
    Column("source", String(40), nullable=False),
    # Who asks twice with the same key books once.
    Column("key", String(120), nullable=False),
    Column("at", Moment, nullable=False),
    CheckConstraint("amount <> 0", name="amount_moves_something"),
    CheckConstraint("balance_after >= 0", name="never_below_zero"),
    UniqueConstraint("program_id", "key"),
)
Index("ix_ledger_entry_customer", ledger_entry.c.program_id, ledger_entry.c.customer_id, ledger_entry.c.id)

balance = Table(
    "balance",
    metadata,
    Column("program_id", Id, primary_key=True),
    Column("customer_id", Id, primary_key=True),
    Column("available", Amount, nullable=False),
    Column("tier_points", Amount, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", Moment, nullable=False),
    CheckConstraint("available >= 0", name="never_below_zero"),
)

# The database itself refuses to rewrite history; the code never gets to decide.
APPEND_ONLY = {
    "sqlite": [
        f"CREATE TRIGGER ledger_entry_no_{verb} BEFORE {verb} ON ledger_entry"
        " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for verb in ("update", "delete")
    ],
    "postgresql": [
        "CREATE OR REPLACE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE ON ledger_entry"
        " FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only()",
    ],
}


class BalanceTooLow(Exception):
    """The change would leave less than nothing; nothing was booked."""


def book(
    conn: Connection,
    program_id: str,
    customer_id: str,
    amount: int,
    *,
    reason: str,
    source: str,
    key: str,
    at: datetime | None = None,
) -> int:
    """Book a change and return the new balance; a key that was booked before books nothing.

    Only what is earned counts towards the tier; spending never lowers it.

    Raises: BalanceTooLow.
    """
    at = at or utc_now()
    conn.execute(
        insert_or_skip(conn, balance).values(
            program_id=program_id,
            customer_id=customer_id,
            available=0,
            tier_points=0,
            version=0,
            updated_at=at,
        )
    )
    its_balance = (balance.c.program_id == program_id) & (balance.c.customer_id == customer_id)
    # The row stays locked until the commit: who asks with the same key at the same moment waits here, and finds it.
    available = conn.execute(select(balance.c.available).where(its_balance).with_for_update()).scalar_one()
    known = conn.scalar(
        select(ledger_entry.c.balance_after).where(
            ledger_entry.c.program_id == program_id, ledger_entry.c.key == key
        )
    )
    if known is not None:
        return int(known)
    after = int(available) + amount
    if after < 0:
        raise BalanceTooLow(f"{-amount} is more than is there")
    conn.execute(
        update(balance)
        .where(its_balance)
        .values(
            available=after,
            tier_points=balance.c.tier_points + max(amount, 0),
            version=balance.c.version + 1,
            updated_at=at,
        )
    )
    conn.execute(
        insert(ledger_entry).values(
            program_id=program_id,
            id=new_id(),
            customer_id=customer_id,
            amount=amount,
            balance_after=after,
            reason=reason,
            source=source,
            key=key,
            at=at,
        )
    )
    return after
