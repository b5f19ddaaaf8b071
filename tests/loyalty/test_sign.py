"""Signs: one code for one purpose, printed once or a hundred times."""

import asyncio

import pytest
from sqlalchemy import func, select

from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.short_code import normalise
from web.loyalty.location import Location, UnknownLocation, add_location, shops_of
from web.loyalty.program import Program
from web.loyalty.sign import CODE_LENGTH, find_sign, sign, sign_for


async def test_a_reprint_has_the_same_code(database: Database, program: Program) -> None:
    for purpose in (
        {},
        {"location_slug": "malasana"},
        {"campaign": "autumn"},
        {"source": "flyer", "medium": "print"},
    ):
        first = await database.write(sign_for, program.id, program.slug, **purpose)
        assert await database.write(sign_for, program.id, program.slug, **purpose) == first
        assert normalise(first.code, CODE_LENGTH) == first.code
        assert await database.read(find_sign, first.code) == first


@pytest.mark.parametrize("shop", [None, "malasana"])
async def test_printed_fifty_times_at_once_it_has_one_code(
    database: Database, program: Program, shop: str | None
) -> None:
    signs = await asyncio.gather(
        *(
            database.write(sign_for, program.id, program.slug, location_slug=shop, campaign="rush")
            for _ in range(50)
        )
    )
    assert len({each.code for each in signs}) == 1
    rows = await database.read(
        lambda conn: conn.scalar(select(func.count()).select_from(sign).where(sign.c.campaign == "rush"))
    )
    assert rows == 1


async def test_each_purpose_has_a_code_of_its_own(database: Database, program: Program) -> None:
    purposes = [{}, {"location_slug": "malasana"}, {"campaign": "x"}, {"source": "x"}, {"medium": "x"}]
    codes = {(await database.write(sign_for, program.id, program.slug, **each)).code for each in purposes}
    assert len(codes) == len(purposes)


async def test_a_sign_leads_to_its_shop_and_campaign(database: Database, program: Program) -> None:
    await database.write(add_location, program.id, Location(slug="harbour", name="At the harbour"))
    made = await database.write(
        sign_for, program.id, program.slug, location_slug="harbour", source="store", campaign="autumn"
    )
    found = await database.read(find_sign, made.code)
    assert found is not None
    assert (found.program_slug, found.location_name, found.source, found.medium, found.campaign) == (
        "brewbar",
        "At the harbour",
        "store",
        "qr",
        "autumn",
    )
    assert "harbour" in [each.slug for each in await database.read(shops_of, program.id)]


async def test_a_shop_that_is_not_there_has_no_sign(database: Database, program: Program) -> None:
    with pytest.raises(UnknownLocation):
        await database.write(sign_for, program.id, program.slug, location_slug="atlantis")
    assert await database.read(find_sign, "000000") is None


async def test_signs_are_found_by_index(database: Database, program: Program) -> None:
    await database.write(gather_statistics)
    for query in (
        lambda conn: find_sign(conn, "000000"),
        lambda conn: sign_for(conn, program.id, program.slug, location_slug="malasana"),
        lambda conn: sign_for(conn, program.id, program.slug),
    ):
        assert not reads_a_whole_table(await database.write(plan_of, query))
