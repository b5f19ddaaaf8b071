"""Pages from templates: words are folded in when a template is compiled, values escaped when shown."""

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateAssertionError, TemplateNotFound, UndefinedError
from markupsafe import Markup, escape

from web.foundation.assets import Assets
from web.foundation.languages import Catalogues
from web.foundation.rendering import Renderer
from web.foundation.translation import fill

HEADER = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
SPANISH = {
    "Terms & <rules>": "Términos & <rules>",
    "Hi %(name)s, welcome": "¡Bienvenida, %(name)s!",
    "%(num)s point": ["%(num)s punto", "%(num)s puntos"],
    'Read <a href="%(url)s">this</a>': 'Lee <a href="%(url)s">esto</a>',
    "100%% yours": "100%% tuyo",
    "Not found": "No existe",
    "by %(who)s on %(day)s": "el %(day)s por %(who)s",
}
CODE = 'ngettext("%(num)s point", "%(num)s points", 1)\n' + "\n".join(f"N_({text!r})" for text in SPANISH)

Render = Callable[..., str]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Renders the text of a template in a language: `render(source, locale, **context)`."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "texts.py").write_text(CODE)
    for language in ("ar", "es"):
        folder = tmp_path / "locales" / language / "LC_MESSAGES"
        folder.mkdir(parents=True)
        (folder / "pasito.po").write_text(HEADER)
    fill(tmp_path, {"es": SPANISH})
    (tmp_path / "assets" / "css").mkdir(parents=True)
    (tmp_path / "assets" / "css" / "app.css").write_text('a::before { content: "\'" }')

    def rendered(source: str, locale: str = "en", *, file: str = "page.html", **context: object) -> str:
        (tmp_path / "templates" / file).write_text(source)
        return renderer(tmp_path).render(file, locale, **context)

    return rendered


def renderer(root: Path, *, development: bool = False) -> Renderer:
    assets = Assets.load(root / "assets", root / "node_modules", root / "cache")
    return Renderer(root / "templates", Catalogues.load(root / "locales"), assets, development=development)


class TestTexts:
    def test_the_words_of_a_catalogue_are_escaped(self, render: Render) -> None:
        assert render('<h1>{{ _("Terms & <rules>") }}</h1>', "es") == (
            "<h1>Términos &amp; &lt;rules&gt;</h1>"
        )

    def test_values_are_escaped_and_markup_values_are_not(self, render: Render) -> None:
        page = '{{ _("Hi %(name)s, welcome", name=name) }}'
        assert render(page, "es", name="<b>") == "¡Bienvenida, &lt;b&gt;!"
        assert render(page, "es", name=Markup("<b>Eva</b>")) == "¡Bienvenida, <b>Eva</b>!"

    def test_the_words_are_folded_into_the_compiled_template(self, render: Render) -> None:
        """Where a page has no function `_` left, its words are there all the same."""
        assert render('{{ _("Not found") }}', "es", _=None) == "No existe"

    def test_a_text_with_tags_keeps_them_and_escapes_its_values(self, render: Render) -> None:
        page = '{{ _html("Read <a href=\\"%(url)s\\">this</a>", url=url) }}'
        assert render(page, "es", url='"><script>') == 'Lee <a href="&#34;&gt;&lt;script&gt;">esto</a>'

    def test_a_text_may_be_handed_on_and_is_escaped_once(self, render: Render) -> None:
        page = (
            "{% macro heading(text) %}<h1>{{ text }}</h1>{% endmacro %}"
            '{% set hello = _("Hi %(name)s, welcome", name=name) %}'
            '{{ heading(_("Terms & <rules>")) }}{{ heading(hello) }}'
            '{{ heading(_html("Read <a href=\\"%(url)s\\">this</a>", url=name)) }}'
        )
        assert render(page, "en", name="<b>") == (
            "<h1>Terms &amp; &lt;rules&gt;</h1><h1>Hi &lt;b&gt;, welcome</h1>"
            '<h1>Read <a href="&lt;b&gt;">this</a></h1>'
        )

    def test_a_handed_on_text_around_a_markup_value_is_still_escaped(self, render: Render) -> None:
        page = '{% set t = _("Terms & %(what)s", what=what) %}{{ t }}'
        assert render(page, what=Markup("<i>x</i>")) == "Terms &amp; <i>x</i>"

    def test_placeholders_may_change_their_order(self, render: Render) -> None:
        page = '{{ _("by %(who)s on %(day)s", who="Eva", day=day) }}'
        assert render(page, "en", day=3) == "by Eva on 3"
        assert render(page, "es", day=3) == "el 3 por Eva"

    def test_a_double_percent_sign_is_one(self, render: Render) -> None:
        assert render('{{ _("100%% yours") }}', "es") == "100% tuyo"
        assert render('{{ _("100% yours") }}', "es") == "100% yours"

    def test_a_plain_text_template_is_not_escaped(self, render: Render) -> None:
        page = '{{ _("Terms & <rules>") }} {{ _("Hi %(name)s, welcome", name=who) }} {{ _html("a & b") }}'
        assert render(page, "es", file="mail.txt", who="<x>") == (
            "Términos & <rules> ¡Bienvenida, <x>! a & b"
        )

    def test_indentation_is_left_out_of_pages_and_kept_in_mails(self, render: Render) -> None:
        page = "<ul>\n  {% if items %}\n    <li>{{ items }} <b>x</b></li>\n  {% endif %}\n</ul>"
        assert render(page, items="a\n  b") == "<ul>\n<li>a\n  b <b>x</b></li>\n</ul>"
        assert render(page, items="a", file="mail.txt") == "<ul>\n    <li>a <b>x</b></li>\n</ul>"

    def test_a_text_that_is_not_literal_is_looked_up_when_shown(self, render: Render) -> None:
        assert render("{{ _(title) }}", "es", title="Not found") == "No existe"
        assert render("{{ _(title) }}", "es", title="<x>") == "&lt;x&gt;"

    def test_whatever_a_value_is_nothing_of_it_reaches_the_page_unescaped(
        self, render: Render, tmp_path: Path
    ) -> None:
        render('{{ _("Hi %(name)s, welcome", name=value) }}', value="Eva")
        pages = renderer(tmp_path)

        @given(value=st.text())
        def holds(value: str) -> None:
            shown = pages.render("page.html", "es", value=value)
            assert shown == f"¡Bienvenida, {escape(value)}!"

        holds()


class TestPlurals:
    page = '{{ ngettext("%(num)s point", "%(num)s points", n) }}'

    def test_the_number_is_written_as_the_region_does(self, render: Render) -> None:
        assert render(self.page, "es", n=1) == "1 punto"
        assert render(self.page, "es", n=12345) == "12.345 puntos"
        assert render(self.page, "es-MX", n=12345) == "12,345 puntos"

    def test_a_language_with_more_forms_picks_the_right_one(self, render: Render, tmp_path: Path) -> None:
        forms = ["none", "one", "two", "few %(num)s", "many %(num)s", "other %(num)s"]
        fill(tmp_path, {"ar": {"%(num)s point": forms}})
        shown = [render(self.page, "ar", n=n) for n in (0, 1, 2, 3, 100, 11)]
        assert shown == ["none", "one", "two", "few 3", "many 100", "other 11"]

    def test_other_values_may_stand_beside_the_number(self, render: Render) -> None:
        page = '{{ ngettext("%(who)s has %(num)s", "%(who)s have %(num)s", n, who=who, num="<" ~ n) }}'
        assert render(page, n=2, who="A & B") == "A &amp; B have &lt;2"


class TestMistakes:
    """A template with one of these does not compile, so the server does not start with it."""

    @pytest.mark.parametrize(
        ("page", "fault"),
        [
            ('\n{{ _("Hi %(name)s, welcome") }}', "needs a value for 'name'"),
            ('\n{{ ngettext("%(who)s", "%(who)s", 1) }}', "needs a value for 'who'"),
            ("\n{{ _html(title) }}", "one literal text"),
            ('\n{{ asset("css/none.css") }}', "no asset 'css/none.css'"),
        ],
    )
    def test_a_mistake_is_found_at_the_start_with_its_place(
        self, render: Render, tmp_path: Path, page: str, fault: str
    ) -> None:
        (tmp_path / "templates" / "page.html").write_text(page)
        with pytest.raises(TemplateAssertionError, match=fault) as caught:
            renderer(tmp_path)
        assert (caught.value.name, caught.value.lineno) == ("page.html", 2)

    def test_an_unknown_name_is_an_error(self, render: Render) -> None:
        with pytest.raises(UndefinedError, match="customer"):
            render("{{ customer }}")

    def test_an_unknown_template_is_an_error(self, render: Render, tmp_path: Path) -> None:
        with pytest.raises(TemplateNotFound):
            renderer(tmp_path).render("none.html", "en")


class TestFilters:
    noon = dt.datetime(2026, 12, 31, 23, 30, tzinfo=dt.UTC)

    def test_values_are_written_as_the_region_does(self, render: Render) -> None:
        page = '{{ 1234|number }} {{ 1250|decimal(2) }} {{ 1250|money("EUR", 2) }}'
        assert render(page, "en") == "1,234 12.50 €12.50"
        assert render(page, "es") == "1.234 12,50 12,50\N{NO-BREAK SPACE}€"

    def test_moments_are_shown_in_the_contexts_time_zone_or_their_own(self, render: Render) -> None:
        page = '{{ at|date("long") }} {{ at|time }} {{ at|date(timezone="UTC") }}'
        assert render(page, "es", at=self.noon, timezone="Europe/Madrid") == (
            "1 de enero de 2027 0:30 31 dic 2026"
        )

    def test_a_moment_without_a_time_zone_is_an_error(self, render: Render) -> None:
        with pytest.raises(ValueError, match="time zone"):
            render("{{ at|date }}", at=self.noon)


class TestSurroundings:
    def test_the_page_knows_its_language_and_direction(self, render: Render) -> None:
        page = '<html lang="{{ lang }}" dir="{{ dir }}">'
        assert render(page, "ar") == '<html lang="ar" dir="rtl">'
        assert render(page, "es-MX") == '<html lang="es-MX" dir="ltr">'
        assert render(page, "fr") == '<html lang="en" dir="ltr">'

    def test_the_style_sheet_is_written_as_it_is(self, render: Render) -> None:
        assert render("<style>{{ stylesheet }}</style>") == '<style>a::before{content:"\'"}</style>'

    def test_an_asset_is_named_by_its_content(self, render: Render) -> None:
        assert render('{{ asset("css/app.css") }}').startswith("/assets/css/app.")

    def test_htmx_is_left_out_where_it_is_not_installed(self, render: Render, tmp_path: Path) -> None:
        page = '{% if htmx %}<script src="{{ htmx }}" defer></script>{% endif %}'
        assert render(page) == ""
        file = tmp_path / "node_modules" / "htmx.org" / "dist" / "htmx.min.js"
        file.parent.mkdir(parents=True)
        file.write_text("let htmx")
        assert render(page).startswith('<script src="/assets/js/htmx.')

    def test_python_gets_texts_too(self, render: Render, tmp_path: Path) -> None:
        texts = renderer(tmp_path)
        assert texts.text("es-MX", "Not found") == "No existe"
        assert texts.text("es", "Hi %(name)s, welcome", name="<b>") == "¡Bienvenida, <b>!"

    def test_a_changed_template_is_read_again_in_development_only(
        self, render: Render, tmp_path: Path
    ) -> None:
        file = tmp_path / "templates" / "page.html"
        file.write_text("old")
        kept, fresh = renderer(tmp_path), renderer(tmp_path, development=True)
        assert fresh.render("page.html", "en") == "old"
        file.write_text("new")
        later = file.stat().st_mtime + 10
        os.utime(file, (later, later))
        assert kept.render("page.html", "en") == "old"
        assert fresh.render("page.html", "en") == "new"
