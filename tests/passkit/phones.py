"""A phone at its plainest, for tests of each call: what it sends, and nothing that it would conclude."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy.engine import Connection

from tests.loyalty.people import new_customer
from tests.pages.members import beside
from tests.support.ledger import change_points
from tests.support.rows import rows_of
from tests.support.serving import Server
from web.loyalty.program import Program
from web.loyalty.wallet_pass import Pass, pass_for

PASS_TYPE = "pass.dev.pasito.card"


@dataclass
class Issued:
    """A pass of a new customer's, and the calls about it. What is given stands in for the pass's own."""

    server: Server
    held: Pass

    @property
    def path(self) -> str:
        return f"/passkit/v1/passes/{PASS_TYPE}/{self.held.id}"

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"ApplePass {self.held.token}"}

    def fetch(self, **headers: str) -> httpx.Response:
        return call(self.server, "GET", self.path, **{**self.headers, **headers})

    def row(self) -> dict[str, Any]:
        [row] = rows_of(self.server.environment["DATABASE_URL"], "wallet_pass", id=self.held.id)
        return row

    def events(self, name: str) -> list[dict[str, Any]]:
        rows = rows_of(
            self.server.environment["DATABASE_URL"], "event", customer_id=self.held.customer_id, name=name
        )
        return [row["properties"] for row in rows]

    def gets(self, points: int) -> None:
        beside(
            self.server,
            lambda conn, program: change_points(conn, program.slug, self.held.customer_id, points),
        )


@dataclass
class Phone:
    server: Server
    device: str = field(default_factory=lambda: secrets.token_hex(16))
    push_token: str = field(default_factory=lambda: secrets.token_hex(32))

    def registers(self, issued: Issued, **headers: str) -> httpx.Response:
        body = {"pushToken": self.push_token}
        return call(self.server, "POST", self._path(issued), body, **{**issued.headers, **headers})

    def leaves(self, issued: Issued, **headers: str) -> httpx.Response:
        return call(self.server, "DELETE", self._path(issued), **{**issued.headers, **headers})

    def asks(self, tag: str | None = None, pass_type: str = PASS_TYPE) -> httpx.Response:
        since = "" if tag is None else f"?passesUpdatedSince={quote(tag, safe='')}"
        return call(self.server, "GET", f"/passkit/v1/devices/{self.device}/registrations/{pass_type}{since}")

    def _path(self, issued: Issued) -> str:
        return f"/passkit/v1/devices/{self.device}/registrations/{PASS_TYPE}/{issued.held.id}"


def call(server: Server, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
    """As a phone calls: no cookies, no origin, whatever the network."""
    sent = {name.replace("_", "-"): value.encode("latin-1") for name, value in headers.items()}
    return httpx.request(
        method,
        f"{server.url}{path}",
        json=body,
        headers=[(name.encode(), value) for name, value in sent.items()],
    )


def issue(server: Server, *, of: Program | None = None, **changes: Any) -> Issued:
    """A new customer's pass, of the demo programme or another."""

    def work(conn: Connection, demo: Program) -> Pass:
        program = of or demo
        customer_id = new_customer(conn, program, **changes)
        return pass_for(conn, program.id, customer_id, "apple")

    return Issued(server, beside(server, work))


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait for what follows an answer."""
    ends = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < ends, "it did not become so"
        time.sleep(0.02)
