"""A scripted week of a programme with phones: what merchant, customers and accidents do, and what is so afterwards."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from cryptography import x509
from sqlalchemy import Connection, func, select

from tests.api.conftest import BASE
from tests.conftest import SECRET
from tests.loyalty.people import new_customer
from tests.support.apns import BROKEN, SHUTDOWN, ApnsServer
from tests.support.fleet import Fleet, Losses, losing
from tests.support.house import House
from tests.support.lean import Lean
from tests.support.merchant import Merchant
from tests.support.ports import free_port
from tests.support.rows import in_database, rows_of
from web.app import ROOT as PROJECT
from web.demo.phone import Ask, Held, NoAnswer, Phone
from web.foundation.database import Database, open_database
from web.foundation.delivery import WAITING, delivery
from web.foundation.languages import Catalogues
from web.foundation.sealing import Sealer
from web.loyalty.api_key import SCOPES, make_key
from web.loyalty.event import CARD_INSTALLED, CARD_UNINSTALLED, event, pass_over
from web.loyalty.held_card import find_held_card
from web.loyalty.ledger import AVAILABLE, ledger_entry
from web.loyalty.program import Program, change_program, load_program
from web.loyalty.wallet_pass import find_pass, void_passes, wallet_pass
from web.wallet.apple.content import Content
from web.wallet.apple.development import ROOT
from web.wallet.issue import card_of, design_of

# A pass of an https server names its web service, as in production; the phones find it at the port below.
BASE_URL = "https://localhost"
Say = Callable[[str], None]


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


@dataclass
class Report:
    """What happened in the week, and everything that was not as it should be in the end."""

    people: int
    kills: int = 0
    pushes: int = 0
    losses: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    settled_seconds: float = 0.0
    cards_compared: int = 0
    notices: int = 0


async def live_through(
    url: str, data_dir: Path, apns: ApnsServer, people: int, *, seed: int = 7, say: Say = lambda _: None
) -> Report:
    """A week with so many passes on the database at `url`, which holds the demo programme."""
    with ExitStack() as stack:
        port = free_port()
        started = time.monotonic()
        house = await asyncio.to_thread(
            House, stack, url, data_dir, port, PASITO_BASE_URL=BASE_URL, **apns.environment
        )
        lean, chance = Lean(port), random.Random(seed)
        week = Week(house, apns, lean, data_dir, chance)
        report = Report(people=people)
        async with week.fleet:
            try:
                await week.settle_in(people)
                for day in (
                    week.monday,
                    week.tuesday,
                    week.wednesday,
                    week.thursday,
                    week.friday,
                    week.saturday,
                ):
                    await day()
                    say(f"{day.__name__:<10} {time.monotonic() - started:6.1f} s, {len(apns.pushes)} pushes")
                report.settled_seconds = await week.sunday()
                say(f"sunday     {time.monotonic() - started:6.1f} s, {len(apns.pushes)} pushes")
                await week.compare(report)
            finally:
                await lean.close()
        report.kills, report.pushes, report.losses = house.kills, len(apns.pushes), week.losses.counts
        report.notices = sum(len(person.phone.notices) for person in week.people)
        report.seconds = time.monotonic() - started
        return report


class Week:
    """Who takes part. Each day is a method; accidents happen while it goes on."""

    def __init__(
        self, house: House, apns: ApnsServer, ask: Ask, data_dir: Path, chance: random.Random
    ) -> None:
        self.people: list[Person] = []
        self.losses = Losses()
        self.house, self.chance, self.apns = house, chance, apns
        self._url, self._data_dir = house.url, data_dir
        self.fleet = Fleet(losing(ask, self.losses, chance), f"http://localhost:{house.port}/passkit", apns)
        # The shop's line loses answers as well: what it is not told of it sends again under the same key.
        self.merchant = Merchant(
            losing(ask, self.losses, chance), f"http://localhost:{house.port}{BASE}", self._keys()
        )

    def _keys(self) -> list[str]:
        def make(conn: Connection) -> list[str]:
            program = _program(conn)
            return [make_key(conn, program.id, f"Till {number}", SCOPES)[1] for number in range(20)]

        keys: list[str] = in_database(self._url, make)
        return keys

    async def settle_in(self, people: int) -> None:
        """Customers with a pass each, which none of them has installed. One phone in twenty looks at signatures."""
        roots = [x509.load_pem_x509_certificate((self._data_dir / "signing" / ROOT).read_bytes())]

        def register(conn: Connection, most: int) -> list[tuple[str, str, str]]:
            program = _program(conn)
            made = []
            for _ in range(most):
                customer_id = new_customer(conn, program)
                held = find_pass(conn, program.id, customer_id, "apple")
                assert held is not None, "registering on an iPhone issues one"
                made.append((customer_id, held.id, held.token))
            # Their welcome is another story.
            pass_over(conn, program.id)
            return made

        for begun in range(0, people, 500):
            made = await asyncio.to_thread(
                in_database, self._url, partial(register, most=min(500, people - begun))
            )
            for number, (customer_id, serial, token) in enumerate(made, begun):
                network = f"10.{number // 62500}.{number // 250 % 250}.{number % 250}"
                trusting = {} if number % 20 else {"roots": roots}
                phone = self.fleet.new_phone(headers={"x-forwarded-for": network}, **trusting)
                self.people.append(Person(customer_id, serial, token, network, phone))

    async def monday(self) -> None:
        """All but a few install their card while the web server dies, and the till is busy already."""
        self.losses.requests = self.losses.answers = 0.02
        installers = self.people[: len(self.people) * 19 // 20]
        await asyncio.gather(
            self._each(installers, self._install),
            self._earn(self._some(0.2), 10, 60),
            self._kill_in_a_while(self.house.kill_web),
        )

    async def tuesday(self) -> None:
        """Most of them buy something, some twice, while the worker dies and Apple has a bad day."""
        self.apns.answer_next(*[BROKEN, SHUTDOWN] * 5)
        self.apns.delay = 0.02
        await asyncio.gather(
            self._earn(self._some(0.6), 5, 120),
            self._earn(self._some(0.4), 5, 30),
            self._kill_in_a_while(self.house.kill_worker),
        )
        self.apns.cut()
        self.apns.delay = 0.0

    async def wednesday(self) -> None:
        """They spend what they have, orders are paid and refunded, messages go out."""
        self.losses.delay = 0.01
        orders = [(f"order-{uuid4().hex[:12]}", person) for person in self._some(0.1)]
        await asyncio.gather(
            self.merchant.change("decrease", {each.customer_id: 10 for each in self._some(0.5)}, "A pastry"),
            self._each(orders, self._buy_and_return, at_once=4),
            self._each(self._some(0.1), self._tell, at_once=4),
        )
        self.losses.delay = 0.0

    async def thursday(self) -> None:
        """The merchant changes the colour of all cards, in the middle of business and of a power cut."""

        def paint(conn: Connection) -> None:
            program = _program(conn)
            settings = program.settings
            brand = msgspec.structs.replace(settings.brand, colour="#14532d")
            change_program(conn, program.slug, msgspec.structs.replace(settings, brand=brand))

        await asyncio.gather(
            self._earn(self._some(0.3), 1, 20),
            asyncio.to_thread(in_database, self._url, paint),
            self._kill_in_a_while(self.house.kill_web),
        )

    async def friday(self) -> None:
        """Phones are lost, replaced, restored; cards are thrown away, and some taken again."""
        leaving = self._some(0.15)
        returning = leaving[: len(leaving) // 2]
        moving = [each for each in self._some(0.15) if each not in leaving]
        await asyncio.gather(
            self._each(leaving, self._throw_away),
            self._each(moving, self._move_to_a_new_phone),
            self._earn(self._some(0.3), 1, 20),
        )
        await self._each(returning, self._install)
        await self._each(self._some(0.1), self._get_another_token)

    async def saturday(self) -> None:
        """Some are erased, some lose their card; the best climb a tier."""
        gone, lost, climbing = (self._some(share) for share in (0.03, 0.05, 0.05))
        lost = [each for each in lost if each not in gone]
        await asyncio.gather(
            self._each(gone, self._erase, at_once=4),
            asyncio.to_thread(in_database, self._url, lambda conn: self._void(conn, lost)),
            self._earn([each for each in climbing if each not in gone], 600, 900),
        )

    async def sunday(self) -> float:
        """Everything is up and nothing is lost any more: the time until nothing is left to do, in seconds."""
        self.losses.requests = self.losses.answers = 0.0
        # A phone that never heard that its removal or registration arrived asks once more, as it does on a charger.
        for person in self.people:
            self.fleet.until_done(person.phone.look)
        started = time.monotonic()
        quiet_since: float | None = None
        while quiet_since is None or time.monotonic() - quiet_since < 1.5:
            if self.fleet.is_quiet and not await asyncio.to_thread(in_database, self._url, _what_waits):
                quiet_since = quiet_since or time.monotonic()
            else:
                quiet_since = None
            if time.monotonic() - started > 60 + len(self.people) / 20:
                raise AssertionError(f"not quiet: {await asyncio.to_thread(self._left_over)}")
            await asyncio.sleep(0.1)
        return quiet_since - started

    def _left_over(self) -> str:
        """What is still to be done, for whoever has to find out why."""
        rows = rows_of(self._url, "delivery", state=WAITING)
        waiting = Counter((row["kind"], row["tries"], row["last_error"]) for row in rows)
        events = len(rows_of(self._url, "event", dispatched_at=None))
        return f"deliveries {dict(waiting)}, {events} events, phones {'quiet' if self.fleet.is_quiet else 'busy'}"

    # What people do

    async def _install(self, person: Person) -> None:
        """Fetch the pass as its holder, and add it."""
        package = await self._fetch(person)
        if not (person.is_erased or person.is_void):
            person.was_installed = True
            await self.fleet.until_done(person.phone.add, package)

    async def _throw_away(self, person: Person) -> None:
        if person.holds:
            await self.fleet.until_done(person.phone.remove, person.serial)

    async def _move_to_a_new_phone(self, person: Person) -> None:
        if person.holds:
            await self.fleet.restore(person.phone)

    async def _get_another_token(self, person: Person) -> None:
        if person.holds:
            await self.fleet.change_push_token(person.phone)

    async def _fetch(self, person: Person) -> bytes:
        url = f"{self.fleet.service}/v1/passes/{self.apns.pass_type}/{person.serial}"
        headers = {"authorization": f"ApplePass {person.token}", "x-forwarded-for": person.network}
        while True:
            with contextlib.suppress(NoAnswer):
                answer = await self.fleet.ask("GET", url, headers, b"")
                if answer.status == 200:
                    return answer.body
            await asyncio.sleep(0.2)

    # What the merchant does

    async def _earn(self, people: list[Person], least: int, most: int) -> None:
        amounts = {each.customer_id: self.chance.randint(least, most) for each in people}
        await self.merchant.change("increase", amounts, "Coffee")

    async def _buy_and_return(self, order: tuple[str, Person]) -> None:
        order_id, person = order
        bought = {
            "id": order_id,
            "paidAt": "2026-11-18T10:00:00Z",
            "customerId": person.customer_id,
            "amount": 1200,
        }
        await self.merchant.call("POST", "/orders", bought)
        await self.merchant.call("POST", f"/orders/{order_id}/refunds", {"id": f"{order_id}-back"})

    async def _tell(self, person: Person) -> None:
        await self.merchant.call(
            "POST", "/push", {"customer_id": person.customer_id, "message": "Fresh beans on Friday"}
        )

    async def _erase(self, person: Person) -> None:
        person.is_erased = True
        await self.merchant.call("DELETE", f"/customers/{person.customer_id}")

    def _void(self, conn: Connection, people: list[Person]) -> None:
        program = _program(conn)
        for person in people:
            person.is_void = True
        void_passes(conn, program.id, wallet_pass.c.id.in_([each.serial for each in people]))

    # How it is done

    def _some(self, share: float) -> list[Person]:
        alive = [each for each in self.people if not each.is_erased]
        return self.chance.sample(alive, max(1, int(len(alive) * share)))

    async def _each(self, all_of_them: list[Any], act: Any, at_once: int = 16) -> None:
        turns = asyncio.Semaphore(at_once)

        async def in_turn(one: Any) -> None:
            async with turns:
                await act(one)

        await asyncio.gather(*(in_turn(one) for one in all_of_them))

    async def _kill_in_a_while(self, kill: Callable[[], None]) -> None:
        await asyncio.sleep(self.chance.uniform(0.1, 0.5 + len(self.people) / 1000))
        await asyncio.to_thread(kill)

    # What is so in the end

    async def compare(self, report: Report) -> None:
        """Every card on a phone with one that is freshly built from the database, and every status with the phones'."""
        database = open_database(self._url)
        try:
            truth = Truth(database, self.apns.pass_type)
            for person in self.people:
                for held in person.phone.held.values():
                    report.cards_compared += 1
                    report.faults += await truth.faults_of_card(person, held)
        finally:
            await database.close()
        report.faults += await asyncio.to_thread(lambda: list(self._faults_of_statuses()))

    def _faults_of_statuses(self) -> Iterator[str]:
        rows = {row["id"]: row for row in rows_of(self._url, "wallet_pass")}
        told = in_database(self._url, _installs_told)
        for person in self.people:
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


class Truth:
    """Cards as they would be built now."""

    def __init__(self, database: Database, pass_type: str) -> None:
        self._database, self._pass_type = database, pass_type
        self._content: Content | None = None
        self._program: Program | None = None

    async def faults_of_card(self, person: Person, held: Held) -> list[str]:
        shown = await find_held_card(self._database, person.serial)
        if shown is None:
            return [f"{person.serial} is on a phone and nowhere else"]
        program, content = await self._of_program()
        fresh = msgspec.json.decode(content.of(card_of(program, shown)))
        if held.opened.document != fresh:
            was = {
                name: held.opened.document.get(name)
                for name in fresh
                if held.opened.document.get(name) != fresh[name]
            }
            return [
                f"{person.serial}: the phone shows {was}, and should { ({name: fresh[name] for name in was}) }"
            ]
        if person.is_erased:
            return []
        booked = await self._database.read(_balance_by_ledger, program.id, person.customer_id)
        [balance] = [f for f in held.opened.fields("headerFields") if f["key"] == "balance"]
        said = "".join(letter for letter in balance["value"] if letter.isdigit())
        return [] if int(said) == booked else [f"{person.serial} says {said}, and the ledger {booked}"]

    async def _of_program(self) -> tuple[Program, Content]:
        if self._program is None or self._content is None:
            self._program = await self._database.read(_program)
            assert self._program is not None
            catalogues = Catalogues.load(PROJECT / "locales")
            design = await self._database.read(
                design_of,
                self._program,
                BASE_URL,
                lambda language, text: catalogues.find(language).text(text),
            )
            self._content = Content(design, self._pass_type, "DEVTEAM000", f"{BASE_URL}/passkit")
        return self._program, self._content


def _program(conn: Connection) -> Program:
    found = load_program(conn, "brewbar", Sealer((SECRET,)))
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


def _what_waits(conn: Connection) -> int:
    """Deliveries and events that nobody has seen to. Mails lie in the mailbox at once."""
    waiting = conn.scalar(select(func.count()).where(delivery.c.state == WAITING)) or 0
    return waiting + (conn.scalar(select(func.count()).where(event.c.dispatched_at.is_(None))) or 0)


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
