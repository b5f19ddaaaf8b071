"""Assets over real HTTP, from uvicorn, mounted in Litestar as the application does it."""

import asyncio
import base64
import gzip
import hashlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import brotli  # type: ignore[import-untyped]
import httpx
import pytest
import uvicorn
from litestar import Litestar, asgi

from web.foundation import assets as module
from web.foundation.assets import Assets

CSS = b"a { color: red }\n" * 50
LOGO = bytes(range(256))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "assets" / "css").mkdir(parents=True)
    (tmp_path / "assets" / "img").mkdir()
    (tmp_path / "assets" / "css" / "app.css").write_bytes(CSS)
    (tmp_path / "assets" / "img" / "logo.png").write_bytes(LOGO)
    (tmp_path / "assets" / "img" / ".hidden").write_bytes(b"secret")
    (tmp_path / "assets" / "LICENCE").write_bytes(b"free")
    (tmp_path / "node_modules" / "htmx.org" / "dist").mkdir(parents=True)
    (tmp_path / "node_modules" / "htmx.org" / "dist" / "htmx.min.js").write_bytes(b"let htmx;")
    return tmp_path


def load(root: Path) -> Assets:
    return Assets.load(root / "assets", root / "node_modules", root / "cache")


@pytest.fixture
def assets(root: Path) -> Assets:
    return load(root)


@pytest.fixture
async def browser(assets: Assets) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server of its own; it asks for no compression unless a test does."""

    mounted = asgi("/assets", is_mount=True, copy_scope=False)(assets.asgi)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        config = uvicorn.Config(Litestar([mounted], openapi_config=None), log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([free]))
        while not server.started:  # noqa: ASYNC110 (uvicorn has no event for it)
            await asyncio.sleep(0.01)
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=address, headers={"accept-encoding": ""}) as client:
            yield client
        server.should_exit = True
        await serving


async def raw(browser: httpx.AsyncClient, url: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """The answer and its body as it came over the wire, not decompressed."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with browser.stream("GET", url, headers=headers) as answer:
        return answer, b"".join([chunk async for chunk in answer.aiter_raw()])


class TestAddresses:
    def test_an_address_changes_with_the_content_and_only_with_it(self, root: Path) -> None:
        first = load(root)
        assert load(root).url("css/app.css") == first.url("css/app.css")
        (root / "assets" / "css" / "app.css").write_bytes(CSS + b"b {}")
        assert load(root).url("css/app.css") != first.url("css/app.css")
        assert load(root).url("img/logo.png") == first.url("img/logo.png")

    def test_an_address_keeps_the_folder_and_the_suffix(self, assets: Assets) -> None:
        digest = hashlib.sha256(CSS).hexdigest()[:12]
        assert assets.url("css/app.css") == f"/assets/css/app.{digest}.css"
        assert assets.url("LICENCE").startswith("/assets/LICENCE.")

    def test_an_unknown_name_is_an_error(self, assets: Assets) -> None:
        assert "css/none.css" not in assets
        with pytest.raises(KeyError):
            assets.url("css/none.css")

    def test_hidden_files_are_left_out(self, assets: Assets) -> None:
        assert "img/.hidden" not in assets

    def test_htmx_is_an_asset_where_it_is_installed(self, root: Path) -> None:
        assert load(root).bytes("js/htmx.js") == b"let htmx;"
        (root / "node_modules" / "htmx.org" / "dist" / "htmx.min.js").unlink()
        assert "js/htmx.js" not in load(root)

    def test_a_page_can_pin_a_script_to_its_content(self, assets: Assets) -> None:
        digest = base64.b64encode(hashlib.sha384(b"let htmx;").digest()).decode()
        assert assets.integrity("js/htmx.js") == f"sha384-{digest}"

    def test_the_style_sheet_is_all_of_the_css(self, assets: Assets) -> None:
        assert assets.stylesheet() == "a{color:red}" * 50


class TestAnswers:
    async def test_a_file_comes_as_it_is_to_be_kept_for_ever(
        self, browser: httpx.AsyncClient, assets: Assets
    ) -> None:
        answer = await browser.get(assets.url("css/app.css"))
        assert answer.status_code == 200
        assert answer.content == CSS
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["content-length"] == str(len(CSS))

    async def test_text_is_compressed_as_the_browser_wants(
        self, browser: httpx.AsyncClient, assets: Assets
    ) -> None:
        url = assets.url("css/app.css")
        answer, body = await raw(browser, url, accept_encoding="gzip, br")
        assert (answer.headers["content-encoding"], brotli.decompress(body)) == ("br", CSS)
        answer, body = await raw(browser, url, accept_encoding="gzip, br;q=0.1")
        assert (answer.headers["content-encoding"], gzip.decompress(body)) == ("gzip", CSS)
        answer, body = await raw(browser, url, accept_encoding="br;q=0, gzip;q=0")
        assert ("content-encoding" in answer.headers, body) == (False, CSS)

    async def test_pictures_are_not_compressed_again(
        self, browser: httpx.AsyncClient, assets: Assets
    ) -> None:
        answer, body = await raw(browser, assets.url("img/logo.png"), accept_encoding="gzip, br")
        assert body == LOGO
        assert answer.headers["content-type"] == "image/png"
        assert "content-encoding" not in answer.headers
        assert "vary" not in answer.headers

    async def test_a_file_of_unknown_kind_is_only_bytes(
        self, browser: httpx.AsyncClient, assets: Assets
    ) -> None:
        answer = await browser.get(assets.url("LICENCE"))
        assert answer.headers["content-type"] == "application/octet-stream"

    async def test_head_says_the_same_without_the_body(
        self, browser: httpx.AsyncClient, assets: Assets
    ) -> None:
        url = assets.url("css/app.css")
        full, head = await browser.get(url), await browser.head(url)
        assert head.content == b""
        assert head.status_code == 200
        assert {**head.headers, "date": ""} == {**full.headers, "date": ""}

    async def test_what_a_browser_has_is_not_sent_again(
        self, browser: httpx.AsyncClient, assets: Assets
    ) -> None:
        url = assets.url("css/app.css")
        answer, _ = await raw(browser, url, accept_encoding="br")
        tag = answer.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again, body = await raw(browser, url, accept_encoding="br", if_none_match=known)
            assert (again.status_code, body) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers["vary"] == "accept-encoding"
            assert "content-length" not in again.headers
            assert "content-encoding" not in again.headers

    async def test_a_tag_is_for_one_coding(self, browser: httpx.AsyncClient, assets: Assets) -> None:
        url = assets.url("css/app.css")
        tags = {
            (await raw(browser, url, accept_encoding=how))[0].headers["etag"] for how in ("br", "gzip", "")
        }
        assert len(tags) == 3
        plain = (await browser.get(url)).headers["etag"]
        answer, _ = await raw(browser, url, accept_encoding="br", if_none_match=plain)
        assert answer.status_code == 200

    @pytest.mark.parametrize(
        "path",
        [
            "/assets/css/app.css",
            "/assets/css/app.000000000000.css",
            "/assets/img/.hidden",
            "/assets/../../etc/passwd",
            "/assets/%2e%2e/%2e%2e/etc/passwd",
            "/assets/",
            "/assets",
        ],
    )
    async def test_anything_else_is_not_there_and_nobody_remembers_it(
        self, browser: httpx.AsyncClient, path: str
    ) -> None:
        answer = await browser.get(path)
        assert answer.status_code == 404
        if path != "/assets/../../etc/passwd":  # httpx resolves it before it asks
            assert answer.headers["cache-control"] == "no-store"

    async def test_only_get_and_head_are_allowed(self, browser: httpx.AsyncClient, assets: Assets) -> None:
        answer = await browser.post(assets.url("css/app.css"))
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


class TestCompressedForms:
    def test_they_are_made_once_and_kept(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = load(root)
        kept = {path.name: path.read_bytes() for path in (root / "cache").iterdir()}
        assert len(kept) == 4  # app.css and htmx, brotli and gzip
        monkeypatch.delattr(module, "compress")
        assert load(root).url("css/app.css") == first.url("css/app.css")

    def test_a_folder_among_the_assets_is_not_served(self, root: Path) -> None:
        folder = root / "assets" / "built"
        for _ in range(2):
            assets = Assets.load(root / "assets", root / "node_modules", folder)
        assert not [name for name in ("css/app.css", "LICENCE") if name not in assets]
        assert not [path.name for path in folder.iterdir() if f"built/{path.name}" in assets]

    def test_a_folder_that_cannot_be_written_is_done_without(self, root: Path) -> None:
        (root / "cache").write_text("a file where the folder should be")
        assert load(root).bytes("css/app.css") == CSS
