"""Files that browsers keep for ever: read at the start, named by their content, compressed once.

An asset's address changes with its content, so that it may be kept for a year and a new release is seen at
once. Compressing at the highest level takes long, so the results are kept in a folder by content hash.
"""

import base64
import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from litestar.types import HTTPResponseStartEvent, HTTPScope, Receive, Scope, Send

from web.foundation.compression import BEST, Coding, compress, negotiate
from web.foundation.stylesheet import stylesheet

PREFIX = "/assets/"
HTMX = "js/htmx.js"
HTMX_FILE = Path("htmx.org/dist/htmx.min.js")

_CODINGS: tuple[Coding, ...] = ("br", "gzip")
# Our own table: Python's differs between its versions and with the machine's files.
_MEDIA_TYPES = {
    ".avif": "image/avif",
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_COMPRESSIBLE = {".css", ".js", ".json", ".svg", ".txt", ".webmanifest"}
_KEPT_FOR_EVER = b"public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `bodies` holds it in each coding, under "" as it is; only text is worth compressing."""

    url: str
    media_type: str
    digest: str
    bodies: dict[Coding, bytes]

    def etag(self, coding: Coding) -> str:
        """Strong, so each coding has its own (RFC 9110, 8.8.3.3)."""
        return f'"{self.digest}-{coding}"' if coding else f'"{self.digest}"'


class Assets:
    """The table of all assets, by the name that the code uses: `css/app.css`, or `js/htmx.js` for htmx."""

    def __init__(self, assets: dict[str, Asset], stylesheet: str) -> None:
        self._assets = assets
        self._stylesheet = stylesheet
        self._by_path = {asset.url.removeprefix(PREFIX): asset for asset in assets.values()}

    @classmethod
    def load(cls, root: Path, node_modules: Path, cache: Path, badges: Path | None = None) -> "Assets":
        """Reads every file under `root`, and htmx from `node_modules` if it is installed there.

        `badges` is a folder of the operator's own, whose files are named `badges/…`.
        `cache` is a folder for the compressed forms; it is made, and if that is not possible done without.
        """
        files = {
            path.relative_to(root).as_posix(): path for path in _files(root) if cache not in path.parents
        }
        if (node_modules / HTMX_FILE).is_file():
            files[HTMX] = node_modules / HTMX_FILE
        if badges is not None:
            files |= {f"badges/{path.relative_to(badges).as_posix()}": path for path in _files(badges)}
        assets = {name: _asset(name, path.read_bytes(), cache) for name, path in sorted(files.items())}
        return cls(assets, stylesheet(root / "css"))

    def __contains__(self, name: str) -> bool:
        return name in self._assets

    def url(self, name: str) -> str:
        """The address, `/assets/css/app.3f9a1c5e20b7.css`. KeyError for an unknown name, as for all below."""
        return self._assets[name].url

    def bytes(self, name: str) -> bytes:
        """The file as it is."""
        return self._assets[name].bodies[""]

    def integrity(self, name: str) -> str:
        """The value of an `integrity` attribute."""
        return f"sha384-{base64.b64encode(hashlib.sha384(self.bytes(name)).digest()).decode()}"

    def stylesheet(self) -> str:
        """All of `css/` as one minified text, to be written into pages as it is."""
        return self._stylesheet

    async def asgi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers GET and HEAD below `/assets/`, as an ASGI application mounted there or at the root."""
        scope = cast(HTTPScope, scope)
        # A mount hands on the path below it, and Litestar's adds a slash at the end.
        path = scope["path"].removeprefix(PREFIX).strip("/")
        asset = self._by_path.get(path)
        if scope["method"] not in ("GET", "HEAD"):
            await _send(send, 405, [(b"allow", b"GET, HEAD")], b"")
        elif asset is None:
            # While a release rolls out another process may know the name: nobody may remember this answer.
            await _send(send, 404, [(b"cache-control", b"no-store")], b"")
        else:
            await _answer(asset, scope["method"], dict(scope["headers"]), send)


async def _answer(asset: Asset, method: str, asked: dict[bytes, bytes], send: Send) -> None:
    coding = negotiate(asked.get(b"accept-encoding", b"").decode("latin-1"))
    coding = coding if coding in asset.bodies else ""
    headers = [(b"cache-control", _KEPT_FOR_EVER), (b"etag", asset.etag(coding).encode())]
    if len(asset.bodies) > 1:
        headers.append((b"vary", b"accept-encoding"))
    if _matches(asked.get(b"if-none-match", b"").decode("latin-1"), asset.etag(coding)):
        await _send(send, 304, headers, None)
        return
    headers.append((b"content-type", asset.media_type.encode()))
    if coding:
        headers.append((b"content-encoding", coding.encode()))
    body = asset.bodies[coding]
    await _send(send, 200, headers, body, with_body=method == "GET")


async def _send(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes | None, with_body: bool = True
) -> None:
    """`body` None is an answer that has no content at all, not even an empty one."""
    headers.append((b"x-content-type-options", b"nosniff"))
    if body is not None:
        headers.append((b"content-length", str(len(body)).encode()))
    start: HTTPResponseStartEvent = {"type": "http.response.start", "status": status, "headers": headers}
    await send(start)
    content = body if body and with_body else b""
    await send({"type": "http.response.body", "body": content, "more_body": False})


def _matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110, 13.1.2: any of the tags, weak or not, or `*`."""
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return any(tag in ("*", etag) for tag in tags)


def _files(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def _asset(name: str, body: bytes, cache: Path) -> Asset:
    digest = hashlib.sha256(body).hexdigest()
    suffix = PurePosixPath(name).suffix
    media_type = _MEDIA_TYPES.get(suffix, "application/octet-stream")
    bodies: dict[Coding, bytes] = {"": body}
    if suffix in _COMPRESSIBLE:
        bodies |= {coding: _compressed(body, coding, cache / f"{digest}.{coding}") for coding in _CODINGS}
    short = digest[:12]
    return Asset(f"{PREFIX}{name.removesuffix(suffix)}.{short}{suffix}", media_type, short, bodies)


def _compressed(body: bytes, coding: Coding, kept: Path) -> bytes:
    try:
        return kept.read_bytes()
    except OSError:
        compressed = compress(body, coding, BEST[coding])
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed, so that a process starting beside us never reads half a file.
        with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
            file.write(compressed)
        Path(file.name).replace(kept)
    except OSError:
        pass
    return compressed
