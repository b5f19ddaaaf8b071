"""No change is missed: whatever a phone was told of before, in whatever order changes come to be seen."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import Engine, make_url

from tests.conftest import SECRET, Fresh
from tests.loyalty.people import new_customer
from tests.support.rows import in_database
from web.demo import SLUG
from web.foundation.sealing import Sealer
from web.loyalty import wallet_pass as rooms
from web.loyalty.installation import register_device
from web.loyalty.program import load_program
from web.loyalty.wallet_pass import card_changed, pass_for
from web.passkit.registrations import OF_DEVICE
from web.passkit.tag import MOST_WRITTEN_OUT, Held, changed_since, tag_of

SERIALS = st.uuids().map(str)
VERSIONS = st.integers(0, 2**33)
HOLDINGS = st.dictionaries(SERIALS, VERSIONS, max_size=2 * MOST_WRITTEN_OUT)


def held(versions: dict[str, int]) -> list[Held]:
    return [Held(*each) for each in versions.items()]


@given(HOLDINGS, st.data())
def test_what_differs_from_what_was_told_is_told_and_little_else(told: dict[str, int], data: Any) -> None:
    tag = tag_of(held(told))
    later = {serial: version for serial, version in told.items() if data.draw(st.booleans())}
    changed = [serial for serial in later if data.draw(st.booleans())]
    later |= {serial: later[serial] + data.draw(st.integers(1, 1000)) for serial in changed}
    later |= data.draw(st.dictionaries(SERIALS, VERSIONS, max_size=3))
    answer = set(changed_since(tag, held(later)))
    must = {serial for serial in later if told.get(serial) != later[serial]}
    assert must <= answer <= later.keys()
    if len(told) <= MOST_WRITTEN_OUT:
        assert answer == must
    elif later == told:
        assert not answer


@given(HOLDINGS, st.text(max_size=300) | st.sampled_from(["", "all-", ".", "-", "0"]))
def test_a_tag_that_says_nothing_is_answered_with_everything(now: dict[str, int], tag: str) -> None:
    assert changed_since(tag, held(now)) == list(now)


@given(HOLDINGS, st.randoms())
def test_it_is_short_and_may_stand_in_an_address_in_whatever_order_rows_come(
    now: dict[str, int], chance: Any
) -> None:
    passes = held(now)
    tag = tag_of(passes)
    chance.shuffle(passes)
    assert tag_of(passes) == tag
    assert len(tag) < 700
    assert all(sign.isalnum() or sign in "-." for sign in tag)


# Two writers whose transactions commit when it pleases them, and a phone that asks at any moment between.
STEPS = st.lists(
    st.sampled_from(
        [
            "change 0",
            "change 1",
            "commit 0",
            "commit 1",
            "ask",
            "ask",
            "the clock goes back",
            "a second passes",
        ]
    ),
    max_size=25,
)


class Wallet:
    """A phone with a card of each writer's; fetches whatever it is told of."""

    def __init__(self, engine: Engine, device: str) -> None:
        self.engine, self.device = engine, device
        self.tag = ""
        self.shown: dict[str, int] = {}

    def asks(self) -> None:
        with self.engine.connect() as conn:
            now = self.committed(conn)
            changed = changed_since(self.tag, [Held(*each) for each in now.items()])
            if changed:
                self.tag = tag_of([Held(*each) for each in now.items()])
                # As it is when it is fetched, which is later than when it was told of.
                self.shown |= {
                    serial: version for serial, version in self.committed(conn).items() if serial in changed
                }
            assert self.shown == self.committed(conn)

    def committed(self, conn: Connection) -> dict[str, int]:
        return {row.id: row.version for row in conn.execute(OF_DEVICE, {"device": self.device})}


def test_a_phone_that_asks_between_late_commits_misses_none(
    fresh_database: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database("postgresql")
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg"), isolation_level="READ COMMITTED"
    )

    def issue(conn: Connection) -> list[tuple[str, str]]:
        program = load_program(conn, SLUG, Sealer((SECRET,)))
        assert program is not None
        passes = [pass_for(conn, program.id, new_customer(conn, program), "apple") for _ in range(2)]
        for each in passes:
            register_device(conn, each, program.id, "the phone", "ab" * 32)
        return [(program.id, each.customer_id) for each in passes]

    customers = in_database(url, issue)
    clock = [1_800_000_000.0]
    monkeypatch.setattr(rooms, "time", SimpleNamespace(time=lambda: clock[0]))

    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
    )
    @given(STEPS)
    def run(steps: list[str]) -> None:
        writers = [engine.connect() for _ in customers]
        phone = Wallet(engine, "the phone")
        try:
            for step in [*steps, "commit 0", "commit 1", "ask"]:
                match step.split():
                    case ["change", number]:
                        card_changed(writers[int(number)], *customers[int(number)])
                    case ["commit", number]:
                        writers[int(number)].commit()
                    case ["ask"]:
                        phone.asks()
                    case ["the", *_]:
                        clock[0] -= 100
                    case _:
                        clock[0] += 1
        finally:
            for writer in writers:
                writer.close()

    try:
        run()
    finally:
        engine.dispose()
