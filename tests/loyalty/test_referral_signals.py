"""What asks for a look, and what never does: a household shares much, and is not suspected for it."""

import pytest

from web.loyalty.referral_signals import (
    ADVOCATES_ORDER,
    BUSY_NETWORK,
    DISPOSABLE,
    FLAG_AT,
    NOT_FIRST_ORDER,
    OWN_BROWSER,
    REASONS,
    SAME_MINUTES,
    SAME_NAME,
    SHARED_NETWORK,
    SIMILAR_EMAIL,
    WEIGHTS,
    Person,
    Purchase,
    Surroundings,
    are_one_inbox,
    are_similar,
    have_same_name,
    of_joining,
    of_purchase,
    score,
)

BUSY = 10
ANA = Person(email_key="ana.lopez@example.org", name="Ana López Ruiz")
BEN = Person(email_key="ben@example.net", name="Ben Carter")


def joining(friend: Person = BEN, **around: object) -> list[str]:
    return of_joining(ANA, friend, Surroundings(**around), BUSY)  # type: ignore[arg-type]


def test_strangers_give_no_signal() -> None:
    assert joining() == []
    assert (
        of_purchase(ANA, Purchase(ref="1", amount=500, number=1, email="ben@example.net", name="Ben")) == []
    )


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        (joining(Person(email_key="ana.lopez7@example.org")), SIMILAR_EMAIL),
        (joining(week=BUSY), BUSY_NETWORK),
        (of_purchase(ANA, Purchase(ref="1", amount=1, number=2)), NOT_FIRST_ORDER),
        (of_purchase(ANA, Purchase(ref="1", amount=1, email="AnaLopez+x@example.org")), ADVOCATES_ORDER),
        (joining(Person(name="ana lopez RUIZ")), SAME_NAME),
        (joining(Person(email_key="x@mailinator.com")), DISPOSABLE),
        (joining(own_browser=True), OWN_BROWSER),
    ],
)
def test_each_of_these_alone_is_looked_at(signals: list[str], expected: str) -> None:
    assert signals == [expected]
    assert score(signals) >= FLAG_AT


def test_a_family_at_one_table_with_the_same_phones_is_not_suspected() -> None:
    table = joining(Person(name="Luis López"), shares_network=True, within_minutes=True, week=BUSY - 1)
    assert table == [SHARED_NETWORK, SAME_MINUTES]
    assert score(table) < FLAG_AT


def test_a_shared_network_weighs_something_only_beside_others() -> None:
    assert 0 < score([SHARED_NETWORK]) < FLAG_AT - score([SAME_MINUTES])


def test_a_signal_counts_once_and_each_has_its_reason_in_words() -> None:
    assert score([SAME_NAME, SAME_NAME]) == score([SAME_NAME])
    assert WEIGHTS.keys() == REASONS.keys()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ana@example.org", "ana+2@example.org", True),
        ("a.na@gmail.com", "ana+x@googlemail.com", True),
        ("a.na@example.org", "ana@example.org", False),
        ("+ana@example.org", "+ben@example.org", False),
        ("ana@example.org", "ana@example.net", False),
        (None, None, False),
    ],
)
def test_one_inbox_is_only_what_surely_is_one(one: str | None, other: str | None, same: bool) -> None:
    assert are_one_inbox(one, other) is same


@pytest.mark.parametrize(
    ("one", "other", "similar"),
    [
        ("a.na@example.org", "ana@example.org", True),
        ("ana1@example.org", "ana2@example.org", True),
        ("ana.lopez@example.org", "analopez@example.net", True),
        ("maximilian@example.org", "maximiliam@example.org", True),
        ("info@example.org", "info@example.net", False),
        ("ana@example.org", "eva@example.org", False),
        ("12345@example.org", "67890@example.org", False),
        ("maria.garcia@example.org", "pedro.garcia@example.org", False),
        (None, "ana@example.org", False),
    ],
)
def test_addresses_are_similar_in_spite_of_dots_digits_and_a_letter(
    one: str | None, other: str | None, similar: bool
) -> None:
    assert are_similar(one, other) is similar
    assert are_similar(other, one) is similar


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("José Núñez", "NUNEZ Jose", True),
        ("Ana", "Ana", False),
        ("Ana López", "Luis López", False),
        (None, None, False),
    ],
)
def test_a_full_name_is_a_name_and_a_first_name_is_not(
    one: str | None, other: str | None, same: bool
) -> None:
    assert have_same_name(one, other) is same
