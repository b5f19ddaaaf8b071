"""Likely slips in a mail domain are questioned, and right domains never are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.slips import question

RIGHT = """
gmail.com googlemail.com hotmail.com hotmail.es hotmail.fr hotmail.co.uk hotmail.com.ar outlook.com outlook.es
outlook.com.br yahoo.com yahoo.es yahoo.co.uk yahoo.com.mx ymail.com rocketmail.com icloud.com me.com mac.com
live.com live.es live.com.mx msn.com aol.com aol.es gmx.com gmx.net gmx.es gmx.de web.de mail.com mail.ru
email.com email.it protonmail.com
protonmail.ch proton.me pm.me zoho.com hey.com fastmail.com fastmail.fm tutanota.com
telefonica.net movistar.es movistar.com terra.es terra.com.br ono.com ya.com orange.es orange.fr wanadoo.fr
wanadoo.es vodafone.es euskaltel.net free.fr sfr.fr laposte.net libero.it virgilio.it tiscali.it t-online.de
freenet.de arcor.de uol.com.br bol.com.br ig.com.br prodigy.net.mx qq.com 163.com yandex.ru naver.com
rediffmail.com shaw.ca btinternet.com sky.com xs4all.nl ziggo.nl example.com brewbar.co unam.mx ub.edu gob.es
usal.es madrid.org tierra.es life.com mailbox.org posteo.de
""".split()  # noqa: SIM905 - a paragraph reads better than ninety quoted names

SLIPS = {
    "gmial.com": "gmail.com",
    "gmai.com": "gmail.com",
    "gmal.com": "gmail.com",
    "gnail.com": "gmail.com",
    "gamil.com": "gmail.com",
    "gmaill.com": "gmail.com",
    "gmail.con": "gmail.com",
    "gmail.co": "gmail.com",
    "gmail.cm": "gmail.com",
    "gmail.es": "gmail.com",
    "gmail.comm": "gmail.com",
    "gmail.com.com": "gmail.com",
    "gmial.con": "gmail.com",
    "GMIAL.COM": "gmail.com",
    "hotmial.com": "hotmail.com",
    "hotmial.es": "hotmail.es",
    "hotmal.com": "hotmail.com",
    "hormail.com": "hotmail.com",
    "hotmil.es": "hotmail.es",
    "htomial.com": "hotmail.com",
    "hotmail.co": "hotmail.com",
    "hotmal.co.uk": "hotmail.co.uk",
    "yaho.com": "yahoo.com",
    "yahooo.es": "yahoo.es",
    "yhaoo.com": "yahoo.com",
    "yahoo.cmo": "yahoo.com",
    "outlok.com": "outlook.com",
    "outloook.es": "outlook.es",
    "oulook.com": "outlook.com",
    "iclod.com": "icloud.com",
    "icoud.com": "icloud.com",
    "icloud.es": "icloud.com",
    "protonmial.com": "protonmail.com",
    "telefonia.net": "telefonica.net",
    "movistra.es": "movistar.es",
    "brewbar.con": "brewbar.com",
    "mail.brewbar.ney": "mail.brewbar.net",
}

WORDS = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12)


@pytest.mark.parametrize("domain", RIGHT)
def test_a_right_domain_is_never_questioned(domain: str) -> None:
    assert question(f"ana@{domain}") is None
    assert question(f"ana@{domain.upper()}") is None


@pytest.mark.parametrize(("slip", "meant"), SLIPS.items())
def test_a_slip_is_questioned_with_what_was_meant(slip: str, meant: str) -> None:
    assert question(f"Ana.Lopez+x@{slip}") == f"Ana.Lopez+x@{meant}"


@given(WORDS, WORDS, WORDS)
def test_a_suggestion_is_never_questioned_again(local: str, name: str, ending: str) -> None:
    suggestion = question(f"{local}@{name}.{ending}")
    if suggestion is not None:
        assert suggestion.startswith(f"{local}@")
        assert question(suggestion) is None


@given(st.sampled_from(["gmail.com", "hotmail.com", "outlook.com", "icloud.com", "yahoo.com"]), st.data())
def test_two_exchanged_letters_of_a_large_provider_are_noticed(domain: str, data: st.DataObject) -> None:
    name, _, ending = domain.partition(".")
    place = data.draw(st.integers(0, len(name) - 2))
    swapped = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    expected = None if swapped == name else f"ana@{domain}"
    assert question(f"ana@{swapped}.{ending}") == expected


@given(st.text(max_size=60))
def test_any_text_is_answered(text: str) -> None:
    question(text)
