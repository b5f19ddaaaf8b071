"""What must be so after a week: each card on a phone as it would be built now, and each status as the phones' truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from tests.support.rows import in_database, rows_of
from web.app import ROOT
from web.demo.phone import Held, Phone
from web.foundation.database import Database, open_database
from web.foundation.languages import Catalogues
from web.foundation.sealing import Sealer
from web.loyalty.event import CARD_INSTALLED, CARD_UNINSTALLED, event
from web.loyalty.held_card import find_held_card
from web.loyalty.ledger import AVAILABLE, ledger_entry
from web.loyalty.program import Program, load_program
from web.settings import Settings
from web.wallet.apple.content import Content
from web.wallet.issue import card_of, design_of

# A pass of an https server names its web service, as in production.
BASE_URL = "https://localhost"


@dataclass
class Person:
    """A customer with a phone, and what is true of their pass: what the database must say in the end."""

    customer_id: str
    serial: str
    token: str
    network: str
    phone: Phone
    was_installed: bool = False
    is_erased: bool = False
    is_void: bool = False

    @property
    def holds(self) -> bool:
        return self.serial in self.phone.held


class Truth:
    """Cards as they would be built now."""

    def __init__(self, database: Database, pass_type: str, data_dir: Path) -> None:
        self._database, self._pass_type, self._data_dir = database, pass_type, data_dir
        self._content: Content | None = None
        self._program: Program | None = None

    async def faults_of_card(self, person: Person, held: Held) -> list[str]:
        shown = await find_held_card(self._database, person.serial)
        if shown is None:
            return [f"{person.serial} is on a phone and nowhere else"]
        if person.is_void:
            # Worthless: what it says besides does not change any more.
            return (
                []
                if held.opened.document.get("voided")
                else [f"{person.serial} is void, and the phone's is not"]
            )
        program, content = await self._of_program()
        fresh = msgspec.json.decode(content.of(card_of(program, shown)))
        if held.opened.document != fresh:
            shows, should = (dict(_leaves(each)) for each in (held.opened.document, fresh))
            other = {
                name: (shows.get(name), should[name]) for name in should if shows.get(name) != should[name]
            }
            journal = [
                f"{each.at:%M:%S.%f} {each.what} {each.answer}" for each in list(person.phone.journal)[:6]
            ]
            return [
                f"{person.serial} of version {shown.held.version} shows, and should: {other}; "
                f"modified {held.last_modified}, {journal}"
            ]
        if person.is_erased:
            return []
        booked = await self._database.read(_balance_by_ledger, program.id, person.customer_id)
        [balance] = [f for f in held.opened.fields("headerFields") if f["key"] == "balance"]
        said = "".join(letter for letter in balance["value"] if letter.isdigit())
        return [] if int(said) == booked else [f"{person.serial} says {said}, and the ledger {booked}"]

    async def _of_program(self) -> tuple[Program, Content]:
        if self._program is None or self._content is None:
            self._program = await self._database.read(load_demo, self._data_dir)
            assert self._program is not None
            catalogues = Catalogues.load(ROOT / "locales")
            design = await self._database.read(
                design_of,
                self._program,
                BASE_URL,
                lambda language, text: catalogues.find(language).text(text),
            )
            self._content = Content(design, self._pass_type, Settings().apple_team, f"{BASE_URL}/passkit")
        return self._program, self._content


async def faults_of_cards(
    url: str, people: list[Person], pass_type: str, data_dir: Path
) -> tuple[int, list[str]]:
    """How many cards on phones were compared with freshly built ones, and what is wrong with any of them."""
    database, compared, faults = open_database(url), 0, []
    try:
        truth = Truth(database, pass_type, data_dir)
        for person in people:
            for held in person.phone.held.values():
                compared += 1
                faults += await truth.faults_of_card(person, held)
    finally:
        await database.close()
    return compared, faults


def faults_of_statuses(url: str, people: list[Person]) -> Iterator[str]:
    """Where the database says another thing of a pass than its phone's owner would."""
    rows = {row["id"]: row for row in rows_of(url, "wallet_pass")}
    told = in_database(url, _installs_told)
    for person in people:
        row = rows[person.serial]
        expected = "uninstalled" if person.was_installed else "created"
        if person.is_erased or person.is_void:
            expected = "voided"
        elif person.holds:
            expected = "installed"
        if row["status"] != expected:
            yield f"{person.serial} is {row['status']}, and should be {expected}"
        names = [] if person.is_erased else told.get(person.serial, [])
        if names != [CARD_INSTALLED, CARD_UNINSTALLED] * (len(names) // 2) + [CARD_INSTALLED] * (
            len(names) % 2
        ):
            yield f"{person.serial} was told to be {names}"


def load_demo(conn: Connection, data_dir: Path) -> Program:
    """The demo programme, opened with the secret of the servers of this data folder."""
    found = load_program(conn, "brewbar", Sealer(((data_dir / "secret.key").read_text(),)))
    assert found is not None, "the demo programme is there"
    return found


def _balance_by_ledger(conn: Connection, program_id: str, customer_id: str) -> int:
    """What a customer can spend, summed up from the first entry on."""

    def moved(side: Any) -> int:
        return (
            conn.scalar(
                select(func.coalesce(func.sum(ledger_entry.c.amount), 0)).where(
                    ledger_entry.c.program_id == program_id,
                    ledger_entry.c.customer_id == customer_id,
                    side == AVAILABLE,
                )
            )
            or 0
        )

    return int(moved(ledger_entry.c.credit) - moved(ledger_entry.c.debit))


def _installs_told(conn: Connection) -> dict[str, list[str]]:
    """What merchants were told of each pass's phones, in order."""
    told: dict[str, list[str]] = {}
    rows = conn.execute(
        select(event.c.name, event.c.properties)
        .where(event.c.name.in_((CARD_INSTALLED, CARD_UNINSTALLED)))
        .order_by(event.c.id)
    )
    for row in rows:
        if row.properties:
            told.setdefault(row.properties["passId"], []).append(row.name)
    return told


def _leaves(part: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The values in a document by their paths."""
    if isinstance(part, dict | list):
        for name, inner in part.items() if isinstance(part, dict) else enumerate(part):
            yield from _leaves(inner, f"{path}/{name}")
    else:
        yield path, part
