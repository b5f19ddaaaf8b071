"""The `.pkpass` file: a zip archive whose unchanging part is laid out once for a design.

Pictures and strings are nearly all of a pass and the same for every holder. So their archive entries, their
lines of the archive's directory and their hashes in the manifest are kept as bytes, and a pass adds three
stored entries of its own: `pass.json`, `manifest.json`, `signature`. Nothing is compressed: PNG already is,
and the rest is small. The layout is that of PKWARE's APPNOTE, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import struct
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha1

import msgspec

from web.wallet.apple.content import Content
from web.wallet.apple.signing import ManifestSigner
from web.wallet.card import Card

_VERSION = 20  # APPNOTE 2.0 is all that stored entries need
_UNIX = 3 << 8
_DOS_DATE = 0x21  # 1 January 1980: a pass's age is nobody's business, and its bytes stay reproducible
_MODE = 0o100644 << 16
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")


class Package:
    """Packs and signs the passes of one design. `files` are all that is the same for every holder."""

    def __init__(self, content: Content, files: Mapping[str, bytes], signer: ManifestSigner) -> None:
        self._content, self._signer = content, signer
        static = {**files, **content.strings}
        self._archive, self._directory = _entries(static, 0)
        self._count = len(static)
        hashes = msgspec.json.encode({name: _sha1(data) for name, data in static.items()})
        self._manifest = hashes[:-1] + b',"pass.json":"%s"}'

    def build(self, card: Card, moment: datetime | None = None) -> bytes:
        """The signed `.pkpass` of one card; `moment` is when it is signed, now by default."""
        return build_all([(self, card)], moment)[0]

    def _begin(self, card: Card) -> tuple[bytes, bytes]:
        """The card's own document, and the manifest that is signed."""
        document = self._content.of(card)
        # A manifest names every file but itself and its signature.
        return document, self._manifest % _sha1(document).encode()

    def _finish(self, document: bytes, manifest: bytes, signature: bytes) -> bytes:
        own = {"pass.json": document, "manifest.json": manifest, "signature": signature}
        archive, directory = _entries(own, len(self._archive))
        return b"".join(
            (
                self._archive,
                archive,
                self._directory,
                directory,
                _end(
                    self._count + len(own),
                    len(self._directory) + len(directory),
                    len(self._archive) + len(archive),
                ),
            )
        )


def build_all(asked: Sequence[tuple[Package, Card]], moment: datetime | None = None) -> list[bytes]:
    """The passes of several cards, each of its package, signed one right after the other.

    A processor has to warm up for the wide registers that RSA is counted in: a signature among other work takes a
    third longer (0.26 ms and 0.35 ms, measured) than one after another.
    """
    moment = moment or datetime.now(UTC)
    begun = [package._begin(card) for package, card in asked]
    signatures = [
        package._signer.sign(manifest, moment)
        for (package, _), (_, manifest) in zip(asked, begun, strict=True)
    ]
    return [
        package._finish(document, manifest, signature)
        for (package, _), (document, manifest), signature in zip(asked, begun, signatures, strict=True)
    ]


def _entries(files: Mapping[str, bytes], offset: int) -> tuple[bytes, bytes]:
    """Stored entries that begin `offset` bytes into the archive, and their lines of its directory."""
    entries: list[bytes] = []
    directory: list[bytes] = []
    for name, data in files.items():
        path, size = name.encode("ascii"), len(data)
        # time, date, checksum, packed size, unpacked size, length of the name, length of extra fields
        common = (0, _DOS_DATE, zlib.crc32(data), size, size, len(path), 0)
        entries += (_LOCAL.pack(b"PK\x03\x04", _VERSION, 0, 0, *common), path, data)
        directory += (
            _CENTRAL.pack(b"PK\x01\x02", _UNIX | _VERSION, _VERSION, 0, 0, *common, 0, 0, 0, _MODE, offset),
            path,
        )
        offset += _LOCAL.size + len(path) + size
    return b"".join(entries), b"".join(directory)


def _end(count: int, directory_size: int, directory_offset: int) -> bytes:
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, directory_size, directory_offset, 0)


def _sha1(data: bytes) -> str:
    # Apple's format asks for SHA-1; the manifest itself is signed with SHA-256.
    return sha1(data, usedforsecurity=False).hexdigest()
