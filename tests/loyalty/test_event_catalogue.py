"""What merchants are promised of each event, and that what is recorded keeps the promise."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from tests.conftest import Fresh
from tests.loyalty.people import new_customer
from tests.support.ledger import an_order
from web.foundation.database import Database
from web.foundation.schema import utc_now
from web.loyalty.birthday import birthdays_due
from web.loyalty.card_request import Asked, request_pass
from web.loyalty.customer import confirm_address, customer
from web.loyalty.due import expire_due
from web.loyalty.event import event
from web.loyalty.event_catalogue import EIGHTEEN, EVENTS, UnknownEvent, check_properties, names_of
from web.loyalty.lot import lot
from web.loyalty.personal_data import erase
from web.loyalty.points import adjust, earn
from web.loyalty.preferences import decide
from web.loyalty.program import Program
from web.loyalty.session import open_session

# events-links-consent 5.1, in its order.
THE_EIGHTEEN = """
Loyalty card installed, Loyalty card uninstalled, Loyalty card opened, Loyalty card clicked, Campaign assigned,
Balance changed, Tier upgraded, Tier downgraded, Reward redeemed (online), Reward redeemed (in-store),
Customer scanned on POS, Referral completed, Account verified, Check-in at location, Customer created,
Customer birthday, Customer tapped, Wallet pass requested
"""


@pytest.fixture
def database_url(fresh_database: Fresh) -> str:
    return fresh_database("sqlite")


def test_the_eighteen_are_those_of_the_documents() -> None:
    assert [*EIGHTEEN] == [name.strip() for name in THE_EIGHTEEN.replace("\n", " ").split(",")]
    assert not any(EVENTS[name].is_extra for name in EIGHTEEN)
    assert all(kind.is_extra for name, kind in EVENTS.items() if name not in EIGHTEEN)


@pytest.mark.parametrize(
    ("spelt", "names"),
    [
        ("Balance changed", ["Balance changed"]),
        ("balance-changed", ["Balance changed"]),
        ("balance_changed", ["Balance changed"]),
        ("reward-redeemed-in-store", ["Reward redeemed (in-store)"]),
        ("Wallet pass installed", ["Loyalty card installed"]),
        ("Customer scanned", ["Customer scanned on POS"]),
        ("Tier changed", ["Tier upgraded", "Tier downgraded"]),
    ],
)
def test_an_event_is_known_under_all_its_names(spelt: str, names: list[str]) -> None:
    assert names_of([spelt]) == names


def test_handles_and_keys_are_unique_and_an_unknown_name_is_told() -> None:
    assert len({kind.handle for kind in EVENTS.values()}) == len(EVENTS) == 32
    with pytest.raises(UnknownEvent, match="lunch"):
        names_of(["lunch", "Balance changed"])


def test_what_is_not_of_the_shape_is_refused() -> None:
    good = {"birthdate": "02-29"}
    check_properties("Customer birthday", good)
    for wrong in ({"birthdate": 229}, {**good, "year": 1990}):
        with pytest.raises(msgspec.ValidationError):
            check_properties("Customer birthday", wrong)


async def test_everything_that_is_recorded_of_a_customer_has_the_shape_that_is_promised(
    database: Database, program: Program
) -> None:
    asked = Asked(browser="Safari", device="iPhone")
    off = msgspec.structs.replace(program.settings.flows, download_message=False)
    quiet = msgspec.structs.replace(program.settings, flows=off)
    morning = datetime(2026, 5, 4, 12, tzinfo=UTC)

    def live(conn: Connection) -> str:
        its = new_customer(conn, program, birthday="1990-05-04")
        confirm_address(conn, program.id, its, "email")
        decide(conn, program, its, {"card_messages"}, "en")
        open_session(conn, program.id, its, path="coupons")
        request_pass(conn, program, its, "asked", asked, "https://cards.example.com")
        request_pass(
            conn,
            msgspec.structs.replace(program, settings=quiet),
            its,
            "dead_link",
            asked,
            "https://cards.example.com",
        )
        conn.execute(update(customer).values(created_at=morning - timedelta(days=900)))
        birthdays_due(conn, program, morning)
        earn(conn, program, its, 10_000, an_order())
        adjust(conn, program, its, -20, an_order())
        conn.execute(update(lot).values(expires_at=utc_now() - timedelta(days=100)))
        expire_due(conn, program, its, utc_now())
        return its

    its = await database.write(live)

    def happened(conn: Connection) -> list[tuple[str, dict[str, object]]]:
        query = select(event.c.name, event.c.properties).where(event.c.customer_id == its)
        return [(row.name, row.properties) for row in conn.execute(query)]

    recorded = await database.read(happened)
    for name, properties in recorded:
        check_properties(name, properties)
    assert {name for name, _ in recorded} >= {
        "Customer created",
        "Account verified",
        "Consent changed",
        "Loyalty card opened",
        "Wallet pass requested",
        "Customer birthday",
        "Balance changed",
        "Points expired",
        "Reward available",
        "Tier upgraded",
    }
    await database.write(erase, program.id, its, [])
    [(name, properties)] = [each for each in await database.read(happened) if each[1]]
    assert name == "Customer erased"
    check_properties(name, properties)
