"""Would iOS take this pass? An answer that shares no code with what made it.

The signature is judged by the `openssl` command, the archive by `zipfile` and a look at its headers, the
pictures by Pillow, and the contents by Apple's published rules. `verify` returns what it read or raises
RefusedError with the first rule that was broken.
"""

import io
import json
import re
import struct
import subprocess
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1
from pathlib import Path
from typing import Any

from PIL import Image

PLACES = ("headerFields", "primaryFields", "secondaryFields", "auxiliaryFields", "backFields")
STYLES = {"boardingPass", "coupon", "eventTicket", "generic", "storeCard"}
BARCODES = {f"PKBarcodeFormat{name}" for name in ("QR", "PDF417", "Aztec", "Code128")}
BOXES = {"icon": (29, 29), "logo": (160, 50), "strip": (375, 144)}  # points
EXACT = {"icon", "strip"}
ZONED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)")
FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# Whatever zipfile raises for an archive that is none.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OSError,
)


class RefusedError(AssertionError):
    """iOS would not install this pass."""


@dataclass(frozen=True)
class Verified:
    document: dict[str, Any]
    files: dict[str, bytes]
    strings: dict[str, dict[str, str]]

    @property
    def style(self) -> str:
        return next(iter(STYLES & self.document.keys()))

    def fields(self) -> dict[str, dict[str, Any]]:
        return {field["key"]: field for place in PLACES for field in self.document[self.style].get(place, [])}

    def shown(self, key: str, what: str, language: str) -> str:
        """What a phone in this language shows: the text of the strings file, else the text itself."""
        text: str = self.fields()[key][what]
        return self.strings.get(language, {}).get(text, text)


def demand(true: object, rule: str) -> None:
    if not true:
        raise RefusedError(rule)


def verify(package: bytes, root: Path) -> Verified:
    files = _unpack(package)
    _check_manifest(files)
    pass_type, team = _check_signature(files["manifest.json"], files["signature"], root)
    document = _json(files["pass.json"])
    demand(document["passTypeIdentifier"] == pass_type, "the pass type is not the certificate's")
    demand(document["teamIdentifier"] == team, "the team is not the certificate's")
    _check_document(document)
    _check_pictures(files)
    strings = {
        name.split(".lproj/")[0]: _read_strings(content)
        for name, content in files.items()
        if name.endswith(".lproj/pass.strings")
    }
    return Verified(document, files, strings)


def _unpack(package: bytes) -> dict[str, bytes]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(package))
        demand(archive.testzip() is None, "a checksum of the archive is wrong")
        entries = archive.infolist()
        files = {entry.filename: archive.read(entry) for entry in entries}
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        OSError,
    ) as error:
        raise RefusedError(f"no archive: {error}") from error
    demand(len(files) == len(entries), "a file is there twice")
    _check_layout(package, files)
    return files


def _check_layout(package: bytes, files: dict[str, bytes]) -> None:
    """Nothing but these files, stored, one after the other: every byte of the archive is accounted for."""
    position, directory = 0, b""
    for name, data in files.items():
        path = name.encode()
        facts = (20, 0, 0, 0, 0x21, zlib.crc32(data), len(data), len(data), len(path), 0)
        local = struct.pack("<4s5H3L2H", b"PK\3\4", *facts) + path + data
        demand(package[position : position + len(local)] == local, f"{name} is not stored plainly")
        where = (0, 0, 0, 0o100644 << 16, position)
        directory += struct.pack("<4sH5H3L2H3H2L", b"PK\1\2", 3 << 8 | 20, *facts, *where) + path
        position += len(local)
    count = len(files)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), position, 0)
    demand(package[position:] == directory + end, "the archive's directory differs from its files")


def _check_manifest(files: dict[str, bytes]) -> None:
    for name in ("pass.json", "manifest.json", "signature", "icon.png"):
        demand(name in files, f"{name} is missing")
    manifest = _json(files["manifest.json"])
    listed = files.keys() - {"manifest.json", "signature"}
    demand(manifest.keys() == listed, "the manifest does not list exactly the files")
    for name in listed:
        demand(manifest[name] == sha1(files[name]).hexdigest(), f"{name} has another hash than listed")


def _check_signature(manifest: bytes, signature: bytes, root: Path) -> tuple[str, str]:
    """(pass type, team) of the certificate that signed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "manifest.json").write_bytes(manifest)
        (folder / "signature").write_bytes(signature)
        # No -certfile: the intermediate has to come with the signature, as a phone has no other.
        _openssl(
            *("cms", "-verify", "-binary", "-inform", "DER", "-in", folder / "signature"),
            *("-content", folder / "manifest.json", "-CAfile", root, "-purpose", "any"),
            *("-signer", folder / "signer.pem", "-out", "/dev/null"),
        )
        printed = _openssl("cms", "-cmsout", "-print", "-inform", "DER", "-in", folder / "signature")
        subject = _openssl(
            *("x509", "-in", folder / "signer.pem", "-noout", "-subject", "-ext", "extendedKeyUsage"),
            *("-nameopt", "multiline,utf8,-esc_msb"),
        )
        again = _openssl("x509", "-in", folder / "signer.pem", "-outform", "DER", raw=True)
    demand(again in signature, "the signer's certificate is not in the signature")
    demand("1.2.840.113635.100.4.14" in subject, "the certificate is not for signing passes")
    demand(printed.count("algorithm: sha256 (2.16.840.1.101.3.4.2.1)") == 2, "another digest than SHA-256")
    demand(printed.count("parameter: NULL") >= 3, "parameters of an algorithm")
    demand("signingTime (1.2.840.113549.1.9.5)" in printed, "no signing time")
    demand("eContent: <ABSENT>" in printed, "the signature holds the manifest")
    user_id, unit = (
        re.search(rf"{part}\s*=\s*(.*)", subject) for part in ("userId", "organizationalUnitName")
    )
    demand(user_id and unit, "the certificate names no pass type or team")
    assert user_id
    assert unit
    return user_id[1], unit[1]


def _openssl(*arguments: str | Path, raw: bool = False) -> Any:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)
    demand(done.returncode == 0, f"openssl {arguments[1]}: {done.stderr.decode(errors='replace')}")
    return done.stdout if raw else done.stdout.decode(errors="replace")


def _check_document(document: dict[str, Any]) -> None:
    demand(document["formatVersion"] == 1, "formatVersion")
    for name in ("serialNumber", "organizationName", "description"):
        demand(document.get(name) and isinstance(document[name], str), name)
    for name in ("backgroundColor", "foregroundColor", "labelColor"):
        numbers = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", document[name])
        demand(numbers and all(int(number) < 256 for number in numbers.groups()), name)
    styles = STYLES & document.keys()
    demand(len(styles) == 1, "a pass has exactly one style")
    _check_fields(document[styles.pop()])
    demand("barcodes" in document or document.get("voided"), "a card that counts has a barcode")
    for barcode in document.get("barcodes", ()):
        demand(barcode["format"] in BARCODES, "an unknown barcode")
        barcode["message"].encode(barcode["messageEncoding"])
    demand(("webServiceURL" in document) == ("authenticationToken" in document), "one without the other")
    if "webServiceURL" in document:
        demand(document["webServiceURL"].startswith("https://"), "webServiceURL is not https")
        demand(len(document["authenticationToken"]) >= 16, "authenticationToken is too short")
    if "expirationDate" in document:
        _check_date(document["expirationDate"])
    demand(len(document.get("locations", [])) <= 10, "more than ten locations")
    for location in document.get("locations", []):
        demand(-90 <= location["latitude"] <= 90 and -180 <= location["longitude"] <= 180, "a location")


def _check_fields(style: dict[str, list[dict[str, Any]]]) -> None:
    demand(style.keys() <= {*PLACES}, "an unknown place for fields")
    fields = [field for place in PLACES for field in style.get(place, [])]
    keys = [field["key"] for field in fields]
    demand(len(keys) == len(set(keys)), "a key of a field is there twice")
    demand(len(style.get("headerFields", [])) <= 3, "more than three header fields")
    demand(len(style.get("primaryFields", [])) <= 1, "more than one primary field")
    front = style.get("secondaryFields", []) + style.get("auxiliaryFields", [])
    demand(len(front) <= 4, "more than four fields in the rows below")
    for field in fields:
        demand(isinstance(field["value"], str | int | float), "a value that is none")
        demand("%@" in field.get("changeMessage", "%@"), "a changeMessage without %@")
        demand(not FORBIDDEN.search(str(field["value"]) + field["label"]), "a control character")
        if "dateStyle" in field:
            demand("timeStyle" in field, "dateStyle without timeStyle")
            _check_date(field["value"])
    on_front = [field for place in PLACES[:-1] for field in style.get(place, [])]
    demand(not any("attributedValue" in field for field in on_front), "a link on the front")


def _check_date(date: str) -> None:
    demand(ZONED.fullmatch(date), "a date without a zone")
    datetime.fromisoformat(date)


def _check_pictures(files: dict[str, bytes]) -> None:
    pictures = {name for name in files if name.endswith(".png")}
    kinds = {re.split(r"[@.]", name)[0] for name in pictures}
    for kind in kinds:
        box = BOXES[kind]
        sizes = []
        for scale, suffix in enumerate((".png", "@2x.png", "@3x.png"), 1):
            demand(kind + suffix in pictures, f"{kind}{suffix} is missing")
            with Image.open(io.BytesIO(files[kind + suffix]), formats=("PNG",)) as picture:
                picture.load()
                width, height = picture.size
            demand(width <= box[0] * scale and height <= box[1] * scale, f"{kind}{suffix} is too large")
            demand(kind not in EXACT or (width, height) == (box[0] * scale, box[1] * scale), f"{kind} size")
            sizes.append((width / scale, height / scale))
        demand(len(set(sizes)) == 1, f"{kind} has another size at another scale")


def _json(data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise RefusedError(f"no JSON in UTF-8: {error}") from error
    demand(isinstance(parsed, dict), "no JSON object")
    return parsed  # type: ignore[no-any-return]


def _read_strings(content: bytes) -> dict[str, str]:
    strings: dict[str, str] = {}
    for line in content.decode("utf-8").splitlines():
        match = re.fullmatch(r'"((?:[^"\\]|\\.)*)" = "((?:[^"\\]|\\.)*)";', line)
        demand(match, f"a line that is no entry: {line!r}")
        assert match
        key, text = (re.sub(r"\\(.)", r"\1", part) for part in match.groups())
        demand(key not in strings, "a key of the strings is there twice")
        strings[key] = text
    return strings
