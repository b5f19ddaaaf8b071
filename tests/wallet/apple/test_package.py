"""Passes as a phone would judge them."""

import io
import json
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha1
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wallet.apple.conftest import PASS_TYPE, TEAM
from tests.wallet.apple.verifier import RefusedError, Verified, verify
from tests.wallet.designs import card, design, picture
from web.wallet.apple.certificates import Certificates
from web.wallet.apple.development import ROOT, development_certificates
from web.wallet.apple.wallet import AppleWallet
from web.wallet.card import Link, NextReward, own_labels
from web.wallet.text import plain

VERSIONS = count(100)
SOME = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WEB_SERVICE = "https://club.example/passkit"


@pytest.fixture(scope="module")
def wallet(certificates: Certificates) -> AppleWallet:
    return AppleWallet(certificates, web_service_url=WEB_SERVICE)


@pytest.fixture(scope="module")
def accepted(wallet: AppleWallet, root: Path) -> Callable[..., Verified]:
    """Packs a card and lets the independent verifier judge it."""
    looks = {"plain": design(), "strip": design(version=2, strip=picture(1200, 500, "JPEG"))}

    def pack(look: str = "plain", **changes: object) -> Verified:
        return verify(wallet.package(looks[look], card(**changes)), root)

    return pack


def test_a_loyalty_card_shows_who_what_and_how_far(accepted: Callable[..., Verified]) -> None:
    verified = accepted()
    fields = verified.fields()
    assert verified.style == "storeCard"
    assert fields["balance"]["value"] == "12.345"
    assert fields["member"]["value"] == "Zoë Núñez"
    assert fields["tier"]["value"] == "Oro"
    assert fields["next_reward"]["value"] == "Café gratis"
    assert fields["missing"]["value"] == "7.655"
    assert [field["key"] for field in verified.document["storeCard"]["headerFields"]] == ["balance"]


def test_the_barcode_is_the_card_number_and_its_text_can_be_read_aloud(
    accepted: Callable[..., Verified],
) -> None:
    assert accepted().document["barcodes"] == [
        {
            "format": "PKBarcodeFormatQR",
            "message": "100000123456",
            "messageEncoding": "iso-8859-1",
            "altText": "1000 0012 3456",
        }
    ]
    assert accepted(number="顧客1").document["barcodes"][0]["messageEncoding"] == "utf-8"


def test_labels_follow_the_phone_and_values_the_customer(accepted: Callable[..., Verified]) -> None:
    verified = accepted(locale="en")
    assert verified.fields()["balance"]["value"] == "12,345"
    assert verified.shown("balance", "label", "es") == "Puntos"
    assert verified.shown("balance", "label", "en") == "Points"
    assert verified.shown("balance", "label", "ar") == "نقاط"
    assert verified.shown("balance", "changeMessage", "es") == "Tu saldo es %@"


def test_a_phone_in_a_language_nobody_translated_to_shows_the_default_one(
    accepted: Callable[..., Verified],
) -> None:
    assert accepted().shown("balance", "label", "fi") == "Puntos"


def test_labels_alike_in_one_language_stay_apart_in_another(wallet: AppleWallet, root: Path) -> None:
    chosen = {"points": {"es": "Saldo", "en": "Beans"}, "balance": {"es": "Saldo", "en": "Balance"}}
    look = design(version=20, labels=own_labels(("es", "en"), lambda _, source: source, chosen))
    loyalty = verify(wallet.package(look, card()), root)
    gift = verify(wallet.package(look, card(kind="gift_card")), root)
    assert loyalty.shown("balance", "label", "en") == "Beans"
    assert gift.shown("balance", "label", "en") == "Balance"


def test_the_back_links_to_the_session_pages(accepted: Callable[..., Verified]) -> None:
    field = accepted().fields()["link_rewards"]
    assert field["value"] == "https://club.example/brewbar/loyalty/rewards"
    assert field["attributedValue"] == ('<a href="https://club.example/brewbar/loyalty/rewards">Abrir</a>')


def test_a_cards_own_links_replace_them_and_cannot_break_out(accepted: Callable[..., Verified]) -> None:
    fields = accepted(links=(Link(label="open_card", url='https://x.example/?a=1&b="><b>'),)).fields()
    assert fields["link_open_card"]["attributedValue"] == (
        '<a href="https://x.example/?a=1&amp;b=&quot;&gt;&lt;b&gt;">Abrir</a>'
    )
    assert "link_rewards" not in fields


def test_updates_are_asked_for_where_the_server_speaks_https(
    accepted: Callable[..., Verified], certificates: Certificates, root: Path
) -> None:
    document = accepted().document
    assert (document["webServiceURL"], document["authenticationToken"]) == (WEB_SERVICE, "t" * 24)
    at_home = AppleWallet(certificates, web_service_url="http://127.0.0.1:8000/passkit")
    document = verify(at_home.package(design(), card()), root).document
    assert document.keys().isdisjoint({"webServiceURL", "authenticationToken"})


def test_dates_are_given_in_utc(accepted: Callable[..., Verified]) -> None:
    assert accepted(expires=datetime.fromisoformat("2030-06-01T00:30:00+02:00")).document[
        "expirationDate"
    ] == ("2030-05-31T22:30:00+00:00")


def test_only_a_voided_card_says_so(accepted: Callable[..., Verified]) -> None:
    assert accepted(voided=True).document["voided"] is True
    assert "voided" not in accepted().document


@pytest.mark.parametrize(
    ("kind", "style"),
    [("loyalty", "storeCard"), ("gift_card", "storeCard"), ("coupon", "coupon"), ("membership", "generic")],
)
def test_every_kind_of_card_has_its_style(accepted: Callable[..., Verified], kind: str, style: str) -> None:
    verified = accepted(kind=kind, headline="Dos por uno", currency="EUR" if kind == "gift_card" else None)
    assert verified.style == style
    assert verified.fields()["headline"]["value"] == "Dos por uno"


def test_a_bare_card_is_accepted_too(accepted: Callable[..., Verified]) -> None:
    verified = accepted(member=None, tier=None, next_reward=None, expires=None, locations=())
    assert verified.fields().keys().isdisjoint({"member", "tier", "next_reward", "missing", "expires"})


def test_the_pictures_come_at_three_scales(accepted: Callable[..., Verified]) -> None:
    pictures = {name for name in accepted("strip").files if name.endswith(".png")}
    assert pictures == {
        f"{kind}{scale}.png" for kind in ("icon", "logo", "strip") for scale in ("", "@2x", "@3x")
    }


@SOME
@given(
    member=st.text(max_size=200),
    tier=st.text(max_size=200),
    title=st.text(max_size=200),
    number=st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=30),
    balance=st.integers(-(10**12), 10**12),
    scale=st.sampled_from([0, 2]),
)
def test_whatever_people_are_called_the_pass_is_accepted(
    accepted: Callable[..., Verified],
    member: str,
    tier: str,
    title: str,
    number: str,
    balance: int,
    scale: int,
) -> None:
    reward = NextReward(title=title, cost=balance, missing=balance)
    accepted(member=member, tier=tier, next_reward=reward, number=number, balance=balance, scale=scale)


@SOME
@given(
    texts=st.dictionaries(st.sampled_from(["es", "en", "pt_BR"]), st.text(max_size=60), min_size=1),
    other=st.dictionaries(st.sampled_from(["es", "en", "pt_BR"]), st.text(max_size=60), min_size=1),
)
def test_whatever_a_merchant_calls_things_every_phone_finds_its_word(
    wallet: AppleWallet, root: Path, texts: dict[str, str], other: dict[str, str]
) -> None:
    labels = {"points": texts, "tier": other}
    look = design(version=next(VERSIONS), locales=("es", "en", "pt_BR"), labels=labels)
    verified = verify(wallet.package(look, card()), root)
    for locale, words in look.label_texts("points").items():
        assert verified.shown("balance", "label", locale.replace("_", "-")).rstrip() == plain(words)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_anywhere_is_refused(wallet: AppleWallet, root: Path, place: float, bit: int) -> None:
    broken = bytearray(wallet.package(design(), card()))
    broken[int(place * len(broken))] ^= 1 << bit
    with pytest.raises(RefusedError):
        verify(bytes(broken), root)


def test_a_raised_balance_is_refused_even_with_its_hash_corrected(wallet: AppleWallet, root: Path) -> None:
    files = verify(wallet.package(design(), card()), root).files
    files["pass.json"] = files["pass.json"].replace(b"12.345", b"92.345")
    with pytest.raises(RefusedError, match="another hash"):
        verify(_zipped(files), root)
    manifest = json.loads(files["manifest.json"])
    manifest["pass.json"] = sha1(files["pass.json"]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    with pytest.raises(RefusedError, match=r"openssl .*verif"):
        verify(_zipped(files), root)


def test_a_file_that_the_manifest_does_not_know_is_refused(wallet: AppleWallet, root: Path) -> None:
    files = verify(wallet.package(design(), card()), root).files
    with pytest.raises(RefusedError, match="exactly the files"):
        verify(_zipped({**files, "footer.png": b""}), root)


def _zipped(files: dict[str, bytes]) -> bytes:
    """The files packed as a pass is, so that only their content can be the reason for a refusal."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, data)
    return out.getvalue()


def test_another_authoritys_pass_is_refused(wallet: AppleWallet, tmp_path: Path) -> None:
    development_certificates(tmp_path / "apple", pass_type_id=PASS_TYPE, team_id=TEAM)
    with pytest.raises(RefusedError, match="openssl"):
        verify(wallet.package(design(), card()), tmp_path / "apple" / ROOT)


def test_a_new_version_of_a_design_is_seen_and_old_ones_make_room(
    certificates: Certificates, root: Path
) -> None:
    wallet = AppleWallet(certificates, designs_kept=1)
    first = wallet.prepare(design())
    assert wallet.prepare(design()) is first
    newer = verify(wallet.package(design(version=2, background="#ff0000"), card()), root)
    assert newer.document["backgroundColor"] == "rgb(255, 0, 0)"
    assert wallet.prepare(design()) is not first
    assert wallet.prepare(design(program_id=UUID(int=8))) is not wallet.prepare(design())


def test_a_pass_made_twice_at_one_moment_is_the_same_pass(wallet: AppleWallet) -> None:
    package, moment = wallet.prepare(design()), datetime(2030, 1, 1, tzinfo=UTC)
    assert package.build(card(), moment) == package.build(card(), moment)
