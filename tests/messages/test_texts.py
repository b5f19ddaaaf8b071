"""What the messages say, and what they can never be made to say."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web.foundation.rendering import Renderer
from web.messages import gsm, texts
from web.messages.envelope import Envelope, Message, one_line
from web.messages.mime import wire_mail
from web.messages.texts import Asked, MailBrand

URL = "https://card.example/brewbar/download?token=abc&platform=ios"
SHORT = "https://card.example/brewbar/s/7Kq2mX"
NUMBER = "4021 7730 9816"
ENVELOPE = Envelope(id="0193-a", to="ana@example.com", locale="en", sender="card@brewbar.example")
ASKED = Asked(
    at=datetime(2026, 11, 21, 23, 41, tzinfo=UTC),
    time_zone="Europe/Madrid",
    browser="Safari",
    device="iPhone",
    place="Valencia",
)


def brand(**changed: Any) -> MailBrand:
    fields: dict[str, Any] = {
        "name": "Brew Bar",
        "home_url": "https://card.example/brewbar",
        "brand_colour": "#6b3f2a",
        "on_brand": "#ffffff",
        "points_name": "beans",
        "logo_url": "https://card.example/logo.png",
        "reply_to": "hello@brewbar.example",
        "postal_address": "Carrer de Sueca 12, València",
    }
    return MailBrand(**fields | changed)


class Page(HTMLParser):
    """An HTML mail as a reader sees it: visible words, links, pictures."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self._hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._hidden += tag in ("style", "title")
        if tag in ("p", "div", "br", "h1", "td"):
            self.words += " "

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "title")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data

    @property
    def links(self) -> list[str | None]:
        return [attributes.get("href") for tag, attributes in self.tags if tag == "a"]


def words(text: str) -> set[str]:
    return set(re.findall(r"[\w'’]+", text))


def confirmation(renderer: Renderer, *, by: MailBrand | None = None, **changed: Any) -> Message:
    values = {"customer_name": "Ana", "verify_url": URL, "card_number": NUMBER} | changed
    return texts.confirmation(ENVELOPE, by or brand(), renderer, **values)


def card_link(renderer: Renderer, *, by: MailBrand | None = None, **changed: Any) -> Message:
    return texts.card_link(
        ENVELOPE, by or brand(), renderer, **{"download_url": URL, "asked": ASKED} | changed
    )


def someone_tried(renderer: Renderer, *, by: MailBrand | None = None, **changed: Any) -> Message:
    return texts.someone_tried(
        ENVELOPE, by or brand(), renderer, **{"download_url": URL, "asked": ASKED} | changed
    )


MAILS = [confirmation, card_link, someone_tried]
LINK_MAILS = [card_link, someone_tried]
Compose = Callable[..., Message]


def page_of(message: Message) -> Page:
    assert message.html is not None
    return Page(message.html)


@pytest.mark.parametrize(
    ("compose", "preheader"),
    [
        (confirmation, "One tap confirms your address."),
        (card_link, "Open it on your phone, and the card is one tap away."),
        (someone_tried, "Somebody tried to register with your address."),
    ],
)
def test_html_and_text_say_the_same(compose: Compose, preheader: str, renderer: Renderer) -> None:
    message = compose(renderer)
    page = page_of(message)
    assert {link for link in page.links if link} == set(re.findall(r"https://\S+", message.text))
    assert page.words.lstrip().startswith(preheader)
    only_in_html = words(preheader) | words("If the button does not work, open this address:")
    assert words(message.text) <= words(page.words) <= words(message.text) | only_in_html


@pytest.mark.parametrize("compose", MAILS)
def test_a_mail_has_one_button_and_its_address_in_full_below(compose: Compose, renderer: Renderer) -> None:
    message = compose(renderer)
    page = page_of(message)
    assert [a.get("class") for tag, a in page.tags if tag == "a"].count("button") == 1
    assert page.links == [URL, URL, "https://card.example/brewbar"]
    assert URL in page.words


@pytest.mark.parametrize("compose", MAILS)
def test_a_mail_goes_to_the_customer_from_the_programme(compose: Compose, renderer: Renderer) -> None:
    message = compose(renderer)
    assert (message.id, message.channel, message.to) == ("0193-a", "mail", "ana@example.com")
    assert (message.from_name, message.from_address) == ("Brew Bar", "card@brewbar.example")
    assert message.reply_to == "hello@brewbar.example"
    assert "Brew Bar" in message.subject


@pytest.mark.parametrize("compose", MAILS)
def test_no_holiday_reply_comes_back_and_nobody_can_unsubscribe_from_their_own_links(
    compose: Compose, renderer: Renderer
) -> None:
    headers = compose(renderer).headers
    assert headers == {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}


@pytest.mark.parametrize("compose", MAILS)
def test_a_mail_says_why_it_came_and_who_sent_it(compose: Compose, renderer: Renderer) -> None:
    for said in (message := compose(renderer)).text, page_of(message).words:
        assert "You get this mail because" in said
        assert "you need not do anything" in said
        assert "Carrer de Sueca 12, València" in said


@pytest.mark.parametrize("compose", MAILS)
def test_a_programme_without_logo_and_postal_line_leaves_no_gap(compose: Compose, renderer: Renderer) -> None:
    message = compose(renderer, by=brand(logo_url=None, postal_address=None, reply_to=None))
    assert "img" not in {tag for tag, _ in page_of(message).tags}
    assert "None" not in message.text + (message.html or "")
    assert message.reply_to is None


def test_the_confirmation_greets_and_shows_the_card_number(renderer: Renderer) -> None:
    message = confirmation(renderer)
    assert "Welcome, Ana!" in message.text
    assert f"Card number: {NUMBER}" in message.text
    assert "beans" in message.text
    assert NUMBER in page_of(message).words


def test_the_confirmation_does_without_a_card_number(renderer: Renderer) -> None:
    message = confirmation(renderer, card_number=None)
    assert "Card number" not in message.text + page_of(message).words


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Win 5000 euros at evil.example",
        "https://evil.example",
        "call 600123456",
        "ana@example.com",
        "<b>Ana</b>",
        "A" * 61,
        "{{ 7 * 7 }}",
    ],
)
def test_what_a_stranger_could_advertise_as_a_name_is_not_delivered(name: str, renderer: Renderer) -> None:
    message = confirmation(renderer, customer_name=name)
    assert "Welcome!" in message.text
    assert not name or name not in message.text + page_of(message).words


@pytest.mark.parametrize(
    "name",
    [
        "José Ángel",
        "O'Donnell",
        "J. R. R. Tolkien",
        "Søren-Åge",
        "李小龍",
        "محمد",
        "Mª Carmen",
        "John Smith 3rd",
    ],
)
def test_names_of_people_are_greeted(name: str, renderer: Renderer) -> None:
    message = confirmation(renderer, customer_name=name)
    assert f"Welcome, {name}!" in message.text
    assert f"Welcome, {name}!" in page_of(message).words


@settings(deadline=None, max_examples=60)
@given(
    name=st.text(st.characters(codec="utf-8"), max_size=80),
    hostile=st.sampled_from(
        ['"><script>alert(1)</script>', "' onload=x", "<img src=x>", "</style><b>", "&lt;"]
    ),
)
def test_no_value_adds_a_tag_or_a_line(renderer: Renderer, name: str, hostile: str) -> None:
    tame = brand(name="Brew Bar", points_name="beans", postal_address="Sueca 12")
    wild = brand(name=hostile + name, points_name=hostile, postal_address=hostile + name)
    asked = Asked(at=ASKED.at, time_zone="UTC", browser=hostile, device=hostile + name, place=hostile + name)
    plain = Asked(at=ASKED.at, time_zone="UTC", browser="a", device="b", place="c")
    for compose, changed, usual in (
        (confirmation, {"customer_name": name + hostile, "card_number": hostile}, {"card_number": "1"}),
        (card_link, {"asked": asked}, {"asked": plain}),
        (someone_tried, {"asked": asked}, {"asked": plain}),
    ):
        message = compose(renderer, by=wild, **changed)
        expected = compose(renderer, by=tame, **usual)
        assert [tag for tag, _ in page_of(message).tags] == [tag for tag, _ in page_of(expected).tags]
        assert one_line(hostile + name) in page_of(message).words
        wire_mail(message)


@pytest.mark.parametrize("compose", LINK_MAILS)
def test_a_link_mail_says_when_with_what_and_where_from_it_was_asked(
    compose: Compose, renderer: Renderer
) -> None:
    message = compose(renderer)
    for said in message.text, page_of(message).words:
        assert "November 22, 2026, 12:41" in said, "23:41 UTC is the next day in Madrid"
        assert "Safari on iPhone" in said
        assert "Valencia" in said


@pytest.mark.parametrize("compose", LINK_MAILS)
@pytest.mark.parametrize(
    ("known", "said"), [({"browser": "Firefox"}, "With: Firefox"), ({"device": "Pixel 9"}, "With: Pixel 9")]
)
def test_a_link_mail_says_only_what_is_known(
    compose: Compose, known: dict[str, str], said: str, renderer: Renderer
) -> None:
    message = compose(renderer, asked=Asked(at=ASKED.at, time_zone="UTC", **known))
    assert said in message.text
    assert "From around" not in message.text + page_of(message).words


@pytest.mark.parametrize("compose", LINK_MAILS)
@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        (None, "The link works once."),
        (1, "The link works for 1 minute."),
        (15, "The link works for 15 minutes."),
        (90, "The link works for 90 minutes."),
        (60, "The link works for 1 hour."),
        (1440, "The link works for 1 day."),
        (10080, "The link works for 7 days."),
    ],
)
def test_a_link_mail_says_how_long_the_link_lives(
    compose: Compose, minutes: int | None, said: str, renderer: Renderer
) -> None:
    message = compose(renderer, minutes=minutes)
    assert said in message.text
    assert said in page_of(message).words


def test_someone_tried_says_so(renderer: Renderer) -> None:
    message = someone_tried(renderer)
    assert message.subject == "You already have a Brew Bar card"
    assert "Somebody has tried to register for Brew Bar with this address." in message.text


@pytest.mark.parametrize("compose", MAILS)
def test_arabic_runs_from_right_to_left_but_addresses_do_not(compose: Compose, renderer: Renderer) -> None:
    arabic = Envelope(id="a", to="ana@example.com", locale="ar", sender="card@brewbar.example")
    kinds: dict[Any, dict[str, Any]] = {confirmation: {"customer_name": "Ana", "verify_url": URL}}
    link: dict[str, Any] = {"download_url": URL, "asked": ASKED}
    message = getattr(texts, compose.__name__)(arabic, brand(), renderer, **kinds.get(compose, link))
    page = page_of(message)
    assert next(attributes for tag, attributes in page.tags if tag == "html") == {"lang": "ar", "dir": "rtl"}
    inner = [attributes for tag, attributes in page.tags if tag == "div" and attributes.get("lang")]
    assert [attributes["dir"] for attributes in inner] == ["rtl"], "webmail drops <html> and <body>"
    assert "ltr" in [attributes.get("dir") for tag, attributes in page.tags if tag == "p"]


@pytest.mark.parametrize("colour", ["red", "#fff", "#12345g", "#123456;x:y", 'x" onload="'])
@pytest.mark.parametrize("field", ["brand_colour", "on_brand"])
def test_a_colour_is_a_colour(field: str, colour: str) -> None:
    with pytest.raises(ValueError, match="#rrggbb"):
        brand(**{field: colour})


SMS = [
    (texts.confirmation_sms, "verify_url"),
    (texts.card_link_sms, "download_url"),
    (texts.someone_tried_sms, "download_url"),
]


@pytest.mark.parametrize(("compose", "link"), SMS)
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Brew Bar", "Brew Bar: "),
        ("Café Ñandú – “Ágora”", 'Café Ñandu - "Agora": '),
        ("Panadería " * 20, "Panaderia "),
        ("€" * 100, "€€€€"),
    ],
)
@pytest.mark.parametrize("url", [SHORT, "https://card.example/" + "x" * 39])
@pytest.mark.parametrize("locale", ["en", "es"])
def test_an_sms_names_the_programme_holds_the_link_and_costs_one_part(
    compose: Callable[..., Message],
    link: str,
    name: str,
    shown: str,
    url: str,
    locale: str,
    renderer: Renderer,
) -> None:
    phone = Envelope(id="0193-s", to="+34600000000", locale=locale)
    message = compose(phone, brand(name=name), renderer, **{link: url})
    assert (message.channel, message.to, message.html) == ("sms", "+34600000000", None)
    assert message.text.startswith(shown)
    assert url in message.text.split()
    assert gsm.parts(message.text) == 1


@given(name=st.text(st.characters(codec="utf-8"), max_size=60))
@settings(deadline=None, max_examples=60)
def test_an_sms_stays_one_line(renderer: Renderer, name: str) -> None:
    phone = Envelope(id="0193-s", to="+34600000000", locale="en")
    message = texts.card_link_sms(phone, brand(name=name), renderer, download_url=SHORT)
    assert "\n" not in message.text
    assert "\r" not in message.text
