"""What is proven of a consent is the wording that was on the screen, also when a merchant changes it meanwhile."""

import re
import time
from typing import Any

import httpx
import msgspec

from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.sealing import Sealer
from web.loyalty.program import change_program, load_program


def shown_version(client: httpx.Client) -> str:
    page = client.get("/brewbar/register/about").text
    return re.search(r'name="wording_news" value="(\d+)"', page)[1]  # type: ignore[index]


def reword(server: Server, sealer: Sealer, text: str) -> None:
    def work(conn: Any) -> None:
        program = load_program(conn, "brewbar", sealer)
        assert program is not None
        news, *others = program.settings.consents
        news = msgspec.structs.replace(news, wording={**news.wording, "en": text})
        changed = msgspec.structs.replace(program.settings, consents=(news, *others))
        change_program(conn, "brewbar", changed)

    in_database(server.environment["DATABASE_URL"], work)


def test_a_wording_that_changes_while_it_is_read_is_shown_again(
    sqlite_server: Server, sealer: Sealer
) -> None:
    with sqlite_server.client() as client:
        client.post("/brewbar/register", data={"contact": "reader@example.org"})
        read = shown_version(client)
        reword(sqlite_server, sealer, "Brew Bar may write to me every day.")
        ends = time.monotonic() + 15
        while (now := shown_version(client)) == read and time.monotonic() < ends:
            time.sleep(0.1)
        assert now != read
        about = {"name": "Reader", "consents": "news"}
        asked = client.post("/brewbar/register/about", data={**about, "wording_news": read})
        assert asked.status_code == 422
        assert "These words have just changed" in asked.text
        assert "every day" in asked.text
        done = client.post("/brewbar/register/about", data={**about, "wording_news": now})
        assert done.headers["location"] == "/brewbar/register/card"
    url = sqlite_server.environment["DATABASE_URL"]
    [customer] = rows_of(url, "customer", email_key="reader@example.org")
    [news] = rows_of(url, "consent_event", customer_id=customer["id"], purpose="news")
    assert (news["decision"], str(news["wording_version"])) == ("granted", now)
