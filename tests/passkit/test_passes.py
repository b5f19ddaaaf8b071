"""The card as phones fetch it: always the present one, and not twice what they have."""

import zipfile
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import SECRET
from tests.pages.members import beside
from tests.passkit.phones import Phone, eventually, issue
from tests.support.rows import in_database
from tests.support.serving import Server
from tests.wallet.apple.verifier import Verified, verify
from web.foundation.sealing import Sealer
from web.loyalty.personal_data import erase
from web.loyalty.program import change_program, create_program, load_program
from web.loyalty.program_settings import ProgramSettings
from web.loyalty.wallet_pass import passes_changed, void_passes, wallet_pass
from web.wallet.apple.development import ROOT


def read(server: Server, package: bytes) -> Verified:
    return verify(package, Path(server.environment["PASITO_DATA_DIR"]) / "signing" / ROOT)


def document(package: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(zipfile.ZipFile(BytesIO(package)).read("pass.json"))
    return found


def test_it_is_signed_anew_and_sent_as_phones_want_it(server: Server) -> None:
    issued = issue(server)
    answer = issued.fetch(accept_encoding="gzip, br")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/vnd.apple.pkpass"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "content-encoding" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    written = parsedate_to_datetime(answer.headers["last-modified"])
    assert written == datetime.fromtimestamp(issued.row()["version"], UTC)
    shown = read(server, answer.content)
    assert shown.document["serialNumber"] == issued.held.id
    assert shown.shown("balance", "value", "en") == "0"


def test_a_change_that_was_answered_is_on_the_card(server: Server) -> None:
    issued = issue(server)
    before = issued.fetch()
    # Many within one second: each is a version of its own.
    for points in range(1, 6):
        issued.gets(1)
        answer = issued.fetch(if_modified_since=before.headers["last-modified"])
        assert answer.status_code == 200
        assert document(answer.content)["storeCard"]["headerFields"][0]["value"] == str(points)
        before = answer
    unchanged = issued.fetch(if_modified_since=before.headers["last-modified"])
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["last-modified"] == before.headers["last-modified"]


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Fri, 01 Jan 2100 00:00:00 GMT", 304),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 200),
        ("yesterday", 200),
        ("Mon, 99 Foo 99999999999 99:99:99 +9999", 200),
        ("\xff" * 300, 200),
    ],
)
def test_only_a_date_that_is_the_version_s_or_later_spares_the_card(
    sqlite_server: Server, since: str, status: int
) -> None:
    assert issue(sqlite_server).fetch(if_modified_since=since).status_code == status


def test_the_ledger_knows_which_version_a_phone_has(server: Server) -> None:
    issued = issue(server)
    version = issued.row()["version"]
    first = issued.fetch()
    eventually(lambda: issued.row()["fetched_version"] == version)
    at = issued.row()["fetched_at"]
    issued.fetch(if_modified_since=first.headers["last-modified"])
    issued.gets(5)
    later = issued.row()
    assert later["version"] > version
    assert (later["fetched_version"], later["fetched_at"]) == (version, at), "it was not fetched since"
    issued.fetch()
    eventually(lambda: issued.row()["fetched_version"] == later["version"])


def test_a_void_card_says_so(server: Server) -> None:
    issued = issue(server)
    assert "voided" not in document(issued.fetch().content)
    beside(server, lambda conn, program: void_passes(conn, program.id, wallet_pass.c.id == issued.held.id))
    assert read(server, issued.fetch().content).document["voided"] is True


def test_an_erased_customer_s_card_is_void_and_names_nobody(server: Server) -> None:
    issued = issue(server, name="Zebedee Quux")
    before = issued.fetch()
    beside(server, lambda conn, program: erase(conn, program.id, issued.held.customer_id, []))
    after = issued.fetch(if_modified_since=before.headers["last-modified"])
    assert after.status_code == 200
    shown = read(server, after.content).document
    assert shown["voided"] is True
    assert "barcodes" not in shown
    number = document(before.content)["barcodes"][0]["message"]
    for trace in ("Zebedee", "Quux", number):
        assert trace in str(document(before.content))
        assert trace not in str(shown)


def test_a_void_card_has_lost_its_name_before_its_customer_is_erased(server: Server) -> None:
    issued, phone = issue(server, name="Zebedee Quux"), Phone(server)
    phone.registers(issued)
    assert "Zebedee" in str(document(issued.fetch().content))
    beside(server, lambda conn, program: void_passes(conn, program.id, wallet_pass.c.id == issued.held.id))
    tag = phone.asks().json()["lastUpdated"]
    assert "Zebedee" not in str(document(issued.fetch().content))
    beside(server, lambda conn, program: erase(conn, program.id, issued.held.customer_id, []))
    assert phone.asks(tag).json()["serialNumbers"] == [issued.held.id]
    assert "Zebedee" not in str(document(issued.fetch().content))


def test_each_of_two_phones_of_the_erased_may_still_ask(server: Server) -> None:
    issued, one, two = issue(server), Phone(server), Phone(server)
    one.registers(issued)
    two.registers(issued)
    beside(server, lambda conn, program: erase(conn, program.id, issued.held.customer_id, []))
    issued.fetch()
    eventually(lambda: issued.row()["fetched_version"] == issued.row()["version"])
    assert [phone.asks().status_code for phone in (one, two)] == [200, 200]


def test_a_programme_of_this_very_moment_is_known(server: Server) -> None:
    """Made and changed by another process, which this one has not heard of yet."""
    url = server.environment["DATABASE_URL"]
    sealer = Sealer((SECRET,))
    settings = ProgramSettings(name="Brand New", languages=("en",))

    def make(conn: Any) -> Any:
        create_program(conn, f"new-{issued.held.id[-12:]}", settings, sealer)
        return load_program(conn, f"new-{issued.held.id[-12:]}", sealer)

    issued = issue(server)
    program = in_database(url, make)
    theirs = issue(server, of=program)
    assert document(theirs.fetch().content)["organizationName"] == "Brand New"

    def rename(conn: Any) -> None:
        change_program(conn, program.slug, msgspec.structs.replace(settings, name="Renamed"))
        passes_changed(conn, program.id)

    in_database(url, rename)
    assert document(theirs.fetch().content)["organizationName"] == "Renamed", "no older than its version"
