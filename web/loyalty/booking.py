"""How one entry is written: under the lock of its customer, once for each key, chained to the one before."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from web.foundation.schema import insert_or_skip, new_id, utc_now
from web.loyalty.balance import Balance
from web.loyalty.ledger import AVAILABLE, PENDING, RESERVED, Entry, find_by_key, hash_of, ledger_entry

# Where the detail of an entry keeps the amount of the whole, if it took more than one entry to book it.
IN_ALL = "inAll"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants booked: `key` makes it happen once, `reason` is what the customer reads.

    `source` is who asks ("api", "pos", "rule", "customer" …), `source_ref` their own name for the cause (an order's
    number), `actor` the person or key that did it. `at` is when it took effect, now unless told otherwise.
    `detail` is kept with the entry: the rule that led to it, and why.
    `is_history`: taken over from elsewhere, or long ago; nobody is told of it as if it happened now.
    The entry is stamped with the moment in which it was written besides, and that order is the ledger's.
    """

    key: str | None
    reason: str
    source: str
    source_ref: str | None = None
    actor: str | None = None
    at: datetime | None = None
    detail: dict[str, Any] = {}
    is_history: bool = False


class Booked(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the entry, and what the customer has after it. `is_repeat`: it was booked before."""

    entry_id: str | None
    amount: int
    available: int
    pending: int
    reserved: int
    is_repeat: bool = False


class LedgerError(Exception):
    """Something that cannot be booked; nothing was."""


class NotEnough(LedgerError):
    """More was asked than the customer can spend. Both in minor units."""

    def __init__(self, available: int, asked: int) -> None:
        super().__init__(f"{asked} is more than the {available} that can be spent")
        self.available = available
        self.asked = asked


class KeyReused(LedgerError):
    """The key was used before, for something else."""

    def __init__(self, key: str) -> None:
        super().__init__("this idempotency key was used for another booking")
        self.key = key


class Repeated(Exception):
    """The same was booked before, under the same key; carries what came of it then."""

    def __init__(self, booked: Booked) -> None:
        super().__init__()
        self.booked = booked


def asked_hash(
    verb: str, customer_id: str, amount: int | None, order: Order, about: str | None = None
) -> str:
    """The SHA-256 of what was asked for, by which a repeat under the same key is told from a mistake."""
    asked = [verb, customer_id, amount, about, order.reason, order.source, order.source_ref, order.actor]
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()


def refuse_repeat(conn: Connection, program_id: str, order: Order, asked: str) -> None:
    """Look whether the key was used. Raises: Repeated, KeyReused."""
    if order.key is None:
        return
    known = find_by_key(conn, program_id, order.key)
    if known is None:
        return
    if known.asked_hash != asked:
        raise KeyReused(order.key)
    raise Repeated(what_was_booked(known))


def what_was_booked(entry: Entry) -> Booked:
    return Booked(
        entry_id=entry.id,
        amount=entry.detail.get(IN_ALL, entry.amount),
        available=entry.available_after,
        pending=entry.pending_after,
        reserved=entry.reserved_after,
        is_repeat=True,
    )


def write_entry(
    conn: Connection,
    held: Balance,
    kind: str,
    debit: str,
    credit: str,
    amount: int,
    order: Order,
    asked: str,
    *,
    tier_points: int = 0,
    tier_money: int = 0,
    reverses_id: str | None = None,
    in_all: int | None = None,
) -> str:
    """Write one entry and move the locked balance with it; returns the entry's id.

    The caller saves the balance, and has made sure that the customer's accounts allow it; the table's own rules
    stand behind that. `in_all`: the amount of what was asked for, where it took more than this one entry.

    Raises: Repeated, KeyReused.
    """
    for account, signed in ((debit, -amount), (credit, amount)):
        if account in (AVAILABLE, PENDING, RESERVED):
            setattr(held, account, getattr(held, account) + signed)
    # Clocks of two machines may differ; in a chain time never goes back, so that it can be cut at any moment.
    now = held.updated_at = max(utc_now(), held.updated_at)
    row: dict[str, Any] = {
        "program_id": held.program_id,
        "id": new_id(),
        "customer_id": held.customer_id,
        "number": held.number + 1,
        "kind": kind,
        "debit": debit,
        "credit": credit,
        "amount": amount,
        "available_after": held.available,
        "pending_after": held.pending,
        "reserved_after": held.reserved,
        "tier_points": tier_points,
        "tier_money": tier_money,
        "reason": order.reason,
        "source": order.source,
        "source_ref": order.source_ref,
        "actor": order.actor,
        "key": order.key,
        "asked_hash": asked,
        "reverses_id": reverses_id,
        "effective_at": order.at or now,
        "at": now,
        "detail": order.detail if in_all in (None, amount) else {**order.detail, IN_ALL: in_all},
        "previous_hash": held.head_hash,
    }
    row["hash"] = hash_of(row)
    if not conn.execute(insert_or_skip(conn, ledger_entry).values(row)).rowcount:
        refuse_repeat(conn, held.program_id, order, asked)
        raise LedgerError("an entry of this number is there already")
    held.number += 1
    held.head_hash = row["hash"]
    return str(row["id"])


def reversed_so_far(conn: Connection, program_id: str, entry_id: str) -> tuple[int, int, int]:
    """What reversals took back of an entry already: amount, tier points, tier money."""
    taken = ledger_entry.c
    row = conn.execute(
        select(func.sum(taken.amount), func.sum(taken.tier_points), func.sum(taken.tier_money)).where(
            taken.program_id == program_id, taken.reverses_id == entry_id
        )
    ).one()
    return int(row[0] or 0), -int(row[1] or 0), -int(row[2] or 0)
