"""Customers in their own pages, for tests of session pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy.engine import Connection

from tests.conftest import SECRET
from tests.pages.steps import change
from tests.support.ledger import change_points
from tests.support.links import session_path
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.program import Program, load_program


class Somebody:
    """A customer whose session is open in `client`."""

    def __init__(self, server: Server, client: httpx.Client, row: dict[str, Any]) -> None:
        self.server, self.client = server, client
        self.id: str = row["id"]

    def page(self, path: str) -> httpx.Response:
        return self.client.get(f"/brewbar/{path}")

    def posts(self, path: str, **form: str) -> httpx.Response:
        return self.client.post(f"/brewbar/{path}", data=form)

    def rows(self, table: str, **where: Any) -> list[dict[str, Any]]:
        return rows_of(self.server.environment["DATABASE_URL"], table, customer_id=self.id, **where)

    def points(self) -> int:
        held = self.rows("balance")
        return int(held[0]["available"]) if held else 0

    def gets(self, points: int) -> None:
        beside(self.server, lambda conn, program: change_points(conn, program.slug, self.id, points))


def beside(server: Server, work: Any) -> Any:
    """Do something in the server's database with the demo programme, as another process would."""

    def unit(conn: Connection) -> Any:
        program: Program | None = load_program(conn, "brewbar", Sealer((SECRET,)))
        assert program is not None
        return work(conn, program)

    return in_database(server.environment["DATABASE_URL"], unit)


@contextmanager
def member(
    server: Server, *, points: int = 0, verified: bool = True, name: str = "Kim Park", language: str = "en"
) -> Iterator[Somebody]:
    """A new customer of this test alone."""
    address = f"kim-{uuid4().hex[:12]}@example.org"
    with server.client() as client:
        client.post("/brewbar/register", data={"contact": address})
        client.post("/brewbar/register/about", data={"name": name})
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    if verified:
        change(server, "customer", {"id": row["id"]}, email_verified_at=utc_now())
    with server.client() as client:
        somebody = Somebody(server, client, row)
        if points:
            somebody.gets(points)
        client.get(session_path(server, Sealer((SECRET,)), address))
        client.cookies.set("lang", language)
        yield somebody


@contextmanager
def demo_customer(server: Server, name: str, language: str = "en") -> Iterator[Somebody]:
    """One of the demo's own, with their history."""
    address = f"{name}@example.com"
    [row] = rows_of(server.environment["DATABASE_URL"], "customer", email_key=address)
    with server.client() as client:
        client.get(session_path(server, Sealer((SECRET,)), address))
        client.cookies.set("lang", language)
        yield Somebody(server, client, row)


def reward_of(server: Server, cost: int) -> str:
    """The id of the demo's reward that costs so much."""
    rewards: list[Any] = beside(server, lambda conn, program: program.rewards)
    return next(str(each.id) for each in rewards if each.cost == cost)
