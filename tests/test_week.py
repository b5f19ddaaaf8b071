"""A week of a programme with phones, with accidents on every day: in the end every phone holds what the ledger says."""

from pathlib import Path

import pytest

from tests.conftest import Fresh
from tests.support.apns import ApnsServer
from tests.support.week import live_through

PEOPLE = 120


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_after_a_week_of_accidents_every_phone_holds_the_card_that_the_ledger_says(
    fresh_database: Fresh, data_dir: Path, apns: ApnsServer, engine: str
) -> None:
    apns.forget()
    report = await live_through(fresh_database(engine), data_dir, apns, PEOPLE)
    assert report.faults == []
    assert report.kills == 3
    assert report.losses["request"] > 10
    assert report.losses["answer"] > 10
    assert report.cards_compared > PEOPLE * 0.7
    assert report.notices > PEOPLE
