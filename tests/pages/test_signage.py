"""The sign in the shop: what is printed is read again by a decoder, and leads to the door with its campaign."""

import io
from uuid import uuid4

import httpx
import pytest
import zxingcpp
from PIL import Image

from tests.foundation.test_qr import decoded, drawn
from tests.support.rows import rows_of
from tests.support.serving import Server


def scanned(answer: httpx.Response) -> str:
    """What a phone's camera reads from the picture."""
    if answer.headers["content-type"].startswith("image/png"):
        [found] = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.content)).convert("L"))
        return str(found.text)
    return str(decoded(drawn(answer.text, 8)))


def test_both_pictures_hold_the_same_short_address_and_reprints_match(server: Server) -> None:
    query = f"location=malasana&utm_source=counter&utm_campaign={uuid4().hex}"
    with server.client() as client:
        texts = {scanned(client.get(f"/brewbar/{name}?{query}")) for name in ("qr.svg", "qr.png", "qr.svg")}
        other = scanned(client.get(f"/brewbar/qr.svg?{query}2"))
        poster = client.get(f"/brewbar/poster?{query}").text
    [text] = texts
    assert text == text.upper()
    assert text.startswith(f"{server.url.upper()}/S/")
    assert len(text.rpartition("/")[2]) == 6
    assert text.rpartition("/")[2] in poster
    assert "Malasaña" in poster
    assert other != text, "each campaign has a code of its own"


def test_scanning_leads_to_the_door_with_a_touch(server: Server) -> None:
    campaign, url = uuid4().hex, server.environment["DATABASE_URL"]
    query = f"location=lavapies&utm_source=window&utm_medium=poster&utm_campaign={campaign}"
    with server.client() as client:
        text = scanned(client.get(f"/brewbar/qr.png?{query}"))
        path = text.removeprefix(server.url.upper())
        assert client.head(path).headers["location"] == "/brewbar"
        assert rows_of(url, "touch", campaign=campaign) == [], "nobody came yet"
        door = client.get(path, follow_redirects=True)
    assert door.url.path == "/brewbar"
    assert "Every tenth coffee is on us" in door.text
    [touch] = rows_of(url, "touch", campaign=campaign)
    [shop] = rows_of(url, "location", slug="lavapies")
    assert (touch["source"], touch["medium"]) == ("window", "poster")
    assert touch["location_id"] == shop["id"]


@pytest.mark.parametrize("name", ["qr.svg", "qr.png", "poster"])
@pytest.mark.parametrize("place", ["atlantis", "%00", "%FF", "' or 1=1", "x" * 3000])
def test_a_shop_that_is_not_there_is_a_404(server: Server, name: str, place: str) -> None:
    with server.client() as client:
        assert client.get(f"/brewbar/{name}?location={place}").status_code == 404


@pytest.mark.parametrize("value", ["%00", "%ff", "a%00b%0d%0ac", "x" * 4000, "%F0%9F%8E%89", ""])
def test_any_campaign_makes_a_sign_or_a_plain_one(server: Server, value: str) -> None:
    with server.client() as client:
        answer = client.get(f"/brewbar/qr.svg?utm_source={value}&utm_medium={value}&utm_campaign={value}")
    assert answer.status_code == 200
    assert scanned(answer)


def test_the_pictures_are_named_and_kept_for_an_hour(server: Server) -> None:
    with server.client() as client:
        answer = client.get("/BREWBAR/qr.svg")
    assert answer.headers["content-disposition"] == 'inline; filename="brewbar-qr.svg"'
    assert answer.headers["cache-control"] == "public, max-age=3600"


@pytest.mark.parametrize(
    ("asked", "size", "other"), [("", "a4", "a5"), ("A5", "a5", "a4"), ("letter", "a4", "a5")]
)
def test_the_poster_comes_in_two_sizes(sqlite_server: Server, asked: str, size: str, other: str) -> None:
    with sqlite_server.client() as client:
        page = client.get(f"/brewbar/poster?size={asked}&location=malasana&utm_source=door").text
    assert f"poster--{size}" in page
    assert f"/brewbar/poster?location=malasana&amp;utm_source=door&amp;size={other}" in page
