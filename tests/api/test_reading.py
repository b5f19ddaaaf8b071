"""What callers send is read strictly: what does not fit is pointed at, and nothing else gets through."""

import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from web.api.problems import Problem
from web.api.reading import read_json, read_query
from web.api.shapes import Input, minor_units


class Inner(Input):
    amount: Annotated[int, Meta(ge=1, le=100)]
    note: str = ""


class Body(Input):
    name: Annotated[str, Meta(min_length=1, max_length=10)]
    items: tuple[Inner, ...] = ()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"name":"a","items":[{"amount":1},{"amount":"2"}]}', "/items/1/amount"),
        (b'{"name":"a","items":[{"amount":3.0}]}', "/items/0/amount"),
        (b'{"name":"a","items":[{"amount":true}]}', "/items/0/amount"),
        (b'{"name":"a","items":[{"amount":101}]}', "/items/0/amount"),
        (b'{"name":"a","items":[{"amount":99999999999999999999999999}]}', "/items/0/amount"),
        (b'{"name":"a","itms":[]}', "/itms"),
        (b'{"items":[]}', "/name"),
        (b'{"name":"a","items":[{"amount":1,"x/y~z":1}]}', "/items/0/x~1y~0z"),
        (b'{"name":null}', "/name"),
        (b'{"name":"a\\u0000b"}', "/name"),
        (b'{"name":"a\\u202eb"}', "/name"),
        (b'{"name":"a\\n"}', "/name"),
        (b"[]", ""),
        (b"null", ""),
    ],
)
def test_a_value_that_does_not_fit_is_pointed_at(body: bytes, pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        read_json(body, Body)
    assert (caught.value.kind, caught.value.faults[0].pointer) == ("invalid", pointer)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"name":"a"}x',
        b'{"name":"a","name":"b"}',
        b'{"name":"a","items":[{"amount":1,"amount":1}]}',
        b'{"name":"\xff"}',
        b'\xef\xbb\xbf{"name":"a"}',
        b'{"name":NaN}',
        b'{"name":Infinity}',
        b"[" * 100_000,
        b'{"name":' + b"[" * 40 + b"]" * 40 + b"}",
        b'{"name":1' + b"0" * 5000 + b"}",
        b"'single'",
        b'{"name":"a\nb"}',
    ],
)
def test_what_is_no_json_is_answered_with_400(body: bytes) -> None:
    with pytest.raises(Problem) as caught:
        read_json(body, Body)
    assert caught.value.kind == "bad-request"


@pytest.mark.parametrize("escape", [rb"\ud800", rb"\udfff", rb"\udc00\ud800"])
def test_lone_surrogates_are_refused(escape: bytes) -> None:
    with pytest.raises(Problem) as caught:
        read_json(b'{"name":"' + escape + b'"}', Body)
    assert caught.value.kind in ("bad-request", "invalid")


def test_emoji_and_line_ends_within_a_text_are_fine() -> None:
    assert read_json(rb'{"name":"\ud83d\ude00 a\nb"}', Body).name == "😀 a\nb"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(_VALUES)
def test_whatever_comes_is_read_or_is_a_problem(value: Any) -> None:
    assert isinstance(read_or_problem(json.dumps(value).encode()), Body | Problem)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_read_or_are_a_problem(body: bytes) -> None:
    assert isinstance(read_or_problem(body), Body | Problem)


def read_or_problem(body: bytes) -> Body | Problem:
    try:
        return read_json(body, Body)
    except Problem as problem:
        return problem


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 50
    cursor: str | None = None


@pytest.mark.parametrize(
    ("pairs", "parameter"),
    [
        ([("limit", "x")], "limit"),
        ([("limit", "0")], "limit"),
        ([("limit", "1"), ("limit", "2")], "limit"),
        ([("lmit", "1")], "lmit"),
        ([("cursor", "\x00")], "cursor"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named(pairs: list[tuple[str, str]], parameter: str) -> None:
    with pytest.raises(Problem) as caught:
        read_query(pairs, Query)
    assert caught.value.faults[0].parameter == parameter


def test_an_empty_parameter_is_none() -> None:
    assert read_query([("limit", ""), ("cursor", "")], Query) == Query()


@pytest.mark.parametrize(
    ("given_", "scale", "minor"),
    [
        (3, 0, 3),
        (3.0, 0, 3),
        (-10, 0, -10),
        (3.14, 2, 314),
        (100000.34, 2, 10000034),
        (0.1, 2, 10),
        (1e3, 0, 1000),
    ],
)
def test_an_amount_is_taken_as_it_was_written(given_: float, scale: int, minor: int) -> None:
    assert minor_units(given_, scale, "/balance") == minor


@pytest.mark.parametrize(("given_", "scale"), [(3.7, 0), (1.005, 2), (0.001, 2), (1e-9, 0)])
def test_more_decimals_than_the_programme_has_are_refused_unless_they_may_be_cut(
    given_: float, scale: int
) -> None:
    with pytest.raises(Problem):
        minor_units(given_, scale, "/balance")
    assert minor_units(given_, scale, "/balance", coerce=True) == int(given_ * 10**scale + 1e-9)


@given(st.integers(-(10**14), 10**14))
def test_every_amount_of_hundredths_survives_the_way_there_and_back(minor: int) -> None:
    written = json.dumps(minor / 100)
    assert minor_units(msgspec.json.decode(written, type=float), 2, "") == minor
