"""E-mail addresses and phone numbers as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.provisional import domains

from web.foundation.address import (
    BadEmailError,
    BadPhoneError,
    Email,
    inbox_key,
    mask_email,
    mask_phone,
    parse_email,
    parse_phone,
)

LOCALS = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9+_-]|\.(?=[A-Za-z0-9])){0,20}", fullmatch=True)
ADDRESSES = st.builds(
    "{}@{}".format, LOCALS, st.sampled_from(["example.com", "Correo.ES", "gmail.com", "a.b.co.uk"])
)


@pytest.mark.parametrize(
    ("typed", "value", "key"),
    [
        ("ana@example.com", "ana@example.com", "ana@example.com"),
        ("  Ana.Lopez@Example.COM\n", "Ana.Lopez@example.com", "ana.lopez@example.com"),
        ("ana+brew@example.co.uk", "ana+brew@example.co.uk", "ana+brew@example.co.uk"),
        ("ana@españa.es", "ana@xn--espaa-rta.es", "ana@xn--espaa-rta.es"),
        ("ana@ESPAÑA.es", "ana@xn--espaa-rta.es", "ana@xn--espaa-rta.es"),
        ("ana@xn--espaa-rta.es", "ana@xn--espaa-rta.es", "ana@xn--espaa-rta.es"),
    ],
)
def test_an_address_is_kept_as_typed_and_known_in_any_case(typed: str, value: str, key: str) -> None:
    assert parse_email(typed) == Email(value, key)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        (" \t\n", "empty"),
        ("ana", "no_at"),
        ("ana＠example.com", "no_at"),
        ("@example.com", "bad_local"),
        ("ana lopez@example.com", "bad_local"),
        ("ana..lopez@example.com", "bad_local"),
        ("ana@lopez@example.com", "bad_local"),
        ('"ana lopez"@example.com', "bad_local"),
        ("Ana <ana@example.com>", "bad_domain"),
        ("josé@gmail.com", "accented_local"),
        ("аna@example.com", "accented_local"),
        ("ana@", "bad_domain"),
        ("ana@gmail", "bad_domain"),
        ("ana@gmail.com.", "bad_domain"),
        ("ana@gmail,com", "bad_domain"),
        ("ana@-x.com", "bad_domain"),
        ("ana@localhost", "bad_domain"),
        ("ana@[127.0.0.1]", "bad_domain"),
        ("ana\0@example.com", "bad_character"),
        ("ana@exam\nple.com", "bad_character"),
        ("ana@example.com\nBcc: all@example.com", "bad_character"),
        ("ana\u202e@example.com", "bad_character"),
        ("ana@exa\u200bmple.com", "bad_character"),
        ("ana\ud800@example.com", "bad_character"),
        ("a" * 65 + "@example.com", "bad_local"),
        ("a@" + "b" * 64 + ".com", "bad_domain"),
        ("a@" + "b." * 130 + "com", "too_long"),
        ("a" * 1_000_000, "too_long"),
    ],
    ids=lambda value: value[:30],
)
def test_what_mail_cannot_reach_says_why(typed: str, code: str) -> None:
    with pytest.raises(BadEmailError) as refusal:
        parse_email(typed)
    assert refusal.value.code == code


@given(st.one_of(st.text(max_size=80), st.text(alphabet='a.@+\0 é<>"', max_size=30)))
def test_any_text_is_an_address_that_servers_take_or_is_refused(text: str) -> None:
    try:
        email = parse_email(text)
    except BadEmailError:
        return
    assert email.value.isascii()
    assert email.value.isprintable()
    assert len(email.value) <= 254
    assert parse_email(email.value) == email
    assert parse_email(email.key).key == email.key == email.key.lower()


@given(ADDRESSES)
def test_one_inbox_in_any_case_has_one_key(address: str) -> None:
    assert parse_email(address.upper()).key == parse_email(address.lower()).key == parse_email(address).key


@given(LOCALS, domains())
def test_a_mask_shows_two_letters_and_the_ending_and_hides_every_length(local: str, domain: str) -> None:
    masked = mask_email(f"{local}@{domain}")
    before, _, after = masked.partition("@")
    assert before == f"{local[0]}•••"
    assert after[-len(domain.rpartition(".")[2]) - 1 :] == f".{domain.rpartition('.')[2]}"
    assert len(after.rpartition(".")[0]) <= 4


def test_masks_look_like_addresses() -> None:
    assert mask_email("ana.lopez@example.com") == "a•••@e•••.com"
    assert mask_email("a@mail.example.co.uk") == "a•••@m•••.uk"
    assert mask_email("ana@xn--espaa-rta.es") == "a•••@•••.es"
    assert mask_phone("+34600123456") == "+34 ••• 56"
    assert mask_phone("+12015550123") == "+1 ••• 23"


@pytest.mark.parametrize(
    "spelling",
    ["ana.lopez@gmail.com", "analopez@gmail.com", "A.n.a.Lopez+shop@Gmail.com", "analopez+@googlemail.com"],
)
def test_spellings_of_one_inbox_count_as_one(spelling: str) -> None:
    assert inbox_key(spelling) == "analopez@gmail.com"


@given(ADDRESSES, st.from_regex(r"[a-z0-9]{0,8}", fullmatch=True))
def test_nobody_gets_a_second_count_by_dots_or_a_plus(address: str, tag: str) -> None:
    local, _, domain = address.partition("@")
    assert inbox_key(f"{local}+{tag}@{domain}") == inbox_key(address)
    assert inbox_key(f"{local[0]}.{local[1:]}@{domain}") == inbox_key(address)
    assert inbox_key(inbox_key(address)) == inbox_key(address)


def test_different_inboxes_count_apart() -> None:
    inboxes = ["ana@gmail.com", "ana@hotmail.com", "anna@gmail.com", "+ana@gmail.com", "+bea@gmail.com"]
    assert len({inbox_key(inbox) for inbox in inboxes}) == len(inboxes)


@pytest.mark.parametrize(
    ("typed", "region", "e164"),
    [
        ("600 123 456", "ES", "+34600123456"),
        ("600-12-34-56", "ES", "+34600123456"),
        ("+34 600 123 456", "ES", "+34600123456"),
        ("0034600123456", "ES", "+34600123456"),
        ("+34 600 123 456", "US", "+34600123456"),
        ("+44 7400 123456", "ES", "+447400123456"),
        ("07400 123456", "GB", "+447400123456"),
        ("(201) 555-0123", "US", "+12015550123"),
        ("\u00a0600\u00a0123\u00a0456 ", "ES", "+34600123456"),
        ("\u202a+34 600 123 456\u202c", "ES", "+34600123456"),
        ("٦٠٠١٢٣٤٥٦", "ES", "+34600123456"),
    ],
)
def test_a_number_is_understood_in_national_and_in_international_form(
    typed: str, region: str, e164: str
) -> None:
    assert parse_phone(typed, region).e164 == e164


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("no", "not_a_number"),
        ("600 FLOWERS", "not_a_number"),
        ("600\x00123456", "not_a_number"),
        ("()-", "not_a_number"),
        ("+999 123 456 789", "no_country"),
        ("600 12", "too_short"),
        ("600 123 456 789 012", "too_long"),
        ("6" * 1000, "too_long"),
        ("123 456 789", "not_valid"),
        ("910 123 456", "cannot_text"),
        ("803 123 456", "cannot_text"),
        ("900 123 456", "cannot_text"),
    ],
    ids=lambda value: value[:30],
)
def test_what_gets_no_message_says_why(typed: str, code: str) -> None:
    with pytest.raises(BadPhoneError) as refusal:
        parse_phone(typed, "ES")
    assert refusal.value.code == code


@given(st.text(alphabet="+0123456789 ()-.;a\0é٣", max_size=45), st.sampled_from(["ES", "US", "MX", "ZZ", ""]))
def test_any_text_is_a_number_that_reads_back_or_is_refused(text: str, region: str) -> None:
    try:
        phone = parse_phone(text, region)
    except BadPhoneError:
        return
    assert parse_phone(phone.e164, "US") == phone
    assert mask_phone(phone.e164).startswith("+")
