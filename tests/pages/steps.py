"""What tests of pages do again and again: register, ask, follow a link, look at what is stored."""

import re
import time
from typing import Any, NamedTuple
from uuid import uuid4

import httpx
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from tests.conftest import SECRET
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.sealing import Sealer, random_code
from web.foundation.tokens import for_url
from web.loyalty.link import Purpose, make_link
from web.loyalty.program import load_program
from web.tables import metadata


class Made(NamedTuple):
    """A link as its owner's mail has it: the token in the address, and the code of the short form."""

    token: str
    code: str


def new_address() -> str:
    return f"zoe-{uuid4().hex[:12]}@example.org"


def register(
    client: httpx.Client, address: str, *, slug: str = "brewbar", field: str = "contact", **about: Any
) -> httpx.Response:
    """Both forms of the journey; the answer to the second one."""
    first = client.post(f"/{slug}/register", data={field: address})
    assert first.status_code == 303, first.text
    return client.post(f"/{slug}/register/about", data={"name": "Zoë", **about})


def registered(server: Server, client: httpx.Client | None = None, **about: Any) -> dict[str, Any]:
    """A new customer's row, registered through the pages."""
    address = new_address()
    with server.client() as own:
        assert register(client or own, address, **about).headers["location"] == "/brewbar/register/card"
    return customer_of(server, address)


def customer_of(server: Server, address: str) -> dict[str, Any]:
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address.lower())
    return row


def link_for(
    server: Server, customer_id: str, purpose: Purpose = "download", slug: str = "brewbar", **options: Any
) -> Made:
    """A link made beside the server, as the command makes one for support."""
    code = random_code()

    def work(conn: Connection) -> str:
        program = load_program(conn, slug, Sealer((SECRET,)))
        assert program is not None
        if purpose == "verify":
            customer = metadata.tables["customer"]
            email = conn.scalar(select(customer.c.email).where(customer.c.id == customer_id))
            options["sent_to"] = str(email)
        return make_link(conn, program, customer_id, purpose, jti=code, created_by="test", **options)

    return Made(for_url(in_database(server.environment["DATABASE_URL"], work)), code)


def change(server: Server, table: str, where: dict[str, Any], **values: Any) -> None:
    """Change rows beside the server: what time, support or another page would have done."""
    chosen = metadata.tables[table]
    rules = [chosen.c[name] == value for name, value in where.items()]
    in_database(
        server.environment["DATABASE_URL"],
        lambda conn: conn.execute(update(chosen).where(*rules).values(**values)),
    )


def links_in(message: dict[str, Any]) -> list[str]:
    return re.findall(r"https?://\S+", message["text"])


def quiet(server: Server) -> None:
    """Wait until the worker has nothing left to do: each event has been followed, and each delivery made."""
    url, ends = server.environment["DATABASE_URL"], time.monotonic() + 10
    while rows_of(url, "event", dispatched_at=None) or rows_of(url, "delivery", state="waiting"):
        assert time.monotonic() < ends, "deliveries are still waiting"
        time.sleep(0.05)


def everything(server: Server) -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables but the clock's, which go on by themselves."""
    return {
        name: rows_of(server.environment["DATABASE_URL"], name)
        for name in metadata.tables
        if name != "clock_run"
    }


def without_chance(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body, less what differs by nature: the clock, the request's own id, random secrets."""
    headers = [
        (name, re.sub(r"=[^;]{20,};", "=…;", value) if name == "set-cookie" else value)
        for name, value in answer.headers.items()
        if name not in ("date", "x-request-id")
    ]
    return answer.status_code, headers, re.sub(rb'name="form_token" value="[^"]+"', b"", answer.content)
