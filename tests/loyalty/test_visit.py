"""Visits: what one browser has begun, and what it may fetch."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import random_token
from web.loyalty.program import Program
from web.loyalty.touch import Arrival
from web.loyalty.visit import (
    LIFETIME,
    Visit,
    arrive,
    begin_visit,
    find_visit,
    forget_visit,
    grant,
    keep_draft,
    purge_visits,
    visit,
)


async def found(database: Database, program: Program, token: str | None) -> Visit | None:
    return await database.read(find_visit, program.id, token)


async def test_a_token_that_was_not_given_out_opens_nothing_and_is_never_taken_over(
    database: Database, program: Program
) -> None:
    chosen = random_token()
    for token in (chosen, "", None, "x" * 5000, "\ud800".encode("utf-8", "replace").decode()):
        assert await found(database, program, token) is None
    for given in (
        await database.write(keep_draft, program.id, chosen, "contact", {"typed": "a"}),
        await database.write(arrive, program.id, chosen, Arrival()),
    ):
        assert given != chosen
        assert await found(database, program, given) is not None
    assert await found(database, program, chosen) is None


async def test_a_visit_is_its_own_programme_s(database: Database, program: Program) -> None:
    _, token = await database.write(begin_visit, program.id)
    assert await database.read(find_visit, new_id(), token) is None


async def test_the_database_does_not_hold_the_token(database: Database, program: Program) -> None:
    visit_id, token = await database.write(begin_visit, program.id)
    row = await database.read(lambda conn: conn.execute(select(visit).where(visit.c.id == visit_id)).one())
    assert token not in str(row)


async def test_it_ends_after_two_days_and_each_step_begins_them_anew(
    database: Database, program: Program
) -> None:
    visit_id, token = await database.write(begin_visit, program.id)

    async def age(**values: Any) -> None:
        await database.write(
            lambda conn: conn.execute(update(visit).where(visit.c.id == visit_id).values(**values))
        )

    assert timedelta(days=2) == LIFETIME
    await age(expires_at=utc_now() + timedelta(minutes=1))
    assert await database.write(keep_draft, program.id, token, "contact", {"typed": "a"}) == token
    assert await database.write(purge_visits) == 0
    row = await database.read(lambda conn: conn.execute(select(visit).where(visit.c.id == visit_id)).one())
    assert row.expires_at > utc_now() + LIFETIME - timedelta(minutes=1)
    await age(expires_at=utc_now() - timedelta(seconds=1))
    assert await found(database, program, token) is None
    assert await database.write(purge_visits) == 1


async def test_each_step_s_words_are_kept_beside_the_others(database: Database, program: Program) -> None:
    token = await database.write(keep_draft, program.id, None, "contact", {"typed": "zoe@example.org"})
    await database.write(keep_draft, program.id, token, "about", {"name": "Zoë"})
    await database.write(keep_draft, program.id, token, "about", {"name": "Zoé"})
    known = await found(database, program, token)
    assert known is not None
    assert known.draft == {"contact": {"typed": "zoe@example.org"}, "about": {"name": "Zoé"}}


async def test_who_begins_again_where_a_card_was_made_is_the_next_one(
    database: Database, program: Program
) -> None:
    token = await database.write(arrive, program.id, None, Arrival(source="poster"))
    first = await found(database, program, token)
    assert first is not None
    customer_id = new_id()
    await database.write(grant, program.id, first.id, customer_id)
    next_token = await database.write(keep_draft, program.id, token, "contact", {"typed": "ben@example.org"})
    assert next_token != token
    second = await found(database, program, next_token)
    assert second is not None
    assert second.granted_customer() is None
    assert second.first_touch_id == first.first_touch_id, "they came by the same sign"


async def test_a_visit_that_is_ended_opens_nothing_at_once(database: Database, program: Program) -> None:
    visit_id, token = await database.write(begin_visit, program.id)
    await database.write(grant, program.id, visit_id, new_id())
    await database.write(forget_visit, program.id, token)
    assert await found(database, program, token) is None


async def test_without_a_grant_there_is_no_card(database: Database, program: Program) -> None:
    _, token = await database.write(begin_visit, program.id)
    known = await found(database, program, token)
    assert known is not None
    assert known.granted_customer() is None


async def test_visits_are_found_by_index(database: Database, program: Program) -> None:
    await database.write(gather_statistics)
    for query in (
        lambda conn: find_visit(conn, program.id, "token"),
        lambda conn: forget_visit(conn, program.id, "token"),
        purge_visits,
    ):
        assert not reads_a_whole_table(await database.write(plan_of, query))
