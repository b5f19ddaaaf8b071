"""Which language a person gets, and the texts in it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.languages import Catalogues, choose, direction

ROOT = Path(__file__).parents[2]

SPANISH = r"""
msgid ""
msgstr ""
"Language: es\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

msgid "Hi %(name)s"
msgstr "Hola, %(name)s"

#, fuzzy
msgid "Card"
msgstr "Carta"

msgid "Points"
msgstr ""

msgid "%(num)s point"
msgid_plural "%(num)s points"
msgstr[0] "%(num)s punto"
msgstr[1] "%(num)s puntos"
"""

ARABIC = r"""
msgid ""
msgstr ""
"Language: ar\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: nplurals=6; plural=(n==0 ? 0 : n==1 ? 1 : n==2 ? 2 : n%100>=3 && n%100<=10 ? 3 : "
"n%100>=0 && n%100<=2 ? 4 : 5);\n"

msgid "%(num)s point"
msgid_plural "%(num)s points"
msgstr[0] "zero"
msgstr[1] "one"
msgstr[2] "two"
msgstr[3] "few %(num)s"
msgstr[4] "hundred %(num)s"
msgstr[5] "many %(num)s"
"""


@pytest.fixture
def catalogues(tmp_path: Path) -> Catalogues:
    for language, text in (("es", SPANISH), ("ar", ARABIC)):
        folder = tmp_path / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "pasito.po").write_text(text, encoding="utf-8")
    return Catalogues.load(tmp_path)


class TestChoosing:
    offered = ("en", "es", "ar")

    def test_the_link_goes_before_the_customer_the_browser_and_the_programme(self) -> None:
        assert choose(self.offered, link="ar", customer="es", browser="en") == "ar"
        assert choose(self.offered, customer="es", browser="ar") == "es"
        assert choose(self.offered, browser="ar") == "ar"
        assert choose(("es", "en")) == "es"

    def test_a_language_that_the_programme_does_not_offer_is_passed_over(self) -> None:
        assert choose(self.offered, link="de", customer="fr", browser="it, es;q=0.1") == "es"
        assert choose(("es", "en"), link="de", browser="it") == "es"

    @pytest.mark.parametrize(
        ("browser", "chosen"),
        [
            ("en;q=0.3, es;q=0.8", "es"),
            ("es;q=0.8,ar", "ar"),
            ("es;q=0, ar;q=0.1", "ar"),
            ("de, *;q=0.5", "en"),
            ("es;q=nonsense, ar;q=0.2", "ar"),
            ("es;q=nan, ar;q=0.2", "ar"),
            ("ES-mx", "es"),
            ("x" * 10_000 + ",es", "en"),
            (",;q=1,,;", "en"),
        ],
    )
    def test_the_browser_weighs_its_languages(self, browser: str, chosen: str) -> None:
        assert choose(self.offered, browser=browser) == chosen

    def test_a_region_is_content_with_its_language_and_with_another_region(self) -> None:
        assert choose(("en", "es"), link="es-MX") == "es"
        assert choose(("en", "es-ES", "es-MX"), link="es_MX") == "es-MX"
        assert choose(("en-GB", "es-MX"), link="es") == "es-MX"
        assert choose(("en", "es-MX"), browser="es-AR") == "es-MX"

    @given(st.text(), st.text(), st.text())
    def test_whatever_is_asked_the_answer_is_offered(self, link: str, customer: str, browser: str) -> None:
        assert choose(self.offered, link=link, customer=customer, browser=browser) in self.offered


def test_arabic_runs_from_right_to_left_and_unknown_languages_do_not() -> None:
    assert [direction(tag) for tag in ("ar", "ar-EG", "he", "es", "xx", "", "\0")] == [
        "rtl",
        "rtl",
        "rtl",
        "ltr",
        "ltr",
        "ltr",
        "ltr",
    ]


class TestFinding:
    def test_a_region_gets_its_languages_texts_and_its_own_numbers(self, catalogues: Catalogues) -> None:
        mexican = catalogues.find("es-MX")
        assert mexican.tag == "es-MX"
        assert mexican.gettext("Hi %(name)s", name="Eva") == "Hola, Eva"
        assert mexican.ngettext("%(num)s point", "%(num)s points", 12345) == "12,345 puntos"
        spanish = catalogues.find("es")
        assert spanish.ngettext("%(num)s point", "%(num)s points", 12345) == "12.345 puntos"

    def test_an_unknown_region_falls_back_to_its_language(self, catalogues: Catalogues) -> None:
        assert catalogues.find("es-XX").tag == "es"

    def test_a_language_without_texts_falls_back_to_the_programmes_default_and_then_to_english(
        self, catalogues: Catalogues
    ) -> None:
        assert catalogues.find("fr", "es").tag == "es"
        assert catalogues.find("fr", "de").tag == "en"
        assert catalogues.find("").tag == "en"

    def test_english_is_always_there_and_first(self, catalogues: Catalogues) -> None:
        assert catalogues.languages == ("en", "ar", "es")
        assert catalogues.find("en-GB").ngettext("%(num)s point", "%(num)s points", 1) == "1 point"

    @given(tag=st.text(max_size=60))
    def test_any_tag_finds_a_catalogue(self, tag: str) -> None:
        assert Catalogues({}).find(tag).gettext("Card") == "Card"


class TestTexts:
    def test_each_arabic_number_takes_its_own_form(self, catalogues: Catalogues) -> None:
        arabic = catalogues.find("ar")
        shown = [arabic.ngettext("%(num)s point", "%(num)s points", n) for n in (0, 1, 2, 3, 11, 100, 103)]
        assert shown == ["zero", "one", "two", "few 3", "many 11", "hundred 100", "few 103"]

    def test_an_untranslated_plural_is_english_in_the_languages_own_forms(
        self, catalogues: Catalogues
    ) -> None:
        arabic = catalogues.find("ar")
        assert [arabic.ngettext("%(num)s day", "%(num)s days", n) for n in (0, 1, 2, 50)] == [
            "0 days",
            "1 day",
            "2 days",
            "50 days",
        ]

    def test_fuzzy_and_empty_texts_are_shown_in_english(self, catalogues: Catalogues) -> None:
        spanish = catalogues.find("es")
        assert spanish.gettext("Card") == "Card"
        assert spanish.gettext("Points") == "Points"

    def test_only_named_placeholders_and_double_percent_signs_are_replaced(
        self, catalogues: Catalogues
    ) -> None:
        english = catalogues.find("en")
        assert english.gettext("50 % off %(what)s, 100%% sure", what="%(x)s") == "50 % off %(x)s, 100% sure"

    def test_a_placeholder_without_a_value_is_an_error(self, catalogues: Catalogues) -> None:
        with pytest.raises(KeyError, match="name"):
            catalogues.find("es").gettext("Hi %(name)s")


def test_the_projects_catalogues_can_be_read() -> None:
    assert set(Catalogues.load(ROOT / "locales").languages) == {"en", "es", "ar"}
