"""What a merchant may decide about the card, and what is refused with words."""

import msgspec
import pytest

from web.loyalty.card_settings import BackText, CardSettings, CardText
from web.loyalty.program_settings import InvalidProgram, ProgramSettings, check_program

TEXT = {"en": "Free Wi-Fi"}
WIFI = CardText(key="wifi", label=TEXT, value=TEXT)


def problems(**card: object) -> str:
    settings = ProgramSettings(name="Brew Bar", card=msgspec.convert(card, CardSettings))
    try:
        check_program("brewbar", settings)
    except InvalidProgram as error:
        return "\n".join(error.problems)
    return ""


def test_a_card_may_be_laid_out_anew() -> None:
    assert (
        problems(
            header=["tier", "balance"],
            primary=["wifi"],
            secondary=["member_since"],
            auxiliary=[],
            texts=[WIFI],
        )
        == ""
    )


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"header": ["balance"], "secondary": ["balance"]}, "'balance' stands in two places"),
        ({"primary": ["nothing"]}, "'nothing' is no field"),
        ({"texts": [WIFI, WIFI]}, "'wifi' is there twice"),
        ({"texts": [CardText(key="tier", label=TEXT, value=TEXT)]}, "choose another name"),
        ({"texts": [CardText(key="wifi", label={"es": "Wifi"}, value=TEXT)]}, "first language (en)"),
        ({"back": [BackText(title=TEXT, text=TEXT, url="javascript:alert(1)")]}, "card.back.0.url"),
        ({"background": "#777777", "foreground": "#888888"}, "contrast to the background is 1.3 to 1"),
        ({"background": "#ffffff", "label": "#cccccc"}, "card.label"),
    ],
)
def test_what_would_not_do_is_refused_with_words(card: dict[str, object], said: str) -> None:
    assert said in problems(**card)


@pytest.mark.parametrize(
    "card",
    [
        {"header": ["balance", "tier", "member", "missing"]},
        {"primary": ["balance", "tier"]},
        {"barcode": "ean13"},
        {"background": "red"},
        {"beacons": [{"uuid": "not one", "text": TEXT}]},
        {"max_distance": -1},
    ],
)
def test_what_apple_would_not_take_has_no_shape(card: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(card, CardSettings)
