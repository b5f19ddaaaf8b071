"""What is written down of fetches, and what of the phones of somebody who was erased."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.loyalty.people import new_customer
from tests.passkit.phones import PASS_TYPE
from tests.wallet import designs
from tests.wallet.apple.verifier import verify
from tests.wallet.designs import design
from web.foundation.database import Database, DatabaseUnreachable
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty import fetches as room
from web.loyalty.fetches import Fetches
from web.loyalty.held_card import HeldCard, find_held_card
from web.loyalty.installation import (
    TOLD_WITHIN,
    Fetched,
    forget_phones_of_nobody,
    mark_fetched,
    push_tokens_of,
    register_device,
)
from web.loyalty.personal_data import erase
from web.loyalty.program import Program
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import Pass, card_changed, find_pass_by_id, pass_for
from web.wallet.apple import wallet
from web.wallet.apple.development import ROOT, development_certificates
from web.wallet.apple.wallet import AppleWallet


async def given(database: Database, program: Program) -> Pass:
    customer_id = await database.write(new_customer, program)
    return await database.write(pass_for, program.id, customer_id, "apple")


async def shown(database: Database, held: Pass) -> HeldCard:
    card = await find_held_card(database, held.id)
    assert card is not None
    return card


async def test_a_version_is_written_down_once_and_an_older_one_never(
    database: Database, program: Program
) -> None:
    held = await given(database, program)
    for version, known in ((5, 5), (3, 5), (5, 5), (9, 9)):
        fetched = Fetched(program_id=program.id, pass_id=held.id, version=version)
        await database.write(mark_fetched, [fetched])
        now = await database.read(find_pass_by_id, program.id, held.id)
        assert now is not None
        assert now.fetched_version == known


class Away:
    """A database that is away for its first writes."""

    def __init__(self, database: Database, fails: int) -> None:
        self.database, self.fails, self.writes = database, fails, 0
        self.written = asyncio.Event()

    async def write(self, *work: Any) -> None:
        self.writes += 1
        if self.writes <= self.fails:
            raise DatabaseUnreachable("away")
        await self.database.write(*work)
        self.written.set()


async def test_what_many_fetch_is_one_write_and_none_for_what_is_known(
    database: Database, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "COLLECT_SECONDS", 0.02)
    cards = [await shown(database, await given(database, program)) for _ in range(5)]
    away = Away(database, fails=2)
    fetches = Fetches(away)  # type: ignore[arg-type]
    for card in cards * 3:
        fetches.note(card)
    async with asyncio.timeout(10):
        await away.written.wait()
    await fetches.close()
    assert away.writes == 3, "two in vain, and one for all"
    again = [await shown(database, card.held) for card in cards]
    assert [card.held.fetched_version for card in again] == [card.held.version for card in cards]
    for card in again:
        fetches.note(card)
    await fetches.close()
    assert away.writes == 3
    await database.write(card_changed, program.id, cards[0].held.customer_id)
    fetches = Fetches(away)  # type: ignore[arg-type]
    fetches.note(await shown(database, cards[0].held))
    await fetches.close()
    assert away.writes == 4, "a process that ends writes down what is left"


async def test_phones_of_the_erased_are_forgotten_after_a_month_at_the_latest(
    database: Database, program: Program
) -> None:
    erased, living = await given(database, program), await given(database, program)
    for held in (erased, living):
        for phone in ("one", "two"):
            await database.write(register_device, held, program.id, f"{phone}-{held.id}", f"{phone}{held.id}")
    await database.write(erase, program.id, erased.customer_id, [])
    now = utc_now()
    assert await database.write(forget_phones_of_nobody, program.id, now + TOLD_WITHIN / 2) == 0
    assert (
        await database.write(forget_phones_of_nobody, program.id, now + TOLD_WITHIN + timedelta(hours=1)) == 2
    )
    assert await database.read(push_tokens_of, program.id, erased.id) == []
    assert len(await database.read(push_tokens_of, program.id, living.id)) == 2


async def test_a_programme_is_read_anew_where_it_has_moved_on_and_only_then(
    database: Database, program: Program, sealer: Sealer
) -> None:
    programs = Programs(database, sealer)
    found = await asyncio.gather(*(programs.current(program.id, program.version) for _ in range(5)))
    assert {each.version for each in found if each} == {program.version}
    assert len({id(each) for each in found}) == 1
    assert await programs.current(program.id, program.version - 1) is found[0]


async def test_a_thousand_phones_at_a_new_design_have_it_drawn_once(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []
    draw = wallet.render_images
    monkeypatch.setattr(wallet, "render_images", lambda design: drawn.append(design) or draw(design))
    certificates = development_certificates(tmp_path, pass_type_id=PASS_TYPE, team_id="DEVTEAM000")
    apple, look = AppleWallet(certificates), design()
    first = asyncio.create_task(apple.ready(look))
    await asyncio.sleep(0)
    first.cancel()
    packages = await asyncio.gather(*(apple.ready(look) for _ in range(1000)))
    assert len({id(package) for package in packages}) == 1
    assert len(drawn) == 1, "whoever hung up did not take it away"


async def test_passes_that_are_asked_for_at_once_are_each_its_own_and_a_bad_one_spoils_none(
    tmp_path: Any,
) -> None:
    certificates = development_certificates(tmp_path, pass_type_id=PASS_TYPE, team_id="DEVTEAM000")
    apple = AppleWallet(certificates)
    package = await apple.ready(design())
    # One cannot be written: its member's name is no text.
    cards = [designs.card(serial=f"{number:012}") for number in range(40)]
    cards[9] = msgspec.structs.replace(cards[9], member=object())
    built = await asyncio.gather(*(apple.build(package, each) for each in cards), return_exceptions=True)
    assert isinstance(built[9], Exception)
    for number, made in enumerate(built):
        if number != 9:
            assert isinstance(made, bytes)
            found = verify(made, tmp_path / ROOT)
            assert found.document["serialNumber"] == f"{number:012}"
