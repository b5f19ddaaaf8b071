"""Whatever happens in whatever order: a message is neither lost nor doubled, keeps its turn, and lets people sleep."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sqlalchemy import create_engine, select, update

from tests.conftest import SECRET
from tests.loyalty.people import new_email
from web.foundation.delivery import Delivery, Wait, claim, finish
from web.foundation.sealing import Sealer
from web.loyalty.card_message import TIME_TO_LIVE, card_message
from web.loyalty.customer import Registration, register
from web.loyalty.installation import mark_installed
from web.loyalty.program import create_program, load_program
from web.loyalty.program_settings import Notices, ProgramSettings
from web.loyalty.push_message import PUSH, push, push_message, release
from web.loyalty.push_result import result_of
from web.loyalty.quiet_hours import quiet_until
from web.loyalty.visit import begin_visit
from web.loyalty.wallet_pass import APPLE_CARD, BALANCE, MESSAGE, card_changed, wallet_pass
from web.tables import metadata

QUIET, ZONE = "22:00-08:00", "Europe/Madrid"
SETTINGS = ProgramSettings(name="Night Bar", timezone=ZONE, notices=Notices(quiet_hours=QUIET))


class Turns(RuleBasedStateMachine):
    """One customer with one iPhone, a worker that may die, and a clock that the test turns."""

    @initialize(hour=st.integers(0, 23))
    def open(self, hour: int) -> None:
        self.now = datetime(2026, 10, 23, hour, tzinfo=UTC)  # the clocks go back two nights later
        self.patches = [
            mock.patch(f"{module}.utc_now", self._tell_time)
            for module in ("web.loyalty.push_message", "web.foundation.delivery")
        ]
        for patch in self.patches:
            patch.start()
        self.engine = create_engine("sqlite://")
        self.conn: Any = self.engine.connect()
        metadata.create_all(self.conn)
        sealer = Sealer((SECRET,))
        create_program(self.conn, "nightbar", SETTINGS, sealer)
        program = load_program(self.conn, "nightbar", sealer)
        assert program is not None
        self.program = program
        visit_id, _ = begin_visit(self.conn, program.id)
        new = Registration(
            program_id=program.id, visit_id=visit_id, email=new_email(), locale="en", platform="apple"
        )
        self.customer_id = register(self.conn, new).customer_id
        self.pass_id: str = self.conn.scalar(select(wallet_pass.c.id))
        mark_installed(self.conn, program.id, self.pass_id)
        self.is_pushed, self.says, self.notices = True, "", list[str]()
        self.texts: dict[str, str] = {}
        self.fetch()

    @rule(length=st.sampled_from((5, 60, 150)), times=st.integers(1, 3))
    def send(self, length: int, times: int) -> None:
        for _ in range(times):
            text = f"{len(self.texts)}:".ljust(length, "x")
            sent = push(self.conn, self.program, self.customer_id, text, kind="service", actor="test")
            self.texts[sent.id] = text

    @rule()
    def change_balance(self) -> None:
        card_changed(self.conn, self.program.id, self.customer_id, BALANCE)

    @rule(minutes=st.sampled_from((1, 2, 30, 240, 700)))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def send_at_night_and_in_the_morning(self) -> None:
        tonight = self.now.replace(hour=21, minute=30)
        self.now = tonight if tonight > self.now else tonight + timedelta(days=1)
        self.send(length=5, times=1)
        self.now += timedelta(hours=11)
        self.send(length=5, times=1)

    @rule()
    def work(self) -> None:
        while taken := claim(self.conn, {PUSH: 16, APPLE_CARD: 16}):
            for each in taken:
                finish(self.conn, each, self._deliver(each))

    @rule()
    def work_and_die(self) -> None:
        for each in claim(self.conn, {PUSH: 1, APPLE_CARD: 1}):
            self._deliver(each)

    @rule()
    def fetch(self) -> None:
        """As iOS does: on a push the card is fetched, and a changed field that has a message for it is told."""
        if not self.is_pushed:
            return
        self.is_pushed = False
        held = self.conn.execute(select(wallet_pass.c.version, wallet_pass.c.voice)).one()
        says = self.conn.scalar(select(card_message.c.text)) or ""
        if says != self.says and held.voice == MESSAGE:
            self.notices.append(says)
        self.says = says
        self.conn.execute(update(wallet_pass).values(fetched_version=held.version))

    def _tell_time(self) -> datetime:
        return self.now

    def _deliver(self, taken: Delivery) -> Exception | None:
        if taken.kind == PUSH:
            turn = release(self.conn, self.program, taken.payload["message_id"])
            if turn is not None and turn.held_until:
                return Wait("quiet", turn.held_until - self.now)
        elif taken.kind == APPLE_CARD:
            self.is_pushed = True
        return None

    def teardown(self) -> None:
        if not hasattr(self, "conn"):
            return
        try:
            for _ in range(30):
                self.work()
                self.fetch()
                self.now += timedelta(hours=1)
            self._judge()
        finally:
            self.conn.close()
            self.engine.dispose()
            for patch in self.patches:
                patch.stop()

    def _judge(self) -> None:
        rows = {row.id: row for row in self.conn.execute(select(push_message))}
        released = [rows[id_].released_at for id_ in self.texts if rows[id_].released_at]
        heard = [int(line.partition(":")[0]) for notice in self.notices for line in notice.split("\n")]
        assert released == sorted(released), "none overtakes another"
        assert heard == sorted(heard), "nor on the phone"
        assert not any(quiet_until(moment, QUIET, ZONE) for moment in released), "people sleep"
        for id_, text in self.texts.items():
            result = result_of(self.conn, self.program.id, id_)
            assert result is not None
            told = sum(text in notice.split("\n") for notice in self.notices)
            match result.status:
                case "shown":
                    assert told == 1, (text, self.notices)
                case "superseded":
                    assert told == 0
                case status:
                    assert (status, result.reason, told) == ("notDelivered", "expired", 0)
                    assert self.now - result.created_at > TIME_TO_LIVE


TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
