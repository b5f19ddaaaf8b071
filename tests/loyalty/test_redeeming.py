"""Redeeming: what has to happen together, at most once, and at nobody else's cost."""

import asyncio
import multiprocessing
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from tests.conftest import BOTH, SECRET, Fresh
from tests.loyalty.people import new_customer
from tests.support.ledger import an_order
from tests.support.plans import plan_of, reads_a_whole_table
from web.demo import SLUG
from web.foundation.database import Database, open_database
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.balance import balance, find_balance
from web.loyalty.booking import KeyReused, LedgerError, NotEnough, Order
from web.loyalty.code_pool import codes_left, load_codes, take_code
from web.loyalty.customer import confirm_address
from web.loyalty.earning_rules import Line
from web.loyalty.event import REWARD_AVAILABLE, REWARD_REDEEMED_IN_STORE, REWARD_REDEEMED_ONLINE, event
from web.loyalty.event_catalogue import check_properties
from web.loyalty.location import location
from web.loyalty.lot import open_lots
from web.loyalty.offer import (
    CannotRedeem,
    CodeNotGood,
    LimitReached,
    NoCodesLeft,
    NotNow,
    NotVerified,
    OutOfRange,
    OutOfStock,
    RewardGone,
    TierTooLow,
    WrongChannel,
)
from web.loyalty.points import earn
from web.loyalty.program import Program, load_program
from web.loyalty.purchase import order_paid, order_refunded
from web.loyalty.purchase_record import Paid, Refund
from web.loyalty.redeeming import RESERVED_MINUTES, cancel, issue, lapse, mark_used, redeem, return_order
from web.loyalty.redemption import (
    Redemption,
    count_of,
    counts_for,
    due_redemptions,
    find_by_code,
    find_redemption,
    redemptions_in,
    redemptions_of,
)
from web.loyalty.reward import NewReward, add_rewards, change_reward, find_reward, retire_reward

BACK = Order(key=None, reason="Given back", source="pos")


@pytest.fixture(scope="module", params=BOTH)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """One database for all that follows: each test makes people, rewards and coupons of its own."""
    with ExitStack() as stack:
        yield Fresh(request, stack)(request.param)


def offer(conn: Connection, program: Program, **fields: Any) -> str:
    given: dict[str, Any] = {"title": {"en": "Free coffee"}, "cost": 100, **fields}
    return add_rewards(conn, program.id, [NewReward(**given)])[0]


def a_member(conn: Connection, program: Program, points: int = 100) -> str:
    """Somebody with a proven address and points to spend."""
    customer_id = new_customer(conn, program)
    confirm_address(conn, program.id, customer_id, "email")
    if points:
        earn(conn, program, customer_id, points, an_order())
    return customer_id


def buy(conn: Connection, program: Program, customer_id: str, reward_id: str, **how: Any) -> Redemption:
    return redeem(conn, program, customer_id, reward_id, **{"channel": "online", "key": new_id(), **how})


def points_of(conn: Connection, program: Program, customer_id: str) -> tuple[int, int]:
    """Available and reserved."""
    held = find_balance(conn, program.id, customer_id)
    return (held.available, held.reserved) if held else (0, 0)


def in_lots(conn: Connection, program: Program, customer_id: str) -> int:
    return sum(lot.remaining for lot in open_lots(conn, program.id, customer_id))


def stock_of(conn: Connection, program: Program, reward_id: str) -> int | None:
    found = find_reward(conn, program.id, reward_id)
    assert found is not None
    return found.stock


def told(conn: Connection, customer_id: str, name: str) -> list[dict[str, Any]]:
    """What was told of them under this name, in the shape that merchants are promised."""
    found = list(
        conn.scalars(
            select(event.c.properties)
            .where(event.c.customer_id == customer_id, event.c.name == name)
            .order_by(event.c.id)
        )
    )
    for each in found:
        check_properties(name, each)
    return found


async def outcomes(attempts: list[Any], but: type[Exception] = NotEnough) -> Counter[str]:
    """What each of many that came at once was told; whatever else is raised than a refusal is a fault."""
    ended = await asyncio.gather(*attempts, return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException) and not isinstance(each, CannotRedeem | but):
            raise each
    return Counter(type(each).__name__ for each in ended)


async def test_of_a_hundred_who_want_the_last_one_exactly_one_gets_it(
    database_url: str, database: Database, program: Program
) -> None:
    """Through two processes' connections at once: the rest are told that it is gone, and keep their points."""

    def prepare(conn: Connection) -> tuple[str, str, list[str]]:
        last, last_code = offer(conn, program, stock=1), offer(conn, program, code_source="pool")
        load_codes(conn, program.id, last_code, ["ONLY-ONE"])
        return last, last_code, [a_member(conn, program, 200) for _ in range(100)]

    last, last_code, people = await database.write(prepare)
    other = open_database(database_url)
    try:
        sides = (database, other)
        for wanted, refusal in ((last, "OutOfStock"), (last_code, "NoCodesLeft")):
            ended = await outcomes(
                [sides[n % 2].write(buy, program, who, wanted) for n, who in enumerate(people)]
            )
            assert ended == {"Redemption": 1, refusal: 99}
    finally:
        await other.close()
    left = [(await database.read(points_of, program, who))[0] for who in people]
    assert sum(left) == 100 * 200 - 2 * 100
    assert await database.read(stock_of, program, last) == 0


async def test_a_hundred_taps_of_one_person_never_pass_the_limit_the_points_or_the_key(
    database: Database, program: Program
) -> None:
    who = await database.write(a_member, program, 350)
    twice = await database.write(offer, program, limit_count=2, limit_period="day")
    free = await database.write(offer, program)
    ended = await outcomes([database.write(buy, program, who, twice, key="one tap") for _ in range(50)])
    assert ended == {"Redemption": 50}, "each of them is told of the same one"
    ended = await outcomes([database.write(buy, program, who, twice) for _ in range(50)])
    assert ended == {"Redemption": 1, "LimitReached": 49}
    ended = await outcomes([database.write(buy, program, who, free) for _ in range(50)])
    assert ended == {"Redemption": 1, "NotEnough": 49}
    assert await database.read(points_of, program, who) == (50, 0)
    other = await database.write(a_member, program)
    with pytest.raises(KeyReused):
        await database.write(buy, program, other, twice, key="one tap")
    assert await database.read(points_of, program, other) == (100, 0)


async def test_under_load_from_all_sides_points_and_stock_add_up_and_everybody_is_answered(
    database_url: str, database: Database, program: Program
) -> None:
    def prepare(conn: Connection) -> tuple[list[str], list[str]]:
        rewards = [offer(conn, program, cost=10, stock=90, code_minutes=5) for _ in range(2)]
        return rewards, [a_member(conn, program, 300) for _ in range(6)]

    def act(conn: Connection, chance: random.Random) -> None:
        who, what = chance.choice(people), chance.choice(rewards)
        had = redemptions_of(conn, program.id, who, states=("issued", "reserved", "used"), most=3)
        match chance.randrange(4):
            case 0 if had:
                cancel(conn, program, chance.choice(had).id, BACK)
            case 1 if had and had[0].state == "issued":
                mark_used(conn, program, had[0].id, order_ref=had[0].id)
            case 2 if had and had[0].state == "reserved":
                issue(conn, program, had[0].id)
            case _:
                buy(conn, program, who, what, hold=chance.random() < 0.5)

    rewards, people = await database.write(prepare)
    other = open_database(database_url)
    try:
        await outcomes([(database, other)[n % 2].write(act, random.Random(n)) for n in range(80)])
    finally:
        await other.close()

    def check(conn: Connection) -> None:
        for reward_id in rewards:
            had = sum(count_of(conn, program, who, reward_id, "life", utc_now()) for who in people)
            assert (stock_of(conn, program, reward_id) or 0) + had == 90
        for who in people:
            counts = counts_for(conn, msgspec.structs.replace(program, rewards=()), who, utc_now())
            available, reserved = points_of(conn, program, who)
            held = redemptions_of(conn, program.id, who, states=("reserved",), most=500)
            assert available == 300 - 10 * sum(counts.values()) == in_lots(conn, program, who)
            assert reserved == 10 * len(held)

    await database.read(check)


async def test_in_two_steps_points_are_set_aside_then_spent_or_given_back_once(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        who, now = a_member(conn, program, 300), utc_now()
        what = offer(conn, program, stock=5, code_source="pool", code_minutes=15)
        load_codes(conn, program.id, what, ["A", "B", "C", "D"])
        held = buy(conn, program, who, what, hold=True)
        assert (held.state, held.code) == ("reserved", None), "nobody sees the code before it is theirs"
        assert points_of(conn, program, who) == (200, 100)
        with pytest.raises(CodeNotGood):
            mark_used(conn, program, held.id)
        assert find_by_code(conn, program.id, "A") is None
        issued = issue(conn, program, held.id)
        assert (issued.state, issued.code) == ("issued", "A")
        assert issued == issue(conn, program, held.id), "asked twice, done once"
        assert points_of(conn, program, who) == (200, 0)
        assert issued.expires_at is not None
        assert timedelta(0) < issued.expires_at - now - timedelta(minutes=15) < timedelta(minutes=1)
        back = cancel(conn, program, held.id, BACK)
        assert back == cancel(conn, program, held.id, BACK)
        assert back.state == "returned"
        assert points_of(conn, program, who) == (300, 0)
        again = buy(conn, program, who, what, hold=True)
        assert codes_left(conn, program.id, what) == 2
        cancel(conn, program, again.id, BACK)
        assert codes_left(conn, program.id, what) == 3, "a code that nobody saw goes to somebody else"
        assert buy(conn, program, who, what).code == "B", "one that was seen does not"
        assert stock_of(conn, program, what) == 4
        assert points_of(conn, program, who) == (200, 0)
        assert in_lots(conn, program, who) == 200

    await database.write(story)


async def test_what_nobody_uses_in_its_time_goes_back_and_is_good_no_more(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        who, now = a_member(conn, program, 400), utc_now()
        what = offer(conn, program, stock=9, code_minutes=15)
        for_good = offer(conn, program)
        held, issued, used, kept = (
            buy(conn, program, who, what, hold=True),
            buy(conn, program, who, what),
            buy(conn, program, who, what),
            buy(conn, program, who, for_good),
        )
        mark_used(conn, program, used.id)
        later = now + timedelta(minutes=RESERVED_MINUTES, seconds=5)
        with pytest.raises(CodeNotGood, match="not good"):
            issue(conn, program, held.id, now=later)
        mine = {held.id, issued.id, used.id, kept.id}

        def due(moment: datetime) -> list[str]:
            """The longest waiting first."""
            return [which for _, which in due_redemptions(conn, moment, 1000) if which in mine]

        assert due(later) == [held.id]
        much_later = now + timedelta(minutes=16)
        with pytest.raises(CodeNotGood):
            mark_used(conn, program, issued.id, now=much_later)
        assert due(much_later) == [held.id, issued.id]
        for which in (held.id, issued.id):
            assert lapse(conn, program, which, much_later) is not None
        for which in mine:
            assert lapse(conn, program, which, much_later) is None
        assert points_of(conn, program, who) == (200, 0)
        assert in_lots(conn, program, who) == 200
        assert stock_of(conn, program, what) == 8
        assert due(now + timedelta(days=9999)) == []
        states = [each.state for each in redemptions_of(conn, program.id, who)]
        assert states == ["issued", "used", "expired", "expired"], "the newest first"
        with pytest.raises(CodeNotGood):
            cancel(conn, program, issued.id, BACK)

    await database.write(story)


async def test_a_code_is_used_once_and_an_order_that_comes_back_gives_the_reward_back(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        who = a_member(conn, program, 500)
        what = offer(conn, program, stock=9, limit_count=2)
        first, second = buy(conn, program, who, what), buy(conn, program, who, what)
        assert first.code is not None
        typed = f" {first.code[:4].lower()}-{first.code[4:].replace('0', 'o').replace('1', 'l')} "
        used = mark_used(conn, program, typed, order_ref="1001", actor="till 2")
        assert (used.id, used.state, used.order_ref, used.actor) == (first.id, "used", "1001", "till 2")
        assert mark_used(conn, program, first.code, order_ref="1001") == used, "the same order asks again"
        for order_ref in ("1002", None):
            with pytest.raises(CodeNotGood):
                mark_used(conn, program, first.code, order_ref=order_ref)
        with pytest.raises(CodeNotGood):
            mark_used(conn, program, "0000000000")
        mark_used(conn, program, second.id, order_ref="1001")
        with pytest.raises(LimitReached):
            buy(conn, program, who, what)
        assert return_order(conn, program, "1001", BACK, new_id()) == [], "not by this customer"
        assert len(return_order(conn, program, "1001", BACK)) == 2
        assert return_order(conn, program, "1001", BACK) == []
        assert points_of(conn, program, who) == (500, 0)
        assert in_lots(conn, program, who) == 500
        assert stock_of(conn, program, what) == 9
        assert buy(conn, program, who, what).state == "issued", "what was given back counts no more"
        free = offer(conn, program, cost=0)
        costless = buy(conn, program, who, free)
        assert (costless.cost, costless.entry_id) == (0, None)
        assert cancel(conn, program, costless.id, BACK).state == "returned"
        conn.execute(update(balance).where(balance.c.customer_id == who).values(available=-1))
        assert buy(conn, program, who, free).cost == 0, "even by those who owe points"

    await database.write(story)


async def test_an_order_that_is_refunded_in_full_gives_its_rewards_back_before_its_points_are_taken(
    database: Database, program: Program
) -> None:
    """B3, and nobody is in debt for a reward that they do not have any more."""

    def story(conn: Connection) -> None:
        who = a_member(conn, program, 0)
        lines = (Line(id="1", amount=6000), Line(id="2", amount=4000))
        order = Paid(source="pos", id="B3", paid_at=utc_now(), lines=lines)
        earned = order_paid(conn, program, who, order).points
        assert earned >= 100
        what = offer(conn, program, cost=earned, stock=3)
        bought = buy(conn, program, who, what)
        mark_used(conn, program, bought.id, order_ref="B3")
        for line, state, stock in (("1", "used", 2), ("2", "returned", 3)):
            order_refunded(conn, program, "pos", "B3", Refund(id=line, lines={line: 10_000}))
            after = find_redemption(conn, program.id, bought.id)
            assert after is not None
            assert (after.state, stock_of(conn, program, what)) == (state, stock)
        assert points_of(conn, program, who) == (0, 0) == (in_lots(conn, program, who), 0)

    await database.write(story)


async def test_whatever_stands_in_the_way_is_said_by_name_and_nothing_is_changed(
    database: Database, program: Program
) -> None:
    def story(conn: Connection) -> None:
        now = utc_now()
        who, stranger = a_member(conn, program, 100), new_customer(conn, program)
        earn(conn, program, stranger, 100, an_order())
        empty_pool = offer(conn, program, code_source="pool", stock=3)
        retired = offer(conn, program)
        retire_reward(conn, program.id, retired)
        cases: list[tuple[type[Exception], str, dict[str, Any]]] = [
            (RewardGone, new_id(), {}),
            (RewardGone, retired, {}),
            (RewardGone, offer(conn, program, ends_at=now - timedelta(seconds=1)), {}),
            (NotNow, offer(conn, program, starts_at=now + timedelta(hours=1)), {}),
            (TierTooLow, offer(conn, program, tier_level=2), {}),
            (WrongChannel, offer(conn, program, channel="in_store"), {}),
            (WrongChannel, offer(conn, program, channel="online"), {"channel": "in_store"}),
            (OutOfStock, offer(conn, program, stock=0), {}),
            (OutOfRange, offer(conn, program, redeemable_from=101), {}),
            (OutOfRange, offer(conn, program, redeemable_to=99), {}),
            (NotEnough, offer(conn, program, cost=101), {}),
            (NoCodesLeft, empty_pool, {}),
        ]
        for refusal, what, how in cases:
            with pytest.raises(refusal):
                buy(conn, program, who, what, **how)
        plain = offer(conn, program)
        with pytest.raises(NotVerified):
            buy(conn, program, stranger, plain)
        # Nothing has to be rolled back for this: whoever catches the refusal may go on and commit.
        assert points_of(conn, program, who) == points_of(conn, program, stranger) == (100, 0)
        assert stock_of(conn, program, empty_pool) == 3
        assert redemptions_of(conn, program.id, who) == []
        flows = msgspec.structs.replace(program.settings.flows, require_verified_for=())
        settings = msgspec.structs.replace(program.settings, flows=flows)
        trusting = msgspec.structs.replace(program, settings=settings)
        assert buy(conn, trusting, stranger, plain).state == "issued"

    await database.write(story)


async def test_merchants_are_told_of_each_redemption_once_and_of_the_shop_when_it_is_known(
    database: Database, program: Program, database_url: str
) -> None:
    def story(conn: Connection) -> None:
        who = a_member(conn, program, 900)
        what = offer(conn, program, kind="percent", value=20, title={"en": "A fifth off"})
        shop = conn.scalar(select(location.c.id).where(location.c.slug == "malasana"))
        online = buy(conn, program, who, what)
        mark_used(conn, program, online.id, order_ref="1")
        held = buy(conn, program, who, what, hold=True)
        assert len(told(conn, who, REWARD_REDEEMED_ONLINE)) == 1
        issue(conn, program, held.id)
        first, second = told(conn, who, REWARD_REDEEMED_ONLINE)
        assert first == {
            "redemptionId": online.id,
            "rewardId": what,
            "rewardTitle": "A fifth off",
            "cost": 100,
            "balance": 800,
            "code": online.code,
            "discountType": "percent",
            "value": 20,
        }
        assert (second["redemptionId"], second["balance"]) == (held.id, 700)
        on_the_phone = buy(conn, program, who, what, channel="in_store")
        assert told(conn, who, REWARD_REDEEMED_IN_STORE) == []
        mark_used(conn, program, on_the_phone.id, location_id=shop, actor="Ana", device_id="till 2")
        at_the_till = buy(conn, program, who, what, channel="in_store", location_id=shop, actor="Ben")
        mark_used(conn, program, at_the_till.id)
        shown = [
            (each["redemptionId"], each["locationName"], each["staffId"], each["deviceId"])
            for each in told(conn, who, REWARD_REDEEMED_IN_STORE)
        ]
        assert shown == [
            (on_the_phone.id, "Malasaña", "Ana", "till 2"),
            (at_the_till.id, "Malasaña", "Ben", None),
        ]

    await database.write(story)


async def test_what_a_merchant_changes_holds_for_the_next_one_and_reaches_every_process(
    database: Database, program: Program, sealer: Sealer
) -> None:
    def version(conn: Connection) -> int:
        loaded = load_program(conn, SLUG, sealer)
        assert loaded is not None
        return loaded.version

    def story(conn: Connection) -> None:
        who = a_member(conn, program, 300)
        what = offer(conn, program, stock=9)
        before = buy(conn, program, who, what)
        kept, was = version(conn), find_reward(conn, program.id, what)
        assert was is not None
        assert change_reward(conn, program.id, msgspec.structs.replace(was, cost=50, stock=1))
        assert version(conn) == kept + 1
        assert buy(conn, program, who, what).cost == 50
        assert version(conn) == kept + 2, "the last one is gone, and pages say so"
        assert find_redemption(conn, program.id, before.id) == before
        assert find_redemption(conn, program.id, before.id, new_id()) is None
        assert not change_reward(conn, program.id, msgspec.structs.replace(was, id=new_id()))
        assert not retire_reward(conn, new_id(), what), "another programme's reward is none"

    await database.write(story)


async def test_a_reward_that_comes_within_reach_is_told_of_once_for_each_crossing_if_it_can_be_had(
    database: Database, program: Program, sealer: Sealer
) -> None:
    """B24."""

    def story(conn: Connection) -> None:
        who = a_member(conn, program, 90)
        cost = {"cost": 95}
        mine = {
            offer(conn, program, **cost): "ready",
            offer(conn, program, cost=5, redeemable_from=95): "ready",
            offer(conn, program, **cost, stock=0): "sold out",
            offer(conn, program, **cost, tier_level=2): "for others",
            offer(conn, program, **cost, ends_at=utc_now()): "over",
            offer(conn, program, cost=80): "within reach before",
        }
        now_offered = load_program(conn, SLUG, sealer)
        assert now_offered is not None
        for _ in range(3):
            earn(conn, now_offered, who, 5, an_order())
        heard = [
            mine[each["rewardId"]] for each in told(conn, who, REWARD_AVAILABLE) if each["rewardId"] in mine
        ]
        assert heard == ["ready", "ready"]

    await database.write(story)


def redeem_until_killed(url: str, people: list[str], what: str) -> None:
    """Another process, in the middle of one of the steps whenever it is killed."""

    async def work() -> None:
        database = open_database(url)
        program = await database.read(load_program, SLUG, Sealer((SECRET,)))
        assert program is not None
        for number in range(10**6):
            who = people[number % len(people)]
            try:
                held = await database.write(buy, program, who, what, hold=True)
                if number % 3:
                    await database.write(issue, program, held.id)
                if number % 2:
                    await database.write(cancel, program, held.id, BACK)
            except LedgerError:
                await database.write(earn, program, who, 100, an_order())

    asyncio.run(work())


async def test_a_process_killed_at_any_step_loses_no_point_and_doubles_none(
    database_url: str, database: Database, program: Program
) -> None:
    """C27: what it held is given back by the clock, what it issued is there, and everything adds up."""
    people = [await database.write(a_member, program, 500) for _ in range(3)]
    what = await database.write(offer, program, stock=10**6)
    process = multiprocessing.get_context("spawn").Process(
        target=redeem_until_killed, args=(database_url, people, what)
    )
    process.start()

    def done(conn: Connection) -> int:
        return sum(len(redemptions_of(conn, program.id, who)) for who in people)

    async with asyncio.timeout(30):
        # What it waits for happens in another process.
        while await database.read(done) < 6:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    process.kill()
    process.join()
    later = utc_now() + timedelta(minutes=RESERVED_MINUTES + 1)
    for _, which in await database.read(due_redemptions, later, 1000):
        await database.write(lapse, program, which, later)

    def check(conn: Connection) -> None:
        assert done(conn) >= 6
        paid = 0
        for who in people:
            held = find_balance(conn, program.id, who)
            assert held is not None
            had = count_of(conn, program, who, what, "life", utc_now())
            assert held.reserved == 0
            assert held.available == held.lifetime_earned - 100 * had == in_lots(conn, program, who)
            paid += had
        assert stock_of(conn, program, what) == 10**6 - paid

    await database.read(check)


async def test_what_pages_tills_and_the_clock_look_for_has_its_index(
    database: Database, program: Program
) -> None:
    looks: list[tuple[Any, str]] = [
        (lambda conn: counts_for(conn, program, new_id(), utc_now()), "ix_redemption_counts"),
        (lambda conn: redemptions_of(conn, program.id, new_id(), before=new_id()), "redemption_customer"),
        (lambda conn: redemptions_in(conn, program.id, "1001"), "ix_redemption_order"),
        (lambda conn: due_redemptions(conn, utc_now(), 10), "ix_redemption_running"),
        (lambda conn: take_code(conn, program.id, new_id(), new_id()), "ix_pool_code_free"),
    ]
    for look, index in looks:
        plan = await database.write(plan_of, look)
        assert re.search(index, plan), plan
        assert not reads_a_whole_table(plan), plan
