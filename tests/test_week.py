"""A week of a programme with phones, with accidents on every day: in the end every phone holds what the ledger says."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import Fresh
from tests.support.apns import ApnsServer
from tests.support.week import live_through


# Starting a process takes longer than the days: `python -m bench week` kills on all of them, with thousands of passes.
@pytest.mark.parametrize(
    ("engine", "people", "killing_on"), [("sqlite", 120, ["thursday"]), ("postgresql", 60, ["tuesday"])]
)
def test_after_a_week_of_accidents_every_phone_holds_the_card_that_the_ledger_says(
    fresh_database: Fresh, data_dir: Path, apns: ApnsServer, engine: str, people: int, killing_on: list[str]
) -> None:
    apns.forget()
    report = asyncio.run(live_through(fresh_database(engine), data_dir, apns, people, killing_on=killing_on))
    assert report.faults == []
    assert report.kills == len(killing_on)
    assert report.losses["request"]
    assert report.losses["answer"]
    assert report.cards_compared > people * 0.7
    assert report.notices > people / 2
