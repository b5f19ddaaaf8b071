from pathlib import Path

import pytest

from tests.support.templates import findings, main

WRONG = {
    "<p>Hello</p>": "1: not translated: Hello",
    "<p>\n{{ _('Hi') }}\nand you</p>": "3: not translated: and you",
    "{% if x %}\n<b>Yes</b>{% endif %}": "2: not translated: Yes",
    "{{ 'open' if x else 'shut' }}": "1: not translated: open shut",
    '<img src=a alt="A cup">': "1: not translated: alt='A cup'",
    "<img src=a>": "1: a picture without alt",
    '<input type=submit value="Go on">': "1: not translated: value='Go on'",
    '<p style="color: red">{{ x }}</p>': "1: blocked by the content security policy: style",
    '<p onclick="go()">{{ x }}</p>': "1: blocked by the content security policy: onclick",
    "<script>go()</script>": "1: blocked by the content security policy: <script> without nonce",
    '{% include "no.html" %}': "1: there is no template no.html",
    "{% if x %}": "1: Unexpected end of template",
}

RIGHT = [
    "<p class='wide'>{{ _('Hello %(name)s', name=x) }} · {{ x }} &nbsp;→ 5</p>",
    "{% trans %}Hello{% endtrans %}{# a note #}",
    "<a href='{{ x }}' title='{{ _('Hi') }}' class='{{ 'open' if x else 'shut' }}'>{{ x }}</a>",
    '<b translate="no">Pasito</b>{{ x }}<img src=a alt="Pasito" translate="no">',
    "<style nonce='{{ x }}'>p { color: red }</style><script type='application/json'>{}</script>",
    """{% macro described(id) %}aria-describedby="{{ id }}-hint"{% endmacro %}""",
]


def found_in(folder: Path) -> list[str]:
    return [finding.removeprefix(f"{folder}/") for finding in findings(folder)]


@pytest.mark.parametrize("source", WRONG)
def test_what_is_wrong_is_found_on_its_line(tmp_path: Path, source: str) -> None:
    (tmp_path / "page.html").write_text(source)
    [finding] = found_in(tmp_path)
    assert finding.startswith(f"page.html:{WRONG[source]}")


@pytest.mark.parametrize("source", RIGHT)
def test_what_is_right_is_left_alone(tmp_path: Path, source: str) -> None:
    (tmp_path / "page.html").write_text(source)
    assert found_in(tmp_path) == []


def test_a_block_inside_a_tag_is_no_text_but_one_in_the_page_is(tmp_path: Path) -> None:
    base = '<body class="{% block shape %}{% endblock %}">{% block main %}{% endblock %}</body>'
    page = '{% extends "base.html" %}{% block shape %}wide{% endblock %}{% block main %}wide{% endblock %}'
    (tmp_path / "base.html").write_text(base)
    (tmp_path / "page.html").write_text(page)
    assert found_in(tmp_path) == ["page.html:1: not translated: wide"]


def test_a_mail_may_have_styles_in_place_and_its_plain_text_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "emails").mkdir()
    (tmp_path / "emails" / "card.html").write_text('<p style="color: red">{{ x }}</p>')
    (tmp_path / "emails" / "card.txt").write_text("{{ x }}\n\nGoodbye\n")
    assert found_in(tmp_path) == ["emails/card.txt:3: not translated: Goodbye"]


def test_a_finding_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tmp_path) == 0
    (tmp_path / "page.html").write_text("<p>Hello</p>")
    assert main(tmp_path) == 1
    assert "not translated: Hello" in capsys.readouterr().out
