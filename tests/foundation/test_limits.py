"""Limits: each named rule at its border, in memory and in a real Valkey shared by processes."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from limits import parse

from tests.support.ports import free_port
from tests.support.valkey import valkey_server
from web.foundation import limits
from web.foundation.limits import Limits, Rule, TooMany, network_of

RULES = [rule for rule in vars(limits).values() if isinstance(rule, Rule)]


@pytest.fixture(scope="module")
def valkey() -> Iterator[str]:
    with valkey_server() as url:
        yield url


@pytest.fixture(params=["memory", "redis", "valkey"])
async def counting(request: pytest.FixtureRequest) -> AsyncIterator[Limits]:
    if request.param == "memory":
        yield Limits()
    else:
        yield Limits(request.getfixturevalue("valkey").replace("redis", request.param, 1))


async def refusals(limits: Limits, rule: Rule, times: int, *key: str) -> list[TooMany]:
    refused = []
    for _ in range(times):
        try:
            await limits.check(rule, *key)
        except TooMany as too_many:
            refused.append(too_many)
    return refused


def test_every_rule_has_a_name_of_its_own() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES) >= 7


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
async def test_as_many_as_the_rule_says_and_not_one_more(rule: Rule) -> None:
    counting, quota = Limits(), parse(rule.quota)
    assert await refusals(counting, rule, quota.amount, "shop") == []
    [refused] = await refusals(counting, rule, 1, "shop")
    assert refused.rule is rule
    assert 1 <= refused.retry_after <= quota.get_expiry()


async def test_counted_alike_in_memory_and_in_the_store(counting: Limits) -> None:
    rule = Rule(f"border-{time.time()}", "5/minute")
    assert len(await refusals(counting, rule, 8, "a")) == 3


async def test_each_key_and_each_rule_has_a_count_of_its_own(counting: Limits) -> None:
    rule, other = Rule(f"one-{time.time()}", "2/minute"), Rule(f"other-{time.time()}", "2/minute")
    assert len(await refusals(counting, rule, 3, "a")) == 1
    assert await refusals(counting, rule, 2, "b") == []
    assert await refusals(counting, other, 2, "a") == []


async def test_a_window_slides_and_does_not_start_afresh_with_the_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two full quotas around the full minute are what a fixed window lets through."""
    now = 60_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    counting, rule = Limits(), Rule("sliding", "6/minute")
    now += 58
    assert await refusals(counting, rule, 6, "a") == []
    now += 4
    assert len(await refusals(counting, rule, 6, "a")) >= 5


async def test_after_its_time_a_limit_is_open_again(counting: Limits) -> None:
    rule = Rule(f"again-{time.time()}", "1/second")
    [refused] = await refusals(counting, rule, 2, "a")
    assert refused.retry_after <= 2
    await asyncio.sleep(2.05)
    assert await refusals(counting, rule, 1, "a") == []


async def test_processes_count_together_in_a_store(valkey: str) -> None:
    rule = Rule(f"shared-{time.time()}", "4/minute")
    one, other = Limits(valkey), Limits(valkey)
    assert await refusals(one, rule, 2, "a") == []
    assert await refusals(other, rule, 2, "a") == []
    assert len(await refusals(one, rule, 1, "a")) == 1
    assert len(await refusals(other, rule, 1, "a")) == 1


async def test_a_store_that_is_away_refuses_nobody(caplog: pytest.LogCaptureFixture) -> None:
    away = Limits(f"redis://127.0.0.1:{free_port()}/0")
    assert await refusals(away, Rule("away", "1/minute"), 3, "a") == []
    assert "limits are not counted" in caplog.text


async def test_a_store_that_says_nothing_holds_nobody_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        threading.Thread(target=silent.accept, daemon=True).start()
        hanging = Limits(f"valkey://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        assert await refusals(hanging, Rule("hanging", "1/minute"), 2, "a") == []
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("192.0.2.255", "192.0.2.0/24"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("testclient", "unknown"),
        ("", "unknown"),
    ],
)
def test_one_subscriber_is_one_network(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_what_is_left_is_told_alike_in_memory_and_in_the_store(counting: Limits) -> None:
    rule = Rule(f"left-{time.time()}", "3/minute")
    counts = [await counting.count(rule, "a") for _ in range(4)]
    assert [count.left for count in counts] == [2, 1, 0, 0]
    assert [count.refused for count in counts] == [False, False, False, True]
    assert all((count.most, count.seconds) == (3, 60) and 1 <= count.reset_in <= 60 for count in counts)
