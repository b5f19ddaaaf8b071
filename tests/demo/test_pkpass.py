"""What a phone takes for a pass, and what it refuses and why."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.apple.conftest import PASS_TYPE, TEAM
from tests.wallet.designs import card, design
from web.demo.pkpass import PassRefused, open_pass
from web.wallet.apple.certificates import Certificates
from web.wallet.apple.development import ROOT, development_certificates
from web.wallet.apple.signing import ManifestSigner
from web.wallet.apple.wallet import AppleWallet

Roots = list[x509.Certificate]
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def package(wallet: AppleWallet) -> bytes:
    return wallet.package(design(), card())


def unpacked(package: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: Files, folder: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(folder + name, data)
    return out.getvalue()


def signed(files: Files, certificates: Certificates) -> bytes:
    """The files with a manifest and signature that fit them."""
    own = {name: data for name, data in files.items() if name not in ("manifest.json", "signature")}
    manifest = json.dumps({name: sha1(data).hexdigest() for name, data in own.items()}).encode()
    signature = ManifestSigner(certificates).sign(manifest, datetime.now(UTC))
    return packed({**own, "manifest.json": manifest, "signature": signature})


def test_a_pass_in_order_is_taken_and_read(package: bytes, roots: Roots) -> None:
    opened = open_pass(package, roots)
    assert (opened.style, opened.serial) == ("storeCard", card().serial)
    assert opened.fields("headerFields")[0]["value"] == "12.345"
    assert opened.say(opened.fields("headerFields")[0]["label"], "en") == "Points"
    assert opened.say(opened.fields("headerFields")[0]["label"], "es") == "Puntos"
    assert opened.say("said nowhere", "es") == "said nowhere"
    assert open_pass(package, None).document == opened.document


def test_a_pass_of_an_authority_that_the_phone_does_not_trust_is_refused(
    package: bytes, tmp_path: Path
) -> None:
    development_certificates(tmp_path, pass_type_id=PASS_TYPE, team_id=TEAM)
    strangers = [x509.load_pem_x509_certificate((tmp_path / ROOT).read_bytes())]
    for trusted in (strangers, []):
        with pytest.raises(PassRefused, match="chain to an authority"):
            open_pass(package, trusted)


@pytest.mark.parametrize("name", ["pass.json", "icon.png", "en.lproj/pass.strings"])
def test_a_changed_file_is_refused(package: bytes, roots: Roots, name: str) -> None:
    files = unpacked(package)
    files[name] = files[name].replace(b"a", b"b") + b" "
    with pytest.raises(PassRefused, match=f"SHA-1 of {name} does not match"):
        open_pass(packed(files), roots)


def test_a_changed_manifest_is_refused_with_any_signature_of_ours(
    package: bytes, wallet: AppleWallet, roots: Roots
) -> None:
    files, other = unpacked(package), unpacked(wallet.package(design(), card(balance=1)))
    for name in ("pass.json", "manifest.json"):
        files[name] = other[name]
    with pytest.raises(PassRefused, match="about another manifest"):
        open_pass(packed(files), roots)


def test_no_bit_of_what_was_signed_and_of_its_signature_can_be_turned(package: bytes, roots: Roots) -> None:
    files, chance, taken = unpacked(package), random.Random(5), 0
    for name in ("manifest.json", "signature"):
        for _ in range(250):
            data = bytearray(files[name])
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            try:
                opened = open_pass(packed({**files, name: bytes(data)}), roots)
            except PassRefused:
                continue
            # What is not signed and says nothing, such as a name of an algorithm; the pass is the same one.
            taken += 1
            assert name == "signature"
            assert opened.document == json.loads(files["pass.json"])
    assert taken < 50


Change = Callable[[dict[str, Any]], object]
FAULTS: list[tuple[str, Change]] = [
    ("formatVersion", lambda d: d.update(formatVersion=2)),
    ("must contain key 'description'", lambda d: d.pop("description")),
    ("must contain key 'serialNumber'", lambda d: d.update(serialNumber="")),
    ("passTypeIdentifier does not match", lambda d: d.update(passTypeIdentifier="pass.other")),
    ("teamIdentifier does not match", lambda d: d.update(teamIdentifier="OTHER")),
    ("no style, or more than one", lambda d: d.pop("storeCard")),
    ("no style, or more than one", lambda d: d.update(coupon={})),
    ("is there twice", lambda d: d["storeCard"]["backFields"].append({"key": "balance", "value": 1})),
    ("has no value", lambda d: d["storeCard"]["backFields"].append({"key": "empty"})),
    ("has no key", lambda d: d["storeCard"]["backFields"].append({"value": 1})),
    (
        "Barcode format 'PKBarcodeFormatEAN' is unknown",
        lambda d: d["barcodes"][0].update(format="PKBarcodeFormatEAN"),
    ),
    ("has no time zone", lambda d: d.update(expirationDate="2031-05-01T12:30")),
    (
        "has no time zone",
        lambda d: d["storeCard"]["backFields"].append(
            {"key": "x", "value": "May", "dateStyle": "PKDateStyleShort"}
        ),
    ),
    ("not https", lambda d: d.update(webServiceURL="http://club.example/passkit")),
    ("fewer than 16", lambda d: d.update(authenticationToken="short")),
]


@pytest.mark.parametrize(("why", "change"), FAULTS)
def test_what_is_signed_well_and_written_badly_is_refused(
    package: bytes, certificates: Certificates, roots: Roots, why: str, change: Change
) -> None:
    files = unpacked(package)
    document = json.loads(files["pass.json"])
    change(document)
    files["pass.json"] = json.dumps(document).encode()
    with pytest.raises(PassRefused, match=why):
        open_pass(signed(files, certificates), roots)


def test_archives_that_are_none_and_files_in_the_wrong_place_are_refused(
    package: bytes, certificates: Certificates, roots: Roots
) -> None:
    files = unpacked(package)
    without_icon = {name: data for name, data in files.items() if name != "icon.png"}
    unlisted = {**files, "extra.txt": b"!"}
    broken = {**files, "pass.json": b"{\xff}"}
    for bad, why in (
        (b"", "no zip"),
        (package[:-30], "no zip"),
        (packed(files, "folder/"), "no pass.json at the root"),
        (signed(without_icon, certificates), "no icon.png"),
        (packed(unlisted), "does not describe extra.txt"),
        (packed({**files, "../evil": b""}), "leads out of the pass"),
        (signed(broken, certificates), "no JSON in UTF-8"),
        (packed({**files, "signature": b"0\x03\x02\x01\x01"}), "no PKCS #7"),
    ):
        with pytest.raises(PassRefused, match=why):
            open_pass(bad, roots)


@given(st.binary(max_size=300))
def test_whatever_comes_is_refused_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(PassRefused):
        open_pass(noise, [])
