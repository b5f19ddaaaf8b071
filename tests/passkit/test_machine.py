"""Registrations against a naive model: whatever phones do, in any order and as often as they like."""

from collections import Counter
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, select

from tests.conftest import BOTH, SECRET, Fresh
from tests.loyalty.people import new_customer
from tests.support.desk import Desk, open_desk
from web.demo import SLUG
from web.foundation.delivery import delivery
from web.foundation.schema import new_id
from web.foundation.sealing import Sealer
from web.loyalty.event import CARD_INSTALLED, CARD_UNINSTALLED, event
from web.loyalty.installation import (
    Fetched,
    forget_push_token,
    mark_fetched,
    pass_device,
    register_device,
    unregister_device,
)
from web.loyalty.program import Program, load_program
from web.loyalty.wallet_pass import Pass, card_changed, pass_for, void_passes, wallet_pass
from web.passkit.registrations import OF_DEVICE
from web.passkit.tag import Held, changed_since, tag_of

PHONES, PASSES = st.integers(0, 2), st.integers(0, 1)


class PhoneMachine(RuleBasedStateMachine):
    """Two cards and three phones; a restored phone is another one, with the same cards."""

    desk: ClassVar[Desk]
    program: ClassVar[Program]

    @initialize()
    def begin(self) -> None:
        def issue(conn: Connection) -> list[Pass]:
            return [
                pass_for(conn, self.program.id, new_customer(conn, self.program), "apple") for _ in range(2)
            ]

        self.passes = self.desk.do(issue)
        self.names = [new_id() for _ in range(3)]
        self.tokens = {name: new_id() for name in self.names}
        self.tags: dict[str, str] = {}
        # The model: who is registered for what, by which token he is reached, and what that makes of each card.
        self.registered: dict[tuple[str, int], str] = {}
        self.status = ["created", "created"]
        self.told: Counter[tuple[str, int]] = Counter()
        self.shown: dict[tuple[str, int], int] = {}

    @rule(phone=PHONES, card=PASSES)
    def registers(self, phone: int, card: int) -> None:
        name = self.names[phone]
        token = self.tokens[name]
        is_new = self.desk.do(
            lambda conn: register_device(conn, self.passes[card], self.program.id, name, token)
        )
        assert is_new == ((name, card) not in self.registered)
        if is_new and self.status[card] in ("created", "uninstalled"):
            self.status[card] = "installed"
            self.told[CARD_INSTALLED, card] += 1
        self.registered[name, card] = token
        self.registered |= {key: token for key in self.registered if key[0] == name}
        self.shown.setdefault((name, card), 0)
        if is_new:
            assert self.updates(card), "it may hold an older card"

    @rule(phone=PHONES, card=PASSES)
    def leaves(self, phone: int, card: int) -> None:
        name = self.names[phone]
        was = self.desk.do(lambda conn: unregister_device(conn, self.program.id, self.passes[card].id, name))
        assert was == ((name, card) in self.registered)
        self.gone([(name, card)])

    @rule(phone=PHONES)
    def changes_its_push_token(self, phone: int) -> None:
        self.tokens[self.names[phone]] = new_id()

    @rule(phone=PHONES)
    def is_restored_from_a_backup(self, phone: int) -> None:
        old, new = self.names[phone], new_id()
        self.names[phone], self.tokens[new] = new, new_id()
        for card in range(2):
            if (old, card) in self.registered:
                self.registers(phone, card)

    @rule(phone=PHONES)
    def cannot_be_reached_any_more(self, phone: int) -> None:
        token = self.tokens[self.names[phone]]
        theirs = [key for key, known in self.registered.items() if known == token]
        assert self.desk.do(lambda conn: forget_push_token(conn, token)) == len(theirs)
        self.gone(theirs)

    @rule(card=PASSES)
    def changes(self, card: int) -> None:
        held = self.passes[card]
        self.desk.do(lambda conn: card_changed(conn, self.program.id, held.customer_id))
        if self.status[card] == "installed":
            assert self.updates(card)

    @rule(card=PASSES)
    def is_voided(self, card: int) -> None:
        held = self.passes[card]
        self.desk.do(lambda conn: void_passes(conn, self.program.id, wallet_pass.c.id == held.id))
        self.status[card] = "voided"

    @rule(phone=PHONES)
    def asks_and_fetches(self, phone: int) -> None:
        name = self.names[phone]
        now = self.of_phone(name)
        mine = {card for known, card in self.registered if known == name}
        assert {each.id for each in now} == {self.passes[card].id for card in mine}
        changed = changed_since(self.tags.get(name, ""), now)
        if changed:
            self.tags[name] = tag_of(now)
        for each in now:
            card = [held.id for held in self.passes].index(each.id)
            if each.id in changed:
                self.shown[name, card] = each.version
                fetched = Fetched(program_id=self.program.id, pass_id=each.id, version=each.version)
                self.desk.do(lambda conn, fetched=fetched: mark_fetched(conn, [fetched]))  # type: ignore[misc]
            assert self.shown[name, card] == each.version, "what it shows is what there is"

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "passes"):
            return
        ids = [held.id for held in self.passes]

        def look(conn: Connection) -> tuple[Any, ...]:
            rows = conn.execute(select(pass_device).where(pass_device.c.pass_id.in_(ids))).all()
            kept = {(row.device_id, ids.index(row.pass_id)): row.push_token for row in rows}
            status = dict(
                conn.execute(
                    select(wallet_pass.c.id, wallet_pass.c.status).where(wallet_pass.c.id.in_(ids))
                ).all()
            )
            people = [held.customer_id for held in self.passes]
            told = Counter(
                (row.name, people.index(row.customer_id))
                for row in conn.execute(
                    select(event.c.name, event.c.customer_id).where(
                        event.c.customer_id.in_(people), event.c.name.in_((CARD_INSTALLED, CARD_UNINSTALLED))
                    )
                )
            )
            return kept, [status[each] for each in ids], told

        assert self.desk.do(look) == (self.registered, self.status, self.told)

    def gone(self, keys: list[tuple[str, int]]) -> None:
        for key in keys:
            if self.registered.pop(key, None) is None:
                continue
            _, card = key
            if self.status[card] == "installed" and not any(other == card for _, other in self.registered):
                self.status[card] = "uninstalled"
                self.told[CARD_UNINSTALLED, card] += 1

    def of_phone(self, name: str) -> list[Held]:
        return self.desk.do(
            lambda conn: [Held(row.id, row.version) for row in conn.execute(OF_DEVICE, {"device": name})]
        )

    def updates(self, card: int) -> bool:
        lane = f"apple_card:{self.passes[card].id}"
        found = self.desk.do(
            lambda conn: conn.scalars(select(delivery.c.id).where(delivery.c.lane == lane)).all()
        )
        return bool(found)

    def teardown(self) -> None:
        self.desk.forget()


@pytest.mark.parametrize("engine", BOTH)
def test_phones_and_model_agree(engine: str, fresh_database: Fresh) -> None:
    with open_desk(fresh_database(engine)) as desk:
        program = desk.do(lambda conn: load_program(conn, SLUG, Sealer((SECRET,))))
        assert program is not None

        class Machine(PhoneMachine):
            pass

        Machine.desk, Machine.program = desk, program
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=8,
                derandomize=True,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                print_blob=False,
                phases=[Phase.generate],
            ),
        )
