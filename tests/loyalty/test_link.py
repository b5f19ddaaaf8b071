"""Links: looked at by anybody, used once, and by nobody whose link it is not."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from tests.loyalty.people import new_customer
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation import tokens
from web.foundation.address import inbox_hash
from web.foundation.database import Database
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import digest, random_code
from web.loyalty.link import (
    LIFETIMES,
    Link,
    Purpose,
    find_link,
    make_link,
    may_send_link,
    one_time_link,
    purge_links,
    use_link,
)
from web.loyalty.program import Program


async def a_link(
    database: Database, program: Program, purpose: Purpose = "download", **more: Any
) -> tuple[str, str, str]:
    """Its customer, its `jti` and its token."""
    customer_id, jti = await database.write(new_customer, program), random_code()
    token = await database.write(
        make_link, program, customer_id, purpose, jti=jti, created_by="message", **more
    )
    return customer_id, jti, token


async def shift(database: Database, jti: str, **values: Any) -> None:
    await database.write(
        lambda conn: conn.execute(
            update(one_time_link).where(one_time_link.c.jti_hash == digest(jti)).values(**values)
        )
    )


async def test_two_hundred_taps_at_once_use_it_exactly_once(database: Database, program: Program) -> None:
    customer_id, jti, _ = await a_link(database, program)
    outcomes = await asyncio.gather(
        *(database.write(use_link, program.id, jti, "download") for _ in range(200))
    )
    assert [outcome for outcome in outcomes if outcome] == [customer_id]


async def test_looking_at_it_changes_nothing(database: Database, program: Program) -> None:
    customer_id, jti, _ = await a_link(database, program)
    for _ in range(3):
        link = await database.read(find_link, program.id, jti, "download")
        assert link is not None
        assert link.is_good(utc_now())
        assert link.uses == 0
    assert await database.write(use_link, program.id, jti, "download") == customer_id
    used = await database.read(find_link, program.id, jti, "download")
    assert used is not None
    assert not used.is_good(utc_now())
    assert used.used_at is not None


async def test_its_token_names_it_and_the_database_does_not_hold_it(
    database: Database, program: Program
) -> None:
    customer_id, jti, token = await a_link(database, program, "verify")
    claims = tokens.read(token, program.keys, kind="verify", audience=program.id)
    assert (claims.sub, claims.jti) == (customer_id, jti)
    row = await database.read(
        lambda conn: conn.execute(
            select(one_time_link).where(one_time_link.c.customer_id == customer_id)
        ).one()
    )
    assert jti not in str(row)
    assert token not in str(row)
    lifetime = timedelta(seconds=claims.exp - claims.iat)
    assert lifetime == LIFETIMES["verify"] == timedelta(days=14)


async def test_the_same_jti_is_the_same_link(database: Database, program: Program) -> None:
    """A delivery that is repeated sends no second link, and one that was used does not come back to life."""
    customer_id, jti, _ = await a_link(database, program)
    await database.write(use_link, program.id, jti, "download")
    await database.write(make_link, program, customer_id, "download", jti=jti, created_by="message")
    assert await database.write(use_link, program.id, jti, "download") is None


DEAD: dict[str, dict[str, Callable[[], Any]]] = {
    "expired": {"expires_at": utc_now},
    "revoked": {"revoked_at": utc_now},
    "used": {"uses": lambda: 1},
}


async def test_a_dead_link_opens_nothing(database: Database, program: Program) -> None:
    for why, values in DEAD.items():
        _, jti, _ = await a_link(database, program)
        await shift(database, jti, **{name: value() for name, value in values.items()})
        assert await database.write(use_link, program.id, jti, "download") is None, why
        link = await database.read(find_link, program.id, jti, "download")
        assert link is not None
        assert not link.is_good(utc_now()), why


async def test_a_link_serves_its_own_purpose_only(database: Database, program: Program) -> None:
    for purpose in ("download", "verify", "handoff"):
        _, jti, _ = await a_link(database, program, purpose)
        for other in {"download", "verify", "handoff"} - {purpose}:
            assert await database.write(use_link, program.id, jti, other) is None
            assert await database.read(find_link, program.id, jti, other) is None
        assert await database.write(use_link, program.id, jti, purpose) is not None


async def test_a_link_is_its_own_programme_s(database: Database, program: Program) -> None:
    _, jti, _ = await a_link(database, program)
    assert await database.write(use_link, new_id(), jti, "download") is None
    assert await database.read(find_link, new_id(), jti, "download") is None
    assert await database.write(use_link, program.id, random_code(), "download") is None
    assert await database.write(use_link, program.id, jti, "download") is not None


async def test_it_may_be_used_as_often_as_it_was_made_for(database: Database, program: Program) -> None:
    for most, expected in ((1, 1), (3, 3), (None, 40)):
        _, jti, _ = await a_link(database, program, most_uses=most)
        outcomes = await asyncio.gather(
            *(database.write(use_link, program.id, jti, "download") for _ in range(40))
        )
        assert sum(outcome is not None for outcome in outcomes) == expected


def sent(conn: Connection, program: Program, ago: timedelta, **more: Any) -> None:
    now = utc_now()
    row = {
        "program_id": program.id,
        "jti_hash": digest(random_code()),
        "customer_id": new_id(),
        "purpose": "download",
        "uses": 0,
        "most_uses": 1,
        "utm": {},
        "created_by": "message",
        "created_at": now - ago,
        "expires_at": now + timedelta(days=7),
    }
    conn.execute(insert(one_time_link).values({**row, **more}))


SECOND = timedelta(seconds=5)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SENDING: list[tuple[list[timedelta], bool]] = [
    ([], True),
    ([SECOND] * 2, True),
    ([SECOND] * 3, False),
    ([HOUR - SECOND] * 3, False),
    ([HOUR + SECOND] * 3, True),
    ([2 * HOUR] * 9, True),
    ([2 * HOUR] * 10, False),
    ([2 * HOUR] * 8 + [SECOND] * 2, False),
    ([DAY - SECOND] * 10, False),
    ([DAY + SECOND] * 10, True),
]


async def test_nobody_is_sent_more_than_three_an_hour_and_ten_a_day(
    database: Database, program: Program
) -> None:
    for ago, allowed in SENDING:
        address = new_id()
        for each in ago:
            await database.write(sent, program, each, inbox_hash=inbox_hash(address))
        assert await database.read(may_send_link, program.id, address) is allowed, ago


async def test_what_was_not_sent_to_them_does_not_count(database: Database, program: Program) -> None:
    address = new_id()
    for more in (
        {"created_by": "support"},
        # A session link stands beside the card's in one message, which counts once.
        {"purpose": "auth"},
        {"inbox_hash": new_id()},
        {"program_id": new_id()},
    ):
        for _ in range(5):
            await database.write(sent, program, SECOND, **{"inbox_hash": inbox_hash(address), **more})
    assert await database.read(may_send_link, program.id, address)


async def test_messages_of_every_purpose_count_together(database: Database, program: Program) -> None:
    address = new_id()
    for purpose in ("verify", "download", "verify"):
        assert await database.read(may_send_link, program.id, address)
        await database.write(sent, program, SECOND, inbox_hash=inbox_hash(address), purpose=purpose)
    assert not await database.read(may_send_link, program.id, address)


async def test_a_link_that_ended_a_month_ago_is_deleted_and_no_sooner(
    database: Database, program: Program
) -> None:
    _, old, _ = await a_link(database, program)
    _, newer, _ = await a_link(database, program)
    await shift(database, old, expires_at=utc_now() - timedelta(days=30, seconds=1))
    await shift(database, newer, expires_at=utc_now() - timedelta(days=29))
    assert await database.write(purge_links) == 1
    assert await database.read(find_link, program.id, old, "download") is None
    assert await database.read(find_link, program.id, newer, "download") is not None
    assert await database.read(lambda conn: conn.scalar(select(func.count()).select_from(one_time_link))) == 1


async def test_links_are_found_by_index(database: Database, program: Program) -> None:
    for _ in range(300):
        await database.write(sent, program, SECOND, inbox_hash=new_id())
    await database.write(gather_statistics)
    queries: list[Callable[[Connection], Any]] = [
        lambda conn: find_link(conn, program.id, "x", "download"),
        lambda conn: use_link(conn, program.id, "x", "download"),
        lambda conn: may_send_link(conn, program.id, program.id),
        purge_links,
    ]
    for query in queries:
        assert not reads_a_whole_table(await database.write(plan_of, query))
    assert "ix_one_time_link_inbox" in await database.write(plan_of, queries[2])


def test_a_link_without_a_number_of_uses_is_good_until_it_ends() -> None:
    now = utc_now()
    link = Link(
        jti_hash="",
        customer_id="",
        purpose="download",
        address_hash=None,
        uses=1000,
        most_uses=None,
        utm={},
        expires_at=now + SECOND,
        used_at=now,
        revoked_at=None,
    )
    assert link.is_good(now)
    assert not link.is_good(now + SECOND)
