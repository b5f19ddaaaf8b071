"""Arrivals: what of an address is kept, and what is not worth a row."""

from hypothesis import given
from hypothesis import strategies as st

from web.loyalty.touch import LONGEST_VALUE, Arrival, read_arrival

HOST = "cards.example.com"


def test_the_five_parameters_and_the_host_that_led_here_are_read() -> None:
    query = {
        "utm_source": "store",
        "utm_medium": "qr",
        "utm_campaign": "autumn",
        "utm_term": "coffee",
        "utm_content": "counter",
        "email": "ana@example.com",
    }
    assert read_arrival(query, "https://news.example/article?id=7", HOST, "/brewbar", "shop") == Arrival(
        source="store",
        medium="qr",
        campaign="autumn",
        term="coffee",
        content="counter",
        location_id="shop",
        referrer_host="news.example",
        landing_path="/brewbar",
    )


def test_our_own_pages_and_broken_addresses_led_nobody_here() -> None:
    for referrer in (f"https://{HOST}/brewbar", "", None, "nonsense", "https://[broken"):
        assert read_arrival({}, referrer, HOST, "/brewbar").referrer_host is None


def test_a_plain_arrival_is_not_worth_keeping_and_any_trace_is() -> None:
    assert not read_arrival({}, None, HOST, "/brewbar").is_worth_keeping
    assert read_arrival({"utm_source": "store"}, None, HOST, "/brewbar").is_worth_keeping
    assert read_arrival({}, "https://news.example", HOST, "/brewbar").is_worth_keeping
    assert not read_arrival({"utm_source": " \n"}, None, HOST, "/brewbar").is_worth_keeping


@given(
    st.dictionaries(st.sampled_from(["utm_source", "utm_campaign", "utm_term"]), st.text()),
    st.text(),
    st.text(),
)
def test_whatever_is_in_an_address_fits_and_can_be_shown(
    query: dict[str, str], referrer: str, path: str
) -> None:
    arrival = read_arrival(query, referrer, HOST, path)
    for value in (arrival.source, arrival.campaign, arrival.term, arrival.referrer_host):
        assert value is None or (0 < len(value) <= LONGEST_VALUE and value.isprintable())
    assert len(arrival.landing_path) <= LONGEST_VALUE
