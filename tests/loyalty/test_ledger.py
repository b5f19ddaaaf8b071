"""The ledger against a naive model of it: whatever is asked, in whatever order, both say the same (L1 to L20)."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, insert, select

from tests.conftest import BOTH, Fresh
from tests.loyalty.ledger_model import Deed, Model, Person, Refused
from tests.support.desk import Desk, open_desk
from web.demo import SLUG
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.balance import balance
from web.loyalty.booking import Booked, KeyReused, LedgerError, Order
from web.loyalty.customer import customer
from web.loyalty.due import expire_due, release_due
from web.loyalty.ledger_proof import rebuild_balances, verify
from web.loyalty.lot import lot
from web.loyalty.merging import merge
from web.loyalty.points import adjust, earn, give_back, reserve, reverse, set_balance, settle, spend
from web.loyalty.program import Program, load_program
from web.loyalty.program_settings import PointsRules

EXAMPLES = int(os.environ.get("LEDGER_EXAMPLES", "10"))
PEOPLE = 2
AMOUNTS = st.integers(1, 60)
WHO = st.integers(0, PEOPLE - 1)
WHICH = st.integers(0, 10**6)
DAYS_AGO = st.integers(0, 6)


def a_person(conn: Connection, program: Program) -> str:
    person = new_id()
    conn.execute(
        insert(customer).values(
            program_id=program.id,
            id=person,
            phone=f"+{int(person.replace('-', ''), 16) % 10**15}",
            locale="en",
            extra={},
            card_number=person[-12:],
            origin="web",
            created_at=utc_now(),
            updated_at=utc_now(),
        )
    )
    return person


class LedgerMachine(RuleBasedStateMachine):
    """Each example has customers of its own, and a programme with other rules."""

    desk: ClassVar[Desk]
    program: ClassVar[Program]

    @initialize(
        negative=st.sampled_from(["allow", "floor"]),
        expiry=st.sampled_from(["none", "after_earn", "rolling"]),
        hold_days=st.sampled_from([0, 3]),
    )
    def begin(self, negative: Any, expiry: Any, hold_days: int) -> None:
        rules = PointsRules(
            negative=negative, expiry=expiry, expiry_days=0 if expiry == "none" else 8, hold_days=hold_days
        )
        changed = msgspec.structs.replace(self.program.settings, points=rules, timezone="UTC")
        self.its = msgspec.structs.replace(self.program, settings=changed)
        self.model = Model(negative, expiry, 8, hold_days)
        self.began = utc_now()
        self.now = self.began
        self.ids = [self.desk.do(lambda conn: a_person(conn, self.its)) for _ in range(PEOPLE)]
        self.people = [Person() for _ in range(PEOPLE)]
        self.deeds: list[tuple[str, Deed]] = []
        self.asked: list[tuple[Callable[[Connection, Order], Booked], Order, Booked]] = []

    def order(self, at: datetime | None = None) -> Order:
        return Order(key=new_id(), reason="Coffee", source="pos", at=at)

    def both(
        self,
        ask: Callable[[Connection, Order], Booked],
        expect: Callable[[], Deed | None],
        order: Order | None = None,
    ) -> None:
        """Ask the ledger and the model; both do it, or both refuse and nothing is changed."""
        order = order or self.order()
        deed, refusal = self.asked_of_model(expect)
        if refusal:
            with pytest.raises(LedgerError) as raised:
                self.desk.do(lambda conn: ask(conn, order))
            assert type(raised.value).__name__ == refusal
            return
        booked = self.desk.do(lambda conn: ask(conn, order))
        if booked.entry_id is not None:
            self.asked.append((ask, order, booked))
            if deed is not None:
                assert booked.amount == deed.amount
                self.deeds.append((booked.entry_id, deed))

    def asked_of_model(self, expect: Callable[[], Deed | None]) -> tuple[Deed | None, str]:
        try:
            return expect(), ""
        except Refused as refused:
            return None, str(refused)

    @rule(who=WHO, amount=AMOUNTS, hold=st.booleans(), counts=st.booleans(), days=DAYS_AGO)
    def earn(self, who: int, amount: int, hold: bool, counts: bool, days: int) -> None:
        at = self.began - timedelta(days=days)
        self.both(
            lambda conn, order: earn(conn, self.its, self.ids[who], amount, order, hold=hold, counts=counts),
            lambda: self.model.give(
                self.people[who], amount, at, utc_now(), kind="earn", hold=hold, counts=counts
            ),
            self.order(at),
        )

    @rule(who=WHO, amount=AMOUNTS, verb=st.sampled_from([spend, reserve]))
    def take(self, who: int, amount: int, verb: Any) -> None:
        self.both(
            lambda conn, order: verb(conn, self.its, self.ids[who], amount, order),
            lambda: self.model.take(self.people[who], amount, utc_now(), kind=verb.__name__),
        )

    @rule(who=WHO, change=st.integers(-40, 40).filter(bool))
    def adjust(self, who: int, change: int) -> None:
        def expect() -> Deed:
            if change < 0:
                return self.model.take(self.people[who], -change, utc_now(), kind="less")
            now = utc_now()
            return self.model.give(self.people[who], change, now, now, kind="more", hold=False, counts=True)

        self.both(lambda conn, order: adjust(conn, self.its, self.ids[who], change, order), expect)

    @rule(who=WHO, level=st.integers(0, 80))
    def set_balance(self, who: int, level: int) -> None:
        def expect() -> Deed | None:
            change, now = level - self.people[who].real.available, utc_now()
            if change > 0:
                return self.model.give(
                    self.people[who], change, now, now, kind="set_up", hold=False, counts=False
                )
            # What another system took is not ours to give back.
            return self.model.take(self.people[who], -change, now, kind="set_down") if change else None

        self.both(lambda conn, order: set_balance(conn, self.its, self.ids[who], level, order), expect)

    def one_of(self, which: int, *kinds: str) -> tuple[str, Deed] | None:
        """A deed, more often one that can be undone than not."""
        chosen = [each for each in self.deeds if each[1].kind in kinds] if which % 4 else self.deeds
        return chosen[which % len(chosen)] if chosen else None

    @precondition(lambda self: self.deeds)
    @rule(which=WHICH)
    def settle(self, which: int) -> None:
        if found := self.one_of(which, "reserve"):
            entry_id, deed = found
            self.both(
                lambda conn, order: settle(conn, self.its, entry_id, order), lambda: self.model.settle(deed)
            )

    @precondition(lambda self: self.deeds)
    @rule(which=WHICH)
    def give_back(self, which: int) -> None:
        if found := self.one_of(which, "spend", "reserve", "settle", "less", "expire"):
            entry_id, deed = found
            self.both(
                lambda conn, order: give_back(conn, self.its, entry_id, order),
                lambda: self.model.give_back(deed, utc_now()),
            )

    @precondition(lambda self: self.deeds)
    @rule(which=WHICH, amount=st.none() | AMOUNTS)
    def reverse(self, which: int, amount: int | None) -> None:
        if found := self.one_of(which, "earn", "more", "set_up"):
            entry_id, deed = found
            self.both(
                lambda conn, order: reverse(conn, self.its, entry_id, order, amount=amount),
                lambda: self.model.reverse(deed, amount, utc_now()),
            )

    @rule(who=WHO, amount=AMOUNTS, share=st.integers(1, 100), late=st.sampled_from([0, 1, 2]))
    def buy_redeem_and_return_both(self, who: int, amount: int, share: int, late: int) -> None:
        """What chance alone rarely puts into one order: the story by which points could be gained."""
        self.earn(who, amount, False, True, 0)
        self.take(who, max(1, amount * share // 100), spend)
        if len(self.deeds) < 2 or [deed.kind for _, deed in self.deeds[-2:]] != ["earn", "spend"]:
            return
        (bought, bought_deed), (spent, spent_deed) = self.deeds[-2:]
        if late == 1:
            self.let_time_pass(9, False)
        self.both(
            lambda conn, order: reverse(conn, self.its, bought, order),
            lambda: self.model.reverse(bought_deed, None, utc_now()),
        )
        if late == 2:
            self.let_time_pass(9, False)
        self.both(
            lambda conn, order: give_back(conn, self.its, spent, order),
            lambda: self.model.give_back(spent_deed, utc_now()),
        )

    @rule(days=st.sampled_from([0, 1, 4, 9]), twice=st.booleans())
    def let_time_pass(self, days: int, twice: bool) -> None:
        self.now += timedelta(days=days)
        for _ in range(1 + twice):
            for customer_id, person in zip(self.ids, self.people, strict=True):
                self.fall_due(release_due, customer_id, self.model.release(person.real, self.now))
                self.fall_due(expire_due, customer_id, self.model.expire(person.real, self.now))

    def fall_due(self, due: Any, customer_id: str, expected: Deed | None) -> None:
        booked = self.desk.do(lambda conn: due(conn, self.its, customer_id, self.now))
        assert (booked is None) == (expected is None)
        if booked and expected:
            assert booked.amount == expected.amount
            self.deeds.append((booked.entry_id, expected))

    @precondition(lambda self: self.asked)
    @rule(which=WHICH, fuzz=st.sampled_from(["", "reason", "source", "source_ref", "actor"]))
    def ask_again(self, which: int, fuzz: str) -> None:
        ask, order, booked = self.asked[which % len(self.asked)]
        if fuzz:
            other = msgspec.structs.replace(order, **{fuzz: "something else"})
            with pytest.raises(KeyReused):
                self.desk.do(lambda conn: ask(conn, other))
        else:
            again = self.desk.do(lambda conn: ask(conn, order))
            assert again == msgspec.structs.replace(booked, is_repeat=True)

    @rule(gone=WHO, into=WHO)
    def merge(self, gone: int, into: int) -> None:
        one, other = self.people[gone].real, self.people[into].real
        if one is other:
            return
        total = one.available + other.available
        try:
            self.model.merge(one, other)
        except Refused:
            with pytest.raises(LedgerError):
                self.desk.do(lambda conn: merge(conn, self.its, self.ids[gone], self.ids[into], self.order()))
            return
        booked = self.desk.do(
            lambda conn: merge(conn, self.its, self.ids[gone], self.ids[into], self.order())
        )
        assert booked.available == total
        if booked.entry_id is not None:
            self.model.visit(other, utc_now())

    @invariant()
    def they_agree(self) -> None:
        balances, lots = self.desk.do(self.all_there_is)
        for customer_id, person in zip(self.ids, self.people, strict=True):
            expected = (person.available, person.pending, person.reserved, person.tier)
            *told, earned = balances.get(customer_id, (0, 0, 0, 0, person.earned))
            assert tuple(told) == expected
            assert person.is_now or earned == person.earned
        assert lots == sorted(
            (
                (customer_id, heap.amount, heap.left, heap.expires, heap.lost)
                for customer_id, person in zip(self.ids, self.people, strict=True)
                for heap in person.heaps
            ),
            key=str,
        )

    def all_there_is(self, conn: Connection) -> tuple[dict[str, tuple[int, ...]], list[Any]]:
        its, heap = balance.c, lot.c
        balances = conn.execute(
            select(
                its.customer_id,
                its.available,
                its.pending,
                its.reserved,
                its.tier_points,
                its.lifetime_earned,
            ).where(its.program_id == self.its.id, its.customer_id.in_(self.ids))
        )
        lots = conn.execute(
            select(heap.customer_id, heap.amount, heap.remaining, heap.expires_at, heap.written_off).where(
                heap.program_id == self.its.id, heap.customer_id.in_(self.ids)
            )
        )
        return {row[0]: tuple(row[1:]) for row in balances}, sorted(map(tuple, lots), key=str)

    def teardown(self) -> None:
        if hasattr(self, "its"):
            faults = self.desk.do(lambda conn: list(verify(conn, self.its.id, ())))
            assert faults == []
            assert self.desk.do(lambda conn: rebuild_balances(conn, self.its.id)) == 0
        self.desk.forget()


@pytest.mark.parametrize("engine", BOTH)
def test_ledger_and_model_agree(engine: str, fresh_database: Fresh, sealer: Sealer) -> None:
    with open_desk(fresh_database(engine)) as desk:
        program = desk.do(lambda conn: load_program(conn, SLUG, sealer))
        assert program is not None

        class Machine(LedgerMachine):
            pass

        Machine.desk, Machine.program = desk, program
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                # The same examples each time, so that a change is what makes it fail; LEDGER_EXAMPLES looks further.
                derandomize="LEDGER_EXAMPLES" not in os.environ,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                # Making a failure small takes minutes; whoever looks for one asks for it.
                phases=[Phase.generate, *([Phase.shrink] if "LEDGER_SHRINK" in os.environ else [])],
            ),
        )
