"""Coupons and pools of codes: each code goes to one, each coupon is used once."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from tests.conftest import BOTH, Fresh
from tests.loyalty.people import new_customer
from tests.loyalty.test_redeeming import outcomes, told
from web.foundation.database import Database, open_database
from web.foundation.schema import new_id, utc_now
from web.loyalty.assigning import (
    CouponGone,
    CouponNotGood,
    HasItAlready,
    NeedsCard,
    NoCouponsLeft,
    NoSuchCustomer,
    assign,
    expire,
    revoke,
    use,
)
from web.loyalty.code_pool import BATCH, BadLine, codes_left, load_codes
from web.loyalty.coupon import (
    InvalidCoupon,
    NewCoupon,
    add_codes,
    add_coupon,
    change_coupon,
    find_coupon,
    retire_coupon,
)
from web.loyalty.coupon_code import Assigned, coupons_of, due_coupons, find_assigned
from web.loyalty.event import COUPON_ASSIGNED, COUPON_RUNNING_LOW, COUPON_USED, event
from web.loyalty.personal_data import erase, export_data
from web.loyalty.program import Program
from web.loyalty.wallet_pass import wallet_pass


@pytest.fixture(scope="module", params=BOTH)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """One database for all that follows: each test makes people, rewards and coupons of its own."""
    with ExitStack() as stack:
        yield Fresh(request, stack)(request.param)


def a_coupon(conn: Connection, program: Program, **fields: Any) -> str:
    return add_coupon(conn, program.id, NewCoupon(**{"name": {"en": f"Treat {new_id()}"}, **fields}))


def give(conn: Connection, program: Program, coupon_id: str, who: str, **how: Any) -> Assigned:
    return assign(conn, program, coupon_id, who, **{"key": new_id(), **how})


async def test_forty_codes_for_a_hundred_people_go_to_forty_of_them_and_the_merchant_hears_of_it_once(
    database_url: str, database: Database, program: Program
) -> None:
    def prepare(conn: Connection) -> tuple[str, list[str]]:
        coupon_id = a_coupon(conn, program, code_source="pool", low_stock=10)
        add_codes(conn, program.id, coupon_id, [f"TREAT-{number}" for number in range(40)])
        return coupon_id, [new_customer(conn, program) for _ in range(100)]

    coupon_id, people = await database.write(prepare)
    other = open_database(database_url)
    sides = (database, other)
    try:
        ended = await outcomes(
            [sides[n % 2].write(give, program, coupon_id, who) for n, who in enumerate(people)],
            but=NoCouponsLeft,
        )
    finally:
        await other.close()
    assert ended == {"Assigned": 40, "NoCouponsLeft": 60}

    def check(conn: Connection) -> None:
        given = [each for who in people for each in coupons_of(conn, program.id, who, state="active")]
        assert {each.code for each in given} == {f"TREAT-{number}" for number in range(40)}
        low = conn.scalars(select(event.c.properties).where(event.c.name == COUPON_RUNNING_LOW)).all()
        low = [each for each in low if each["couponId"] == coupon_id]
        assert len(low) == 1
        assert low[0]["codesLeft"] <= 10
        add_codes(conn, program.id, coupon_id, ["MORE-1", "MORE-2"])
        give(conn, program, coupon_id, new_customer(conn, program))
        told = select(event.c.properties).where(event.c.name == COUPON_RUNNING_LOW).order_by(event.c.id)
        again = conn.scalars(told).all()
        assert [each["codesLeft"] for each in again if each["couponId"] == coupon_id][1:] == [1]

    await database.write(check)


async def test_a_person_gets_a_coupon_as_often_as_it_says_and_the_same_call_gives_the_same_one(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        who, other, now = new_customer(conn, program), new_customer(conn, program), utc_now()
        once = a_coupon(conn, program, slug="once", good_days=30, ends_at=now + timedelta(days=7))
        first = assign(conn, program, "once", who, key="a")
        assert assign(conn, program, once, who, key="a") == first
        assert assign(conn, program, once, other, key="a").code != first.code
        with pytest.raises(HasItAlready):
            assign(conn, program, once, who, key="b")
        assert first.expires_at == find_coupon(conn, program.id, "once").ends_at, (
            "never past the coupon's end"
        )  # type: ignore[union-attr]
        revoke(conn, program, first.id)
        assert assign(conn, program, once, who, key="b").code != first.code
        thrice = a_coupon(conn, program, most_each=3, code_source="shared", shared_code="HELLO")
        given = [give(conn, program, thrice, who) for _ in range(3)]
        assert {each.code for each in given} == {"HELLO"}
        with pytest.raises(HasItAlready):
            give(conn, program, thrice, who)
        refused: list[tuple[type[Exception], str, str]] = [
            (CouponGone, new_id(), who),
            (CouponGone, "nothing-of-this-name", who),
            (CouponGone, a_coupon(conn, program, starts_at=now + timedelta(days=1)), who),
            (CouponGone, a_coupon(conn, program, ends_at=now), who),
            (NoSuchCustomer, thrice, new_id()),
            (NoCouponsLeft, a_coupon(conn, program, code_source="pool"), who),
        ]
        for error, coupon_id, customer_id in refused:
            with pytest.raises(error):
                give(conn, program, coupon_id, customer_id)
        retire_coupon(conn, program.id, thrice)
        with pytest.raises(CouponGone):
            give(conn, program, thrice, other)
        assert use(conn, program, given[0].id).state == "used", "who has one may use it"
        carded = a_coupon(conn, program, needs_card=True)
        with pytest.raises(NeedsCard):
            give(conn, program, carded, who)
        conn.execute(update(wallet_pass).where(wallet_pass.c.customer_id == who).values(status="installed"))
        assert give(conn, program, carded, who).state == "assigned"

    await database.write(story)


async def test_a_coupon_is_used_once_or_runs_out_or_is_taken_back(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        who, other, now = new_customer(conn, program), new_customer(conn, program), utc_now()
        coupon_id = a_coupon(conn, program, good_days=10, most_each=9, kind="percent", value=10)
        used, over, back, kept = (give(conn, program, coupon_id, who) for _ in range(4))
        done = use(conn, program, used.code.lower(), order_ref="77")
        assert (done.state, done.order_ref) == ("used", "77")
        assert use(conn, program, used.code, order_ref="77") == done, "the same order asks again"
        for again in ("78", None):
            with pytest.raises(CouponNotGood):
                use(conn, program, used.code, order_ref=again)
        assert revoke(conn, program, back.id) == revoke(conn, program, back.id)
        with pytest.raises(CouponNotGood):
            use(conn, program, back.code)
        with pytest.raises(CouponNotGood):
            revoke(conn, program, used.id)
        late = now + timedelta(days=10, seconds=9)
        with pytest.raises(CouponNotGood):
            use(conn, program, over.code, now=late)
        assert not coupons_of(conn, program.id, who, state="active", now=late), "over, whether or not marked"
        assert expire(conn, program, over.id, late)
        assert not expire(conn, program, over.id, late)
        assert not expire(conn, program, used.id, late)
        due = [which for _, which in due_coupons(conn, late, 100)]
        assert kept.id in due
        assert not {over.id, used.id, back.id} & set(due)
        kinds = {
            state: [each.id for each in coupons_of(conn, program.id, who, state=state)]  # type: ignore[arg-type]
            for state in ("active", "used", "expired")
        }
        assert kinds == {"active": [kept.id], "used": [used.id], "expired": [over.id]}
        assert find_assigned(conn, program.id, kept.id, other) is None
        shared = a_coupon(conn, program, code_source="shared", shared_code="HELLO")
        give(conn, program, shared, who)
        with pytest.raises(CouponNotGood):
            use(conn, program, "HELLO")
        assert use(conn, program, "HELLO", customer_id=who).state == "used"
        assert len(told(conn, who, COUPON_ASSIGNED)) == 5
        assert [each.get("orderId") for each in told(conn, who, COUPON_USED)] == ["77", None]

    await database.write(story)


async def test_of_many_coupons_pages_come_one_after_the_other(database: Database, program: Program) -> None:
    def story(conn: Connection) -> None:
        who = new_customer(conn, program)
        coupon_id = a_coupon(conn, program, most_each=50)
        given = [give(conn, program, coupon_id, who).id for _ in range(25)]
        seen: list[str] = []
        while page := coupons_of(
            conn, program.id, who, state="active", before=seen[-1] if seen else None, most=10
        ):
            seen += [each.id for each in page]
        assert seen == given[::-1], "the newest first, none twice"

    await database.write(story)


async def test_a_file_of_codes_is_taken_in_line_by_line_and_says_which_lines_it_left_out(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        coupon_id, other_id = new_id(), new_id()
        lines = ["\ufeffCode;Note\n", "AAA;first\n", '"BBB"\n', "\n", "AAA\n", "with space\n", "CCC\r\n"]
        loaded = load_codes(conn, program.id, coupon_id, lines)
        assert (loaded.added, loaded.left_out) == (3, 2)
        assert loaded.problems == [BadLine(5, "repeated"), BadLine(6, "not_a_code")]
        again = load_codes(conn, program.id, coupon_id, ["AAA", "DDD", "x" * 65])
        assert (again.added, again.problems) == (1, [BadLine(1, "known"), BadLine(3, "not_a_code")])
        assert load_codes(conn, program.id, other_id, ["DDD"]).problems == [BadLine(1, "known")]
        read = 0

        def many() -> Iterator[str]:
            nonlocal read
            for number in range(2 * BATCH + 7):
                read += 1
                yield f"MANY-{number}"

        assert load_codes(conn, program.id, other_id, many()).added == read == 2 * BATCH + 7
        assert codes_left(conn, program.id, other_id) == 2 * BATCH + 7
        assert codes_left(conn, program.id, other_id, most=5) == 5
        assert codes_left(conn, program.id, coupon_id) == 4

    await database.write(story)


async def test_a_coupon_that_contradicts_itself_is_refused_with_what_to_write(
    database: Database, program: Program
) -> None:
    now = utc_now()
    wrong: dict[str, dict[str, Any]] = {
        "name": {"name": {"en": " "}},
        "slug: use": {"slug": "Not A Slug"},
        "value: a coupon": {"kind": "fixed"},
        "value: at most 100": {"kind": "percent", "value": 101},
        "shared_code": {"code_source": "shared"},
        "shared_code: ": {"shared_code": "HELLO"},
        "ends_at": {"starts_at": now, "ends_at": now - timedelta(days=1)},
    }

    def story(conn: Connection) -> None:
        for said, fields in wrong.items():
            with pytest.raises(InvalidCoupon, match=said):
                a_coupon(conn, program, **fields)
        named = add_coupon(conn, program.id, NewCoupon(name={"en": "Spring treat!"}))
        found = find_coupon(conn, program.id, "spring-treat")
        assert found is not None
        assert found.id == named
        with pytest.raises(InvalidCoupon, match="taken"):
            add_coupon(conn, program.id, NewCoupon(name={"en": "Spring treat"}))
        other = find_coupon(conn, program.id, add_coupon(conn, program.id, NewCoupon(name={"ar": "هدية"})))
        assert other is not None
        with pytest.raises(InvalidCoupon, match="taken"):
            change_coupon(conn, program.id, msgspec.structs.replace(other, slug="spring-treat"))
        assert change_coupon(conn, program.id, msgspec.structs.replace(other, slug="gift"))

    await database.write(story)


async def test_an_erased_person_s_coupons_stay_in_the_books_without_a_name(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        who = new_customer(conn, program)
        given = give(conn, program, a_coupon(conn, program), who)
        exported = export_data(conn, program.id, who)
        assert [row["code"] for row in exported["coupon_code"]] == [given.code]
        assert exported["redemption"] == []
        erase(conn, program.id, who, [])
        assert find_assigned(conn, program.id, given.id) == given, "its code never goes to somebody else"

    await database.write(story)
