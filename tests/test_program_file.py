"""A programme in a TOML file: what a merchant writes, and what they are told when it is wrong."""

import io
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy.engine import Connection

from tests.support.rows import in_database, rows_of
from web.demo import FILE
from web.foundation.sealing import Sealer
from web.loyalty.program import SlugTaken, image_of, load_program
from web.loyalty.program_settings import InvalidProgram
from web.program_file import create_from_file, read_program_file, update_from_file
from web.wallet.pictures import LARGEST_SIDE, MARK_SIDE

PLAIN = """
slug = "corner"
[settings]
name = "The Corner"
languages = ["en", "es"]
[[settings.consents]]
purpose = "news"
wording = { en = "News by e-mail", es = "Novedades por correo" }
[[tiers]]
name = { en = "Gold" }
required_points = 500
[[tiers]]
name = { en = "Green" }
required_points = 0
[[rewards]]
title = { en = "Cake" }
cost = 80
code_source = "pool"
codes = ["CAKE-1", "CAKE-2"]
[[coupons]]
name = { en = "Spring treat" }
kind = "percent"
value = 10
code_source = "pool"
codes = ["SPRING-1", "SPRING-2", "SPRING-3"]
[[earning_flows]]
type = "INCENTIVIZE_PURCHASES"
title = { en = "Every purchase" }
points = 1
per_money = 100
[[multipliers]]
name = { en = "Double Tuesdays" }
percent = 200
starts = 2026-12-01T00:00:00
ends = 2027-01-01T00:00:00
weekdays = [2]
[[locations]]
slug = "harbour"
name = "At the harbour"
"""


def written(folder: Path, text: str = PLAIN) -> Path:
    path = folder / "program.toml"
    path.write_text(text, "utf-8")
    return path


def picture(path: Path, size: tuple[int, int], form: str = "PNG", **options: object) -> None:
    Image.new("RGBA" if form == "PNG" else "RGB", size, "#c0ffee").save(path, form, **options)


def wrong(path: Path) -> str:
    with pytest.raises(InvalidProgram) as caught:
        read_program_file(path)
    return str(caught.value)


def test_the_demo_s_file_is_a_good_one() -> None:
    assert read_program_file(FILE).slug == "brewbar"


def test_everything_in_the_file_is_made(database_url: str, tmp_path: Path, sealer: Sealer) -> None:
    program_id = in_database(database_url, lambda conn: create_from_file(conn, written(tmp_path), sealer))
    tiers = rows_of(database_url, "tier", program_id=program_id)
    assert {row["level"]: row["name"]["en"] for row in tiers} == {0: "Green", 1: "Gold"}
    assert [row["cost"] for row in rows_of(database_url, "reward", program_id=program_id)] == [80]
    assert [row["slug"] for row in rows_of(database_url, "coupon", program_id=program_id)] == ["spring-treat"]
    assert [row["code"] for row in rows_of(database_url, "pool_code", program_id=program_id)] == [
        *("CAKE-1", "CAKE-2"),
        *("SPRING-1", "SPRING-2", "SPRING-3"),
    ]
    assert [row["slug"] for row in rows_of(database_url, "location", program_id=program_id)] == ["harbour"]
    (flow,) = rows_of(database_url, "earning_flow", program_id=program_id)
    assert (flow["type"], flow["points"], flow["per_money"], flow["recurrence"]) == (
        "INCENTIVIZE_PURCHASES",
        1,
        100,
        "unlimited",
    )
    (campaign,) = rows_of(database_url, "multiplier", program_id=program_id)
    assert (campaign["percent"], campaign["weekdays"]) == (200, [2])
    assert {row["locale"] for row in rows_of(database_url, "consent_wording", program_id=program_id)} == {
        "en",
        "es",
    }


def test_a_name_that_is_taken_is_refused_and_nothing_is_made(
    database_url: str, tmp_path: Path, sealer: Sealer
) -> None:
    path = written(tmp_path, PLAIN.replace("corner", "brewbar"))
    with pytest.raises(SlugTaken):
        in_database(database_url, lambda conn: create_from_file(conn, path, sealer))
    assert len(rows_of(database_url, "program")) == 1


def test_new_settings_take_the_place_of_the_old_and_what_has_grown_stays(
    database_url: str, tmp_path: Path, sealer: Sealer
) -> None:
    path = written(tmp_path)
    program_id = in_database(database_url, lambda conn: create_from_file(conn, path, sealer))
    made = in_database(database_url, lambda conn: load_program(conn, "corner", sealer))
    in_database(
        database_url,
        lambda conn: update_from_file(
            conn, written(tmp_path, PLAIN.replace("The Corner", "The Other Corner"))
        ),
    )
    program = in_database(database_url, lambda conn: load_program(conn, "corner", sealer))
    assert (program.id, program.settings.name, program.version) == (
        program_id,
        "The Other Corner",
        made.version + 1,
    )
    assert len(rows_of(database_url, "reward", program_id=program_id)) == 1


def test_updating_a_programme_that_is_not_there_says_so(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidProgram, match="there is no programme 'corner'"):
        in_database(database_url, lambda conn: update_from_file(conn, written(tmp_path)))


def test_a_logo_is_made_smaller_freed_of_what_else_was_in_it_and_gives_the_mark(
    database_url: str, tmp_path: Path, sealer: Sealer
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    picture(tmp_path / "logo.jpg", (3000, 1500), "JPEG", exif=exif)
    path = written(tmp_path, 'logo = "logo.jpg"\n' + PLAIN)

    def work(conn: Connection) -> tuple[bytes | None, bytes | None]:
        program_id = create_from_file(conn, path, sealer)
        return image_of(conn, program_id, "logo"), image_of(conn, program_id, "mark")

    logo, mark = in_database(database_url, work)
    assert Image.open(io.BytesIO(logo)).size == (LARGEST_SIDE, LARGEST_SIDE // 2)
    assert Image.open(io.BytesIO(mark)).size == (MARK_SIDE, MARK_SIDE // 2)
    assert logo.startswith(b"\x89PNG")
    assert b"taken at home" not in logo


WRONG = {
    "slug = ": "program.toml",
    PLAIN.replace('slug = "corner"', ""): "slug",
    PLAIN.replace('name = "The Corner"', ""): "name",
    PLAIN.replace("cost = 80", 'cost = "eighty"'): "rewards",
    PLAIN.replace("cost = 80", "cost = 80\nprice = 3"): "price",
    PLAIN.replace("INCENTIVIZE_PURCHASES", "SOMETHING"): "earning_flows",
    PLAIN.replace("[settings]", "[settings]\ncolour = 'red'"): "colour",
    PLAIN.replace("[settings]", "[settings]\nbrand = { colour = 'red' }"): "colour",
    PLAIN.replace("[settings]", "[settings]\ncountry = 'Spain'"): "country",
    PLAIN.replace("[settings]", "[settings]\nasks = 'fax'"): "asks",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    said = wrong(written(tmp_path, text))
    assert "program.toml" in said
    assert WRONG[text] in said


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    assert "cannot be read" in wrong(tmp_path / "nowhere.toml")
    (tmp_path / "program.toml").write_bytes(b"\xff\xfe")
    assert "program.toml" in wrong(tmp_path / "program.toml")


@pytest.mark.parametrize(
    ("name", "content"), [("nowhere.png", None), ("words.png", b"hello"), ("evil.svg", b"<svg/>")]
)
def test_a_picture_that_is_none_is_told_by_its_name_and_nothing_is_made(
    database_url: str, tmp_path: Path, sealer: Sealer, name: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    path = written(tmp_path, f'strip = "{name}"\n' + PLAIN)
    with pytest.raises(InvalidProgram, match=f"strip: {name}"):
        in_database(database_url, lambda conn: create_from_file(conn, path, sealer))
    assert len(rows_of(database_url, "program")) == 1
