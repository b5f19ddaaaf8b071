"""Customers with a history and an open session, many at a time, for measuring what they see of it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from bench.rows import copy_rows
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import digest
from web.loyalty.balance import balance
from web.loyalty.customer import customer
from web.loyalty.ledger import GENESIS, ledger_entry
from web.loyalty.program import program
from web.loyalty.session import LIFETIME, session

POINTS = 10


def token_of(number: int) -> str:
    return f"bench-{number}"


def cookie_of(number: int) -> str:
    """The cookie of customer `number`, as a browser sends it over https."""
    return f"__Host-session-brewbar={token_of(number)}"


def add_members(conn: Connection, entries: list[int]) -> None:
    """A customer for each number of `entries`, each with so many entries of ten points, one a day, and a session."""
    program_id, now = str(conn.scalar(select(program.c.id).where(program.c.slug == "brewbar"))), utc_now()
    people = [new_id() for _ in entries]
    opened = now - timedelta(hours=2)
    _copy(
        conn,
        customer,
        (
            {
                "program_id": program_id,
                "id": customer_id,
                "email": f"customer{number}@example.com",
                "email_key": f"customer{number}@example.com",
                "email_verified_at": opened,
                "name": f"Customer {number}",
                "locale": "en",
                "extra": "{}",
                "card_number": f"{number:016}",
                "origin": "bench",
                "created_at": opened,
                "updated_at": opened,
            }
            for number, customer_id in enumerate(people)
        ),
    )
    _copy(
        conn,
        session,
        (
            {
                "program_id": program_id,
                "id": new_id(),
                "token_hash": digest(token_of(number)),
                "customer_id": customer_id,
                "browser": "Safari",
                "device": "iPhone",
                "created_at": opened,
                "seen_at": now,
                "expires_at": now + LIFETIME,
            }
            for number, customer_id in enumerate(people)
        ),
    )
    _copy(
        conn,
        balance,
        (
            {
                "program_id": program_id,
                "customer_id": customer_id,
                "available": POINTS * count,
                "pending": 0,
                "reserved": 0,
                "lifetime_earned": POINTS * count,
                "tier_points": POINTS * count,
                "tier_money": 0,
                "tier_carry": 0,
                "number": count,
                "head_hash": GENESIS,
                "version": count,
                "updated_at": now,
            }
            for customer_id, count in zip(people, entries, strict=True)
        ),
    )
    _copy(
        conn,
        ledger_entry,
        (
            _entry(program_id, customer_id, number, now - timedelta(days=count - number))
            for customer_id, count in zip(people, entries, strict=True)
            for number in range(1, count + 1)
        ),
    )


def _entry(program_id: str, customer_id: str, number: int, at: Any) -> dict[str, Any]:
    return {
        "program_id": program_id,
        "id": new_id(),
        "customer_id": customer_id,
        "number": number,
        "kind": "earn",
        "debit": "issued",
        "credit": "available",
        "amount": POINTS,
        "available_after": POINTS * number,
        "pending_after": 0,
        "reserved_after": 0,
        "tier_points": POINTS,
        "tier_money": 0,
        "reason": "Two coffees",
        "source": "bench",
        "asked_hash": GENESIS,
        "effective_at": at,
        "at": at,
        "detail": "{}",
        "previous_hash": GENESIS,
        "hash": GENESIS,
    }


def _copy(conn: Connection, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    first = next(rows)
    columns = tuple(first)

    def values() -> Iterator[tuple[Any, ...]]:
        yield tuple(first.values())
        for row in rows:
            yield tuple(row.values())

    copy_rows(conn, table, columns, values())
