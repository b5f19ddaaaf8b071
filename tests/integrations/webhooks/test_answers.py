"""What an answer leads to: tried again, paused, resumed. The same on both databases, so on one of them here."""

import asyncio
import base64
import hashlib
import hmac
from datetime import timedelta
from time import monotonic
from urllib.parse import urlsplit

import msgspec
import pytest
from sqlalchemy import Connection, select, update

from tests.conftest import SECRET, Fresh
from tests.integrations.webhooks.office import OPERATOR, Office, the_checker_of_the_readme
from tests.loyalty.people import new_customer
from tests.support.ports import free_port
from tests.support.receiver import Receiver, Reply
from web.foundation import outgoing
from web.foundation.delivery import Delivery, due_kinds, enqueue
from web.foundation.outgoing import Outgoing
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.integrations.webhooks import courier, envelope
from web.integrations.webhooks.courier import Courier
from web.integrations.webhooks.endpoint import (
    BY_OPERATOR,
    KEPT_WHILE_PAUSED,
    NoSuchEndpoint,
    backlog_of,
    pause_endpoint,
    remove_endpoint,
    resume_endpoint,
    webhook_endpoint,
)
from web.integrations.webhooks.envelope import WEBHOOK, tell_again
from web.integrations.webhooks.health import forget_what_waits_too_long, leave_in_peace
from web.integrations.webhooks.secret import OVERLAP, reseal_secrets, rotate_secret, secrets_of
from web.loyalty.program import change_program
from web.worker import SLOW_DELIVERIES

is_from_pasito = the_checker_of_the_readme()


@pytest.fixture
def database_url(fresh_database: Fresh) -> str:
    return fresh_database("sqlite")


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints that do not answer are asked at once again."""
    monkeypatch.setattr(courier, "PATIENCE", 1000)


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 408, 422, 429, 500, 503])
async def test_everything_but_a_yes_is_tried_again(office: Office, receiver: Receiver, status: int) -> None:
    await office.add(receiver.url)
    headers = {"location": receiver.url, "retry-after": "3600"}
    receiver.answer = lambda _: Reply(status, headers)
    await office.happen("Customer tapped", None)
    await office.work_off()
    [letter] = await office.letters()
    assert (letter["state"], letter["tries"]) == ("waiting", 1)
    assert letter["last_error"] == f"TryLater: it answered {status}"
    assert letter["due_at"] - utc_now() > timedelta(minutes=59), "it asked for an hour"
    assert len(receiver.requests) == 1, "a redirect is not followed"


async def test_it_is_tried_ten_times_and_then_put_aside_and_the_next_one_has_its_turn(
    office: Office, receiver: Receiver
) -> None:
    endpoint_id, _ = await office.add(receiver.url)
    lost = await office.happen("Customer tapped", None, number=1)
    receiver.answer = lambda request: Reply(500 if request.envelope["id"] == lost else 200)
    await office.happen("Customer tapped", None, number=2)
    await office.try_until_over()
    assert [request.envelope["properties"]["number"] for request in receiver.requests] == [1] * 10 + [2]
    assert [letter["state"] for letter in await office.letters()] == ["dead", "done"]
    assert (await office.endpoint(endpoint_id)).paused_at is None


async def test_an_endpoint_that_is_gone_is_paused_at_once_and_loses_nothing(
    office: Office, receiver: Receiver
) -> None:
    endpoint_id, _ = await office.add(receiver.url)
    receiver.answer = lambda _: Reply(410)
    for number in range(3):
        await office.happen("Customer tapped", None, number=number)
    await office.work_off()
    await office.let_time_pass()
    await office.work_off()
    assert len(receiver.requests) == 1
    endpoint = await office.endpoint(endpoint_id)
    assert endpoint.pause_reason == "it answered 410"
    [mail] = await office.mails()
    assert (mail.to, mail.subject) == (OPERATOR, "The webhook to 127.0.0.1 is paused")
    for text in (mail.text, mail.html or ""):
        assert "it answered 410" in text
        assert f"webhook resume --program {office.program.slug} {endpoint_id}" in text
        assert urlsplit(receiver.url).path not in text, "an address may hold a secret"
    assert [letter["tries"] for letter in await office.letters()] == [0, 0, 0]
    receiver.answer = lambda _: Reply()
    receiver.requests.clear()
    assert await office.database.write(resume_endpoint, office.program.id, endpoint_id) == 3
    await office.work_off()
    assert [request.envelope["properties"]["number"] for request in receiver.requests] == [0, 1, 2]
    assert len(await office.mails()) == 1

    # Where the programme names somebody it is theirs to know; what an operator does, an operator knows.
    settings = msgspec.structs.replace(office.program.settings, contact="it@brewbar.example")
    await office.database.write(change_program, office.program.slug, settings)
    await office.worker.programs.refresh()
    for pauses in (pause_endpoint, leave_in_peace, leave_in_peace):
        await office.database.write(pauses, office.program.id, endpoint_id, BY_OPERATOR)
    await office.work_off()
    assert len(await office.mails()) == 1
    await office.database.write(resume_endpoint, office.program.id, endpoint_id)
    await office.database.write(leave_in_peace, office.program.id, endpoint_id, "it answered 410")
    await office.work_off()
    assert [mail.to for mail in await office.mails()] == ["it@brewbar.example", OPERATOR]


async def test_ten_lost_letters_in_a_row_pause_it_and_resuming_sends_them_in_order(
    office: Office, receiver: Receiver
) -> None:
    endpoint_id, _ = await office.add(receiver.url)
    receiver.answer = lambda _: Reply(500)
    for number in range(12):
        await office.happen("Customer tapped", None, number=number)
    for _ in range(10 * 10):
        await office.work_off()
        await office.let_time_pass()
    endpoint = await office.endpoint(endpoint_id)
    assert endpoint.pause_reason == "10 letters in a row were lost: it answered 500"
    assert endpoint.failing_since is not None
    assert await office.database.read(backlog_of, office.program.id, endpoint_id) == (2, 10)
    heard = len(receiver.requests)
    await office.happen("Customer tapped", None, number=12)
    await office.work_off()
    assert not await office.database.read(due_kinds, [WEBHOOK]), "what waits costs nobody a look"
    await office.let_time_pass()
    await office.work_off()
    assert len(receiver.requests) == heard == 100, "nothing is sent while it is paused"
    receiver.answer = lambda _: Reply()
    receiver.requests.clear()
    assert await office.database.write(resume_endpoint, office.program.id, endpoint_id) == 13
    await office.try_until_over()
    assert [request.envelope["properties"]["number"] for request in receiver.requests] == list(range(13))
    endpoint = await office.endpoint(endpoint_id)
    assert (endpoint.dead_in_a_row, endpoint.failing_since, endpoint.paused_at) == (0, None, None)


async def test_one_yes_ends_the_count_of_losses(office: Office, receiver: Receiver) -> None:
    endpoint_id, _ = await office.add(receiver.url)
    await office.database.write(_change, {"dead_in_a_row": 9, "failing_since": utc_now()})
    await office.happen("Customer tapped", None)
    await office.work_off()
    endpoint = await office.endpoint(endpoint_id)
    assert (endpoint.dead_in_a_row, endpoint.failing_since) == (0, None)


async def test_a_day_without_any_answer_pauses_it(office: Office, no_rest: None) -> None:
    endpoint_id, _ = await office.add(f"http://127.0.0.1:{free_port()}/")
    await office.happen("Customer tapped", None)
    await office.work_off()
    assert (await office.endpoint(endpoint_id)).paused_at is None
    await office.database.write(_change, {"failing_since": utc_now() - timedelta(hours=25)})
    await office.let_time_pass()
    await office.work_off()
    assert (await office.endpoint(endpoint_id)).pause_reason == (
        "no answer for a day: the connection was refused"
    )


async def test_who_does_not_answer_is_asked_by_one_letter_for_all(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a thousand letters to a receiver that hangs would each take ten seconds of everybody's time."""
    await office.add(f"http://127.0.0.1:{free_port()}/", ["Customer tapped"])
    for _ in range(24):
        await office.happen("Customer tapped", await office.database.write(new_customer, office.program))
    await office.work_off()
    tries = [letter["tries"] for letter in await office.letters()]
    assert sum(tries) == SLOW_DELIVERIES, "those that were under way before the first had failed"
    for seconds, more in ((5, 0), (400, 1), (405, 1), (900, 2)):
        monkeypatch.setattr(courier, "monotonic", lambda seconds=seconds: monotonic() + seconds)
        await office.let_time_pass()
        await office.work_off()
        letters = await office.letters()
        assert sum(letter["tries"] for letter in letters) == SLOW_DELIVERIES + more
    assert {letter["state"] for letter in letters} == {"waiting"}


async def test_a_receiver_that_hangs_holds_up_nobody_else(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outgoing, "OVERALL_SECONDS", 1.0)
    receiver.answer = lambda _: Reply(hang=10)
    await office.add(receiver.url)
    await office.happen("Customer tapped", None)
    await office.worker.work_once()
    mailed: list[float] = []

    async def mail(_: Delivery) -> None:
        mailed.append(monotonic())

    office.worker.handlers["mail"] = mail
    begun = monotonic()
    await office.database.write(enqueue, office.program.id, "mail", "x", {})
    await office.worker.work_once()
    assert mailed[0] - begun < 0.5
    assert office.worker._under_way, "the letter is still on its way"
    running = asyncio.create_task(office.worker.run())
    office.worker.stop()
    await asyncio.wait_for(running, 5)
    [letter] = await office.letters()
    assert letter["last_error"] == "TryLater: no answer within 1 seconds", (
        "told to end, it ends what it holds"
    )


# ---- Pausing by hand, removing, telling again


async def test_what_waits_for_a_paused_one_is_kept_for_a_month(office: Office, receiver: Receiver) -> None:
    endpoint_id, _ = await office.add(receiver.url)
    await office.database.write(pause_endpoint, office.program.id, endpoint_id, BY_OPERATOR)
    await office.happen("Customer tapped", None)
    await office.work_off()
    assert await office.database.write(forget_what_waits_too_long) == 0
    await office.database.write(_change, {"paused_at": utc_now() - KEPT_WHILE_PAUSED - timedelta(hours=1)})
    await office.happen("Customer tapped", None)
    await office.work_off()
    assert len(await office.letters()) == 1, "no more is gathered"
    assert await office.database.write(forget_what_waits_too_long) == 1
    [letter] = await office.letters()
    assert (letter["state"], letter["payload"]) == ("dropped", {})
    assert receiver.requests == []


async def test_a_removed_one_is_told_nothing_that_waited(office: Office, receiver: Receiver) -> None:
    receiver.answer = lambda _: Reply(500)
    endpoint_id, _ = await office.add(receiver.url)
    await office.happen("Customer tapped", None)
    await office.work_off()
    assert await office.database.write(remove_endpoint, office.program.id, endpoint_id) == 1
    await office.let_time_pass()
    await office.work_off()
    assert len(receiver.requests) == 1
    with pytest.raises(NoSuchEndpoint):
        await office.endpoint(endpoint_id)


async def test_who_lost_what_it_got_is_told_it_all_again(
    office: Office, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint_id, _ = await office.add(receiver.url, ["Customer tapped"])
    begun = utc_now()
    ids = [await office.happen("Customer tapped", None, number=number) for number in range(2)]
    await asyncio.sleep(0.005)
    ids.append(await office.happen("Customer tapped", None, number=2))
    await office.happen("Check-in at location", None)
    await office.work_off()
    receiver.requests.clear()
    endpoint = await office.endpoint(endpoint_id)
    monkeypatch.setattr(envelope, "AGAIN_AT_ONCE", 2)
    count, since = await office.database.write(tell_again, office.program, endpoint, begun)
    assert count == 2
    assert since is not None
    assert await office.database.write(tell_again, office.program, endpoint, since) == (1, None)
    later = utc_now() + timedelta(seconds=1)
    assert await office.database.write(tell_again, office.program, endpoint, later) == (0, None)
    await office.work_off()
    assert [request.envelope["id"] for request in receiver.requests] == ids, "their ids are the events' own"


# ---- Secrets


async def test_for_a_day_after_a_change_the_old_secret_and_the_new_one_both_hold(
    office: Office, receiver: Receiver
) -> None:
    endpoint_id, old = await office.add(receiver.url)
    new = await office.database.write(rotate_secret, office.program.id, endpoint_id, office.sealer)
    assert new != old
    for until, good in ((utc_now() + OVERLAP, [True, True]), (utc_now(), [False, True])):
        await office.database.write(_change, {"before_until": until})
        await office.happen("Customer tapped", None)
        await office.work_off()
        letter = receiver.requests[-1]
        signature = letter.headers["x-pasito-signature"]
        assert [is_from_pasito(letter.body, signature, secret) for secret in (old, new)] == good
        plain = hmac.new((old if good[0] else new).encode(), letter.body, hashlib.sha256).digest()
        assert letter.headers["x-jericommerce-hmac-sha256"] == base64.b64encode(plain).decode()


async def test_secrets_lie_sealed_and_are_sealed_anew_with_a_new_key(office: Office) -> None:
    endpoint_id, old = await office.add("https://shop.example.com/")
    new = await office.database.write(rotate_secret, office.program.id, endpoint_id, office.sealer)
    kept = str(await office.database.read(lambda conn: conn.execute(select(webhook_endpoint)).all()))
    assert old not in kept
    assert new not in kept
    both = Sealer(("another secret key, which is quite new", SECRET))
    assert await office.database.write(reseal_secrets, both) == 1
    alone = Sealer(("another secret key, which is quite new",))
    opened = await office.database.read(secrets_of, office.program.id, endpoint_id, alone)
    assert opened == [old.encode(), new.encode()]


async def test_without_the_key_of_its_secret_a_letter_waits(office: Office, receiver: Receiver) -> None:
    await office.add(receiver.url)
    await office.happen("Customer tapped", None)
    client = Outgoing(private=True)
    blind = Courier(office.database, Sealer(("a key that sealed nothing at all",)), client)
    office.worker.handlers.update(blind.handlers())
    await office.work_off()
    [letter] = await office.letters()
    assert (letter["state"], letter["tries"]) == ("waiting", 0)
    assert receiver.requests == []
    await client.close()


async def test_a_guarded_courier_does_not_call_this_machine(office: Office, receiver: Receiver) -> None:
    await office.add("https://localhost:8443/")
    await office.happen("Customer tapped", None)
    client = Outgoing()
    office.worker.handlers.update(Courier(office.database, office.sealer, client).handlers())
    await office.work_off()
    [letter] = await office.letters()
    assert letter["last_error"] == "TryLater: localhost is not on the public Internet."
    await client.close()


def _change(conn: Connection, changes: dict[str, object]) -> None:
    conn.execute(update(webhook_endpoint).values(**changes))
