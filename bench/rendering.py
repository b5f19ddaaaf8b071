"""What a page costs to render, with translations folded in at compile time and looked up when shown.

The ratio within one run, and how much of a page over the wire would be indentation.
"""

import datetime as dt
import gzip
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from time import perf_counter

from babel import Locale
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.bars import Bar, shown
from web.foundation.assets import Assets
from web.foundation.formats import Formats
from web.foundation.languages import Catalogues
from web.foundation.rendering import Renderer, filters

ROUNDS = 15
RENDERS = 100

BASE = """\
<!doctype html>
<html lang="{{ lang }}" dir="{{ dir }}">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>{% block title %}{{ program.name }}{% endblock %}</title>
  </head>
  <body>
    <a class="skip" href="#main">{{ _("Skip to the content") }}</a>
    <div id="app">
      <header><a href="/{{ program.slug }}">{{ program.name }}</a></header>
      <main id="main">
        {% block main %}{% endblock %}
      </main>
      <footer>
        <a href="/{{ program.slug }}/terms">{{ _("Terms") }}</a>
        <a href="/{{ program.slug }}/privacy">{{ _("Privacy") }}</a>
        <p>{{ _("%(program)s runs on Pasito.", program=program.name) }}</p>
      </footer>
    </div>
  </body>
</html>
"""

STEP = """\
{% extends "base.html" %}
{% block title %}{{ _("Step %(step)s of %(steps)s", step=1, steps=3) }} · {{ super() }}{% endblock %}
{% macro field(name, label, hint, value, error, type) %}
  <div class="field">
    <label for="{{ name }}">{{ label }}</label>
    <p id="{{ name }}-hint" class="hint">{{ hint }}</p>
    {% if error %}
      <p id="{{ name }}-error" class="error">{{ error }}</p>
    {% endif %}
    <input id="{{ name }}" name="{{ name }}" type="{{ type }}" value="{{ value }}"
           aria-describedby="{{ name }}-hint" required>
  </div>
{% endmacro %}
{% block main %}
  <p class="steps">{{ _("Step %(step)s of %(steps)s", step=1, steps=3) }}</p>
  <h1>{{ _("Get your %(program)s card", program=program.name) }}</h1>
  <p>{{ ngettext("%(num)s point waits for you.", "%(num)s points wait for you.", program.gift) }}</p>
  <form method="post" action="/{{ program.slug }}/register">
    {{ field("email", _("E-mail"), _("We send your card here too."), form.email, "", "email") }}
    {{ field("phone", _("Phone"), _("With or without the country's code."), form.phone, "", "tel") }}
    <button>{{ _("Continue") }}</button>
  </form>
  <p><a href="/{{ program.slug }}/card">{{ _("I already have a card") }}</a></p>
{% endblock %}
"""

PROFILE = """\
{% extends "base.html" %}
{% macro panel(title, empty, items) %}
  <section class="panel">
    <h2>{{ title }}</h2>
    {% if items %}
      <ul>{{ caller() }}</ul>
    {% else %}
      <p>{{ empty }}</p>
    {% endif %}
  </section>
{% endmacro %}
{% block main %}
  <h1>{{ _("Hello, %(name)s", name=customer.name) }}</h1>
  <p class="balance">{{ ngettext("%(num)s point", "%(num)s points", customer.points) }}</p>
  <p>{{ _("You are %(tier)s since %(day)s.", tier=customer.tier, day=customer.since|date("long")) }}</p>
  {% call panel(_("Your next rewards"), _("There are no rewards yet."), rewards) %}
    {% for reward in rewards %}
      <li>
        <h3>{{ reward.name }}</h3>
        <p class="text">{{ reward.text }}</p>
        <img src="/images/{{ reward.slug }}.webp" width="320" height="180" alt="" loading="lazy">
        <p>{{ ngettext("%(num)s point", "%(num)s points", reward.points) }}</p>
        {% if reward.points <= customer.points %}
          <form method="post" action="/{{ program.slug }}/rewards/{{ reward.slug }}/redemptions">
            <input type="hidden" name="token" value="{{ form.name }}">
            <button class="button primary">{{ _("Redeem") }}</button>
          </form>
        {% else %}
          <p>{{ _("%(missing)s to go", missing=(reward.points - customer.points)|number) }}</p>
        {% endif %}
      </li>
    {% endfor %}
  {% endcall %}
  {% call panel(_("Your last visits"), _("Nothing here yet."), entries) %}
    {% for entry in entries %}
      <li class="entry">
        <time datetime="{{ entry.at.isoformat() }}">{{ entry.at|date }} {{ entry.at|time }}</time>
        <span>{{ _("Visit") if entry.points > 0 else _("Reward") }}: {{ entry.note }}</span>
        <b>{{ entry.points|number }}</b>
      </li>
    {% endfor %}
  {% endcall %}
  <nav aria-label="{{ _("Your card") }}">
    <a href="profile">{{ _("Profile") }}</a> <a href="rewards">{{ _("Rewards") }}</a>
    <a href="coupons">{{ _("Coupons") }}</a> <a href="referrals">{{ _("Invite a friend") }}</a>
    <a href="transactions">{{ _("History") }}</a>
  </nav>
{% endblock %}
"""


@dataclass(frozen=True, slots=True)
class Thing:
    """Whatever the sample pages show."""

    name: str = ""
    slug: str = "brewbar"
    gift: int = 50
    email: str = ""
    phone: str = ""
    text: str = "A cup of whatever you like, on any day of the week."
    note: str = "Two flat whites at the counter"
    tier: str = "Regular"
    points: int = 0
    at: dt.datetime = dt.datetime(2026, 11, 21, 9, 30, tzinfo=dt.UTC)
    since: dt.date = dt.date(2026, 1, 31)


CONTEXT = {
    "program": Thing(name="Brew & Bar"),
    "form": Thing(),
    "customer": Thing(name="Zoë O'Neill", points=420),
    "rewards": [Thing(name=f"Reward {number}", points=number * 150) for number in range(1, 7)],
    "entries": [
        Thing(points=(-1) ** day * day * 10, at=dt.datetime(2026, 11, day, 9, day, tzinfo=dt.UTC))
        for day in range(1, 17)
    ],
    "timezone": "Europe/Madrid",
}


def measure(long: bool) -> list[Bar]:
    """Each page's ratio to the usual way, and what its indentation would weigh over the wire."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for page, source in (("base.html", BASE), ("step.html", STEP), ("profile.html", PROFILE)):
            (folder / page).write_text(source)
        catalogues = Catalogues.load(Path(__file__).parents[1] / "locales")
        renderer = Renderer(folder, catalogues, Assets({}, ""))
        plain = looked_up(folder, catalogues)
        rounds = ROUNDS * (3 if long else 1)
        return [
            bar for page in ("step.html", "profile.html") for bar in report(page, renderer, plain, rounds)
        ]


def looked_up(folder: Path, catalogues: Catalogues) -> Environment:
    """The usual way: the same templates and filters, with jinja2's own translation extension."""
    plain = Environment(
        loader=FileSystemLoader(folder),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    plain.install_gettext_callables(  # type: ignore[attr-defined]
        catalogues.find("en").text, lambda one, many, n: one if n == 1 else many, newstyle=True
    )
    plain.filters |= filters(Formats(Locale.parse("en")))
    plain.globals |= {"lang": "en", "dir": "ltr"}
    return plain


def report(page: str, renderer: Renderer, plain: Environment, rounds: int) -> list[Bar]:
    """Measures both ways in turn, so that a slow moment of the machine meets both."""
    folded_times, plain_times = [], []
    for _ in range(rounds):
        folded_times.append(microseconds(lambda: renderer.render(page, "en", **CONTEXT)))
        plain_times.append(microseconds(lambda: plain.get_template(page).render(**CONTEXT)))
    text = renderer.render(page, "en", **CONTEXT)
    indented = plain.get_template(page).render(**CONTEXT)
    if bare(text) != bare(indented):
        sys.exit(f"{page}: the two ways differ")
    sizes = [len(gzip.compress(body.encode(), 6)) for body in (text, indented)]
    # The quickest round: what the others took more, other work on the machine took.
    folded, usual = min(folded_times), min(plain_times)
    return [
        shown(f"{page} rendered, time as a share of translating when shown", folded / usual),
        shown("  time", folded, "us"),
        shown("  share that indentation would add over the wire", sizes[1] / sizes[0] - 1),
    ]


def bare(html: str) -> str:
    """What both ways must agree on: ours escapes the catalogues' apostrophes and leaves indentation out."""
    return "".join(unescape(html).split())


def microseconds(render: Callable[[], str]) -> float:
    """For one render, the mean of `RENDERS`."""
    started = perf_counter()
    for _ in range(RENDERS):
        render()
    return (perf_counter() - started) / RENDERS * 1e6
