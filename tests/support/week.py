"""A scripted week of a programme with phones: what merchant, customers and accidents do, and what is so afterwards."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Collection
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
from tests.loyalty.people import new_customer
from tests.support.apns import BROKEN, SHUTDOWN, ApnsServer
from tests.support.fleet import Fleet, Losses, losing
from tests.support.house import House
from tests.support.lean import Lean
from tests.support.merchant import Merchant
from tests.support.ports import free_port
from tests.support.rows import in_database, rows_of
from tests.support.week_truth import BASE_URL, Person, faults_of_cards, faults_of_statuses, load_demo
from web.demo.phone import Ask, NoAnswer
from web.foundation.delivery import WAITING, delivery
from web.loyalty.api_key import SCOPES, make_key
from web.loyalty.event import event, pass_over
from web.loyalty.program import change_program
from web.loyalty.wallet_pass import find_pass, void_passes, wallet_pass
from web.wallet.apple.development import ROOT

Say = Callable[[str], None]


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


WEEKDAYS = ("monday", "tuesday", "thursday")


async def live_through(
    url: str,
    data_dir: Path,
    apns: ApnsServer,
    people: int,
    *,
    killing_on: Collection[str] = WEEKDAYS,
    seed: int = 7,
    say: Say = lambda _: None,
) -> Report:
    """A week with so many passes on the database at `url`, which holds the demo programme.

    On the days of `killing_on` a process is killed: the worker on Tuesday, the web server on the others.
    """
    with ExitStack() as stack:
        port = free_port()
        started = time.monotonic()
        house = await asyncio.to_thread(
            lambda: House(
                stack, url, data_dir, port, has_worker=None, PASITO_BASE_URL=BASE_URL, **apns.environment
            )
        )
        lean, chance = Lean(port), random.Random(seed)
        week = Week(house, apns, lean, data_dir, chance, killing_on)
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
                everybody = week.people
                report.cards_compared, report.faults = await faults_of_cards(
                    url, everybody, apns.pass_type, data_dir
                )
                report.faults += await asyncio.to_thread(lambda: list(faults_of_statuses(url, everybody)))
            finally:
                await lean.close()
        report.kills, report.pushes, report.losses = house.kills, len(apns.pushes), week.losses.counts
        report.notices = sum(len(person.phone.notices) for person in week.people)
        report.seconds = time.monotonic() - started
        return report


class Week:
    """Who takes part. Each day is a method; accidents happen while it goes on."""

    def __init__(
        self,
        house: House,
        apns: ApnsServer,
        ask: Ask,
        data_dir: Path,
        chance: random.Random,
        killing_on: Collection[str],
    ) -> None:
        self.people: list[Person] = []
        self.losses = Losses()
        self.house, self.chance, self.apns = house, chance, apns
        self._url, self._data_dir, self._killing_on = house.url, data_dir, killing_on
        self.fleet = Fleet(losing(ask, self.losses, chance), f"http://localhost:{house.port}/passkit", apns)
        # The shop's line loses answers as well: what it is not told of it sends again under the same key.
        self.merchant = Merchant(
            losing(ask, self.losses, chance), f"http://localhost:{house.port}{BASE}", self._keys()
        )

    def _keys(self) -> list[str]:
        def make(conn: Connection) -> list[str]:
            program = load_demo(conn, self._data_dir)
            return [make_key(conn, program.id, f"Till {number}", SCOPES)[1] for number in range(20)]

        keys: list[str] = in_database(self._url, make)
        return keys

    async def settle_in(self, people: int) -> None:
        """Customers with a pass each, which none of them has installed. One phone in twenty looks at signatures."""
        roots = [x509.load_pem_x509_certificate((self._data_dir / "signing" / ROOT).read_bytes())]

        def register(conn: Connection, most: int) -> list[tuple[str, str, str]]:
            program = load_demo(conn, self._data_dir)
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
            self._each(installers, self.install),
            self._earn(self._some(0.2), 10, 60),
            self._kill_on("monday", self.house.kill_web),
        )

    async def tuesday(self) -> None:
        """Most of them buy something, some twice, while the worker dies and Apple has a bad day."""
        self.apns.answer_next(*[BROKEN, SHUTDOWN] * 5)
        self.apns.delay = 0.02
        await asyncio.gather(
            self._earn(self._some(0.6), 5, 120),
            self._earn(self._some(0.4), 5, 30),
            self._kill_on("tuesday", self.house.kill_worker),
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
            program = load_demo(conn, self._data_dir)
            settings = program.settings
            brand = msgspec.structs.replace(settings.brand, colour="#14532d")
            change_program(conn, program.slug, msgspec.structs.replace(settings, brand=brand))

        await asyncio.gather(
            self._earn(self._some(0.3), 1, 20),
            asyncio.to_thread(in_database, self._url, paint),
            self._kill_on("thursday", self.house.kill_web),
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
        await self._each(returning, self.install)
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
        """Everything is up and nothing is lost any more: the time until nothing is left to do, in seconds.

        No phone asks for news by itself: what it holds in the end, a push brought.
        """
        self.losses.requests = self.losses.answers = 0.0
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

    async def install(self, person: Person) -> None:
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
        program = load_demo(conn, self._data_dir)
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

    async def _kill_on(self, day: str, kill: Callable[[], None]) -> None:
        if day not in self._killing_on:
            return
        await asyncio.sleep(self.chance.uniform(0.1, 0.5 + len(self.people) / 1000))
        await asyncio.to_thread(kill)


def _what_waits(conn: Connection) -> int:
    """Deliveries and events that nobody has seen to. Mails lie in the mailbox at once."""
    waiting = conn.scalar(select(func.count()).where(delivery.c.state == WAITING)) or 0
    return waiting + (conn.scalar(select(func.count()).where(event.c.dispatched_at.is_(None))) or 0)
