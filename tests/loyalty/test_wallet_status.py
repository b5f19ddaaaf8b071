"""Who has the card in a wallet, and whom a merchant may remind (facts 5.3)."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, get_args

from sqlalchemy import Connection, insert, update

from tests.loyalty.people import a_phone, new_customer
from tests.support.plans import gather_statistics, plan_of, reads_a_whole_table
from web.foundation.database import Database
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer, random_code
from web.loyalty.booking import Order
from web.loyalty.consent import Decision, record_decisions
from web.loyalty.customer import customer
from web.loyalty.directory import find_entrant, list_entrants
from web.loyalty.installation import mark_installed, mark_uninstalled
from web.loyalty.link import make_link, one_time_link, use_link
from web.loyalty.merging import merge
from web.loyalty.personal_data import erase_customer
from web.loyalty.program import Program
from web.loyalty.wallet_pass import mark_handed, pass_for, void_passes, wallet_pass
from web.loyalty.wallet_status import CARD_MESSAGES, Segment, WalletStatus, list_segment

SEGMENTS: tuple[Segment, ...] = get_args(Segment)
Happening = Callable[[Connection, Program, str], Any]
A_DAY_AGO = timedelta(hours=24, seconds=1)


def install(platform: Any) -> Happening:
    def happen(conn: Connection, program: Program, person: str) -> None:
        mark_installed(conn, program.id, pass_for(conn, program.id, person, platform).id)

    return happen


def uninstall(platform: Any) -> Happening:
    def happen(conn: Connection, program: Program, person: str) -> None:
        mark_uninstalled(conn, program.id, pass_for(conn, program.id, person, platform).id)

    return happen


def tap_link(ago: timedelta = A_DAY_AGO) -> Happening:
    def happen(conn: Connection, program: Program, person: str) -> None:
        jti = random_code()
        make_link(conn, program, person, "download", jti=jti, created_by="message")
        use_link(conn, program.id, jti, "download")
        conn.execute(
            update(one_time_link).where(one_time_link.c.customer_id == person).values(used_at=utc_now() - ago)
        )

    return happen


def look_at_link(conn: Connection, program: Program, person: str) -> None:
    make_link(conn, program, person, "download", jti=random_code(), created_by="message")


def fetch_card(conn: Connection, program: Program, person: str) -> None:
    mark_handed(conn, program.id, pass_for(conn, program.id, person, "apple"))


def void(conn: Connection, program: Program, person: str) -> None:
    void_passes(conn, program.id, wallet_pass.c.customer_id == person)


def decide(decision: str, channel: str = "email", purpose: str = CARD_MESSAGES) -> Happening:
    def happen(conn: Connection, program: Program, person: str) -> None:
        box = Decision(
            purpose=purpose,
            channel=channel,
            granted=decision == "granted",
            wording_version=1,
            wording_sha256="0" * 64,
        )
        record_decisions(conn, program.id, person, [box], locale="en", refusal=decision)

    return happen


def get_coupon_pass(conn: Connection, program: Program, person: str) -> None:
    row = {
        "program_id": program.id,
        "id": new_id(),
        "customer_id": person,
        "platform": "apple",
        "kind": "coupon",
    }
    state = {"token": "t" * 20, "status": "installed", "version": 1, "created_at": utc_now()}
    conn.execute(insert(wallet_pass).values(**row, **state, installed_at=utc_now()))


NOBODY, EVERYBODY = "", "not_installed never_installed"
# What happened to somebody whom an e-mail reaches and whose pass was issued two days ago; what the directory says of
# them, the wallets that hold their card, and the segments in which they are.
STORIES: list[tuple[str, list[Happening], WalletStatus, str, str]] = [
    ("nothing", [], "never", "", EVERYBODY),
    ("has Apple only", [install("apple")], "installed", "apple", "installed"),
    ("has Google only", [install("google")], "installed", "google", "installed"),
    ("has both", [install("google"), install("apple")], "installed", "apple google", "installed"),
    (
        "left one of two",
        [install("apple"), install("google"), uninstall("google")],
        "installed",
        "apple",
        "installed",
    ),
    ("left", [install("apple"), uninstall("apple")], "uninstalled", "", "not_installed uninstalled"),
    (
        "came back",
        [install("apple"), uninstall("apple"), install("apple")],
        "installed",
        "apple",
        "installed",
    ),
    ("lost the card", [install("apple"), void], "uninstalled", "", "not_installed uninstalled"),
    ("tapped", [tap_link()], "requested", "", f"{EVERYBODY} requested_not_installed"),
    ("fetched it", [fetch_card], "requested", "", f"{EVERYBODY} requested_not_installed"),
    ("tapped just now", [tap_link(timedelta(hours=23))], "requested", "", EVERYBODY),
    ("tapped and took it", [tap_link(), install("apple")], "installed", "apple", "installed"),
    ("only got a link", [look_at_link], "never", "", EVERYBODY),
    ("withdrew", [decide("granted"), decide("withdrawn")], "never", "", NOBODY),
    ("withdrew everything", [decide("withdrawn", "any")], "never", "", NOBODY),
    ("refused", [decide("refused")], "never", "", EVERYBODY),
    ("withdrew and came back", [decide("withdrawn"), decide("granted")], "never", "", EVERYBODY),
    ("withdrew text messages", [decide("withdrawn", "sms")], "never", "", EVERYBODY),
    ("withdrew the news", [decide("withdrawn", purpose="news")], "never", "", EVERYBODY),
    ("tapped and withdrew", [tap_link(), decide("withdrawn")], "requested", "", NOBODY),
    ("withdrew, and has it", [install("google"), decide("withdrawn")], "installed", "google", "installed"),
    ("has a coupon's pass", [get_coupon_pass], "never", "", EVERYBODY),
]


def a_person(conn: Connection, program: Program, **how: Any) -> str:
    person = new_customer(conn, program, **how)
    conn.execute(
        update(wallet_pass)
        .where(wallet_pass.c.customer_id == person)
        .values(created_at=utc_now() - 2 * A_DAY_AGO)
    )
    return person


def where_they_are(conn: Connection, program: Program) -> dict[str, str]:
    """The segments of each customer, a page of two at a time."""
    found: dict[str, list[str]] = {}
    for segment in SEGMENTS:
        after: str | None = None
        while page := list_segment(conn, program.id, segment, after=after, most=2):
            for each in page:
                found.setdefault(each.id, []).append(segment)
            after = page[-1].id
    return {person: " ".join(segments) for person, segments in found.items()}


async def test_everybody_is_where_their_story_puts_them(database: Database, program: Program) -> None:
    def tell(conn: Connection) -> None:
        people = {}
        for name, story, *_ in STORIES:
            people[name] = a_person(conn, program)
            for happening in story:
                happening(conn, program, people[name])
        segments = where_they_are(conn, program)
        by_status = {
            status: {each.id for each in list_entrants(conn, program.id, most=99, wallet_status=status)}
            for status in get_args(WalletStatus)
        }
        for name, _, status, platforms, where in STORIES:
            person = people[name]
            told = find_entrant(conn, program.id, person)
            assert told is not None
            assert (told.wallet_status, " ".join(told.wallet_platforms)) == (status, platforms), name
            assert segments.get(person, NOBODY) == where, name
            assert [each for each, members in by_status.items() if person in members] == [status], name

    await database.write(tell)


async def test_who_is_reached_by_phone_is_asked_about_text_messages(
    database: Database, program: Program
) -> None:
    def tell(conn: Connection) -> None:
        phone, other, both = (a_person(conn, program, phone=a_phone()) for _ in range(3))
        decide("withdrawn", "sms")(conn, program, phone)
        decide("withdrawn", "email")(conn, program, other)
        decide("withdrawn", "sms")(conn, program, both)
        address = f"{both}@example.org"
        conn.execute(update(customer).where(customer.c.id == both).values(email=address, email_key=address))
        segments = where_they_are(conn, program)
        assert [segments.get(person, NOBODY) for person in (phone, other, both)] == [
            NOBODY,
            EVERYBODY,
            EVERYBODY,
        ]

    await database.write(tell)


async def test_the_erased_and_the_merged_are_nowhere(
    database: Database, program: Program, sealer: Sealer
) -> None:
    def tell(conn: Connection) -> None:
        gone, merged, survivor = (a_person(conn, program) for _ in range(3))
        install("apple")(conn, program, gone)
        erase_customer(conn, program.id, gone, sealer)
        merge(conn, program, merged, survivor, Order(key=None, reason="", source="support"))
        segments = where_they_are(conn, program)
        assert [segments.get(person, NOBODY) for person in (gone, merged, survivor)] == [
            NOBODY,
            NOBODY,
            EVERYBODY,
        ]

    await database.write(tell)


async def test_nobody_of_another_programme_is_told(database: Database, program: Program) -> None:
    await database.write(a_person, program)
    for segment in SEGMENTS:
        assert await database.read(list_segment, new_id(), segment) == []


async def test_a_segment_is_one_statement_by_index(database: Database, program: Program) -> None:
    await database.write(gather_statistics)
    for segment in SEGMENTS:
        plan = await database.write(plan_of, partial(list_segment, program_id=program.id, segment=segment))
        assert not reads_a_whole_table(plan), plan
        assert "ix_wallet_pass_customer" in plan or "uq_wallet_pass_living" in plan, plan
