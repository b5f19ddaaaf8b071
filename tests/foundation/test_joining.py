"""Templates of several files, compiled as one: they show what they showed apart, and escape all that they show.

In development each file stays apart, as Jinja has it: that is what the joined ones are compared with.
"""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, TemplateAssertionError, UndefinedError, nodes
from markupsafe import Markup, escape

from web.foundation.assets import Assets
from web.foundation.emitting import escaped
from web.foundation.joining import place_blocks
from web.foundation.languages import Catalogues
from web.foundation.rendering import Renderer

FILES = {
    "_macros.html": (
        "{% macro note(id, text) %}{% if text %}<i id='{{ id }}'>{{ text }}</i>{% endif %}{% endmacro %}"
        "{% macro about(id, hint) %}{% if hint %} aria='{{ id }}'{% endif %}{% endmacro %}"
        "{% macro field(id, label, value='', kind='text') %}<label>{{ label }}</label>{{ note(id, value) }}"
        "{% if kind == 'a' %}[a]{% elif kind == 'b' %}[b {{ value }}]{% else %}[{{ kind }}]{% endif %}{% endmacro %}"
        "{% macro pair(a, b) %}{{ a }}-{{ b }}{% endmacro %}"
        "{% macro each(items, value) %}"
        "{% for item in items %}{{ loop.index }}{{ item }}{{ value }};{% endfor %}{% endmacro %}"
        "{% macro sets(value) %}{% set value = value ~ '!' %}{{ value }}{% endmacro %}"
        "{% macro wide(id, hint) %}<p{{ about(id, hint)|replace('aria', 'data') }}>{% endmacro %}"
        "{% macro around(x) %}<b>{{ x }}{{ caller() }}</b>{% endmacro %}"
    ),
    "_part.html": (
        "{% set local = value ~ '?' %}<u>{{ local }}</u>"
        "{% from '_macros.html' import note %}{{ note('n', value) }}"
    ),
    "_plain.html": "({{ value }})",
    "base.html": (
        "<title>{% block title %}{% block short %}{% endblock %} of {{ name }}{% endblock %}</title>"
        "{% block body %}<h1>{{ self.title() }}</h1>{% block main %}nothing{% endblock %}{% endblock %}"
        "{% include '_plain.html' %}"
    ),
    "middle.html": (
        "{% extends 'base.html' %}{% set said = value ~ '.' %}"
        "{% block main %}{{ said }}{% block inner %}{% endblock %}{% endblock %}"
    ),
}
IMPORT = "{% from '_macros.html' import note, field, pair, each, sets, wide, around, pair as two %}"
PAGES = {
    "an included part keeps what it sets to itself": "{% set local = 1 %}{% include '_part.html' %}{{ local }}",
    "a part in a loop sees the loop's own values": "{% for value in items %}{% include '_plain.html' %}{% endfor %}",
    "a macro's arguments stand where they are shown": IMPORT
    + "{{ field('x', value) }}{{ note(value, name) }}",
    "a macro takes named arguments and leaves out defaults": IMPORT
    + "{{ field(label=name, id=value, kind='b') }}",
    "what an argument rules out is not shown": IMPORT
    + "{{ note('x', '') }}{{ field('x', 'l', '', 'a') }}{{ field('x', 'l', name, 'b') }}",
    "arguments may have the names of other parameters": IMPORT
    + "{% set a, b = value, name %}{{ pair(b, a) }}{{ two(b ~ a, a ~ b) }}",
    "an argument may have the name of what the macro loops over": IMPORT
    + "{% for item in items %}{{ each(items, item) }}{{ each(items, loop.index) }}{% endfor %}",
    "a macro that changes a parameter changes nothing outside": IMPORT + "{{ sets(value) }}{{ value }}",
    "a macro within a macro is filtered all the same": IMPORT + "{{ wide(value, name) }}{{ wide('x', '') }}",
    "a macro may be handed a body": IMPORT + "{% call around(value) %}{{ name }}{% endcall %}",
    "a macro may be handed on and filtered": IMPORT
    + "{% set made = note('x', value) %}{{ made }}{{ pair(1, value)|upper }}",
    "a macro of one's own": "{% macro own(x) %}<s>{{ x }}</s>{% endmacro %}{{ own(value) }}{{ own(own(name)) }}",
    "a name that is set again is no macro any more": IMPORT
    + "{% for note in [pair] %}{{ note(1, value) }}{% endfor %}",
    "a child fills the blocks of its parents": (
        "{% extends 'middle.html' %}{% set own = name %}{% block short %}{{ value }}{% endblock %}"
        "{% block inner %}{{ own }}{{ said }}{% endblock %}"
    ),
    "a child may take the place of all": (
        "{% extends 'base.html' %}{% block short %}<{{ value }}{% endblock %}"
        "{% block body %}{{ self.title() }}|{{ self.short() }}{% endblock %}"
    ),
    "a block may go on from its parent's": (
        "{% extends 'middle.html' %}{% block title %}{{ name }}: {{ super() }}{% endblock %}"
        "{% block main %}{{ value }} but {{ super() }}{% endblock %}{% block inner %}{{ value }}{% endblock %}"
    ),
    "a child's imports and sets are there in its blocks": "{% extends 'base.html' %}"
    + IMPORT
    + "{% set title = value %}{% block main %}{{ note(title, name) }}{{ wide(title, 'x') }}{% endblock %}",
    "a value of a dict comes before the dict's own": "{{ view.items }}{{ view.value }}{{ view.get }}",
    "loops may be left out and filtered": "{% for x in items if x != value %}{{ x }},{% else %}{{ name }}{% endfor %}",
}

Same = Callable[[str, dict[str, object]], str]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Same:
    """What a page shows, which is the same joined and apart."""
    root = tmp_path_factory.mktemp("joining")
    for folder in ("templates", "locales", "assets"):
        (root / folder).mkdir()
    names = {name: f"{number}.html" for number, name in enumerate(PAGES)}
    for name, text in {**FILES, **{names[name]: text for name, text in PAGES.items()}}.items():
        (root / "templates" / name).write_text(text)
    assets = Assets.load(root / "assets", root / "node_modules", root / "cache")
    joined, apart = (
        Renderer(root / "templates", Catalogues.load(root / "locales"), assets, development=development)
        for development in (False, True)
    )

    def both(page: str, context: dict[str, object]) -> str:
        one, other = (each.render(names[page], "en", **context) for each in (joined, apart))
        assert one == other
        return one

    return both


def context(value: object, name: object) -> dict[str, object]:
    view = {"items": value, "value": name, "get": value}
    return {"value": value, "name": name, "items": [value, name], "view": view}


@pytest.mark.parametrize("page", PAGES)
def test_joined_and_apart_a_page_shows_the_same_and_all_of_it_escaped(shown: Same, page: str) -> None:
    plain = shown(page, context("Eva", "Brew Bar"))
    assert "Eva" in plain.title() or "Brew Bar" in plain

    for hostile in ("<script>'\"&", Markup("<b>ours</b>"), "", 0, None, "\0{{ value }}"):
        text = shown(page, context(hostile, f"{hostile}"))
        assert "<script>" not in text.lower()
        assert "'\"" not in text


def test_whatever_a_value_is_nothing_of_it_is_shown_unescaped(shown: Same) -> None:
    @given(value=st.text(), page=st.sampled_from(sorted(PAGES)))
    def holds(value: str, page: str) -> None:
        hostile = f"<x>{value}</x>'\"&"
        assert "<x>" not in shown(page, context(hostile, hostile)).lower()

    holds()


def test_an_unknown_name_in_a_part_or_a_macro_is_an_error(shown: Same) -> None:
    for page in (
        "an included part keeps what it sets to itself",
        "a macro's arguments stand where they are shown",
    ):
        with pytest.raises(UndefinedError, match="value"):
            shown(page, {"name": "x"})


@pytest.mark.parametrize(
    "page",
    [
        "{% extends parent %}",
        "{% if parent %}{% extends 'base.html' %}{% endif %}",
        "{% extends 'base.html' %}{% block main %}{% set text = super() %}{% endblock %}",
        "{% extends 'base.html' %}{% block main %}{{ self }}{% endblock %}",
        "{% extends 'base.html' %}{% if parent %}{% set own = 1 %}{% endif %}",
    ],
)
def test_what_could_only_be_told_later_is_found_at_the_start(page: str) -> None:
    def tree(_: str) -> nodes.Template:
        return Environment().parse(FILES["base.html"])

    with pytest.raises(TemplateAssertionError, match="cannot be told"):
        place_blocks(Environment().parse(page), "page.html", tree)


class Own:
    def __html__(self) -> str:
        return "<b>own</b>"


@given(st.text() | st.integers() | st.none() | st.floats() | st.text().map(Markup) | st.just(Own()))
def test_the_lean_escape_gives_what_the_library_gives(value: object) -> None:
    assert escaped(value) == str(escape(value))
