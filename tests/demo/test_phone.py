"""The emulated phone, against a web service that answers as a test tells it to."""

import asyncio
import re
from collections.abc import Callable

import msgspec
import pytest
from cryptography import x509

from tests.demo.conftest import SERVICE
from tests.wallet.designs import card, design
from web.demo.phone import Answer, NoAnswer, Phone
from web.demo.pkpass import PassRefused
from web.wallet.apple.wallet import AppleWallet

SERIAL, TOKEN = card().serial, card().token
OK, CREATED, NOTHING, SAME = (
    Answer(200, {}, b""),
    Answer(201, {}, b""),
    Answer(204, {}, b""),
    Answer(304, {}, b""),
)
Says = Answer | Exception


class Service:
    """Answers with what stands next in `script` for the kind of request, else as a service where nothing changed."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.script: dict[str, list[Says]] = {}

    async def ask(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        await asyncio.sleep(0)
        path = url.removeprefix(SERVICE)
        assert path != url, url
        self.asked.append((method, path, headers, body))
        kind = self.kind(method, path)
        said = (
            self.script[kind].pop(0)
            if self.script.get(kind)
            else {"register": CREATED, "what": NOTHING}.get(kind, OK)
        )
        if isinstance(said, Exception):
            raise said
        return said

    @staticmethod
    def kind(method: str, path: str) -> str:
        if path == "/v1/log":
            return "log"
        if path.startswith("/v1/passes/"):
            return "fetch"
        return {"POST": "register", "DELETE": "unregister", "GET": "what"}[method]

    def kinds(self) -> list[str]:
        return [self.kind(method, path) for method, path, _, _ in self.asked]

    def says(self, kind: str, *answers: Says) -> None:
        self.script.setdefault(kind, []).extend(answers)

    def changed(self, tag: str, *serials: str) -> None:
        self.says(
            "what", Answer(200, {}, msgspec.json.encode({"serialNumbers": serials, "lastUpdated": tag}))
        )


Pack = Callable[..., bytes]


@pytest.fixture
def pack(wallet: AppleWallet) -> Pack:
    def make(**changes: object) -> bytes:
        return wallet.package(design(), card(**changes))

    return make


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def phone(service: Service, roots: list[x509.Certificate], pack: Pack) -> Phone:
    """A phone with a pass in it that is registered."""
    made = Phone(service.ask, roots=roots, pauses=(0.001, 0.001, 0.001))
    await made.add(pack())
    return made


def served(package: bytes, at: str = "Mon, 05 May 2031 10:00:00 GMT") -> Answer:
    return Answer(200, {"last-modified": at}, package)


async def test_an_added_pass_is_registered_with_its_own_token(phone: Phone, service: Service) -> None:
    [(method, path, headers, body)] = service.asked
    pass_type = phone.held[SERIAL].pass_type
    assert (method, path) == ("POST", f"/v1/devices/{phone.device_id}/registrations/{pass_type}/{SERIAL}")
    assert headers["authorization"] == f"ApplePass {TOKEN}"
    assert msgspec.json.decode(body) == {"pushToken": phone.push_token}
    assert phone.held[SERIAL].is_registered


async def test_a_bad_pass_is_not_added_and_nobody_is_told(
    service: Service, roots: list[x509.Certificate], pack: Pack
) -> None:
    phone = Phone(service.ask, roots=roots)
    with pytest.raises(PassRefused):
        await phone.add(pack()[:-40])
    assert (phone.held, service.asked) == ({}, [])


async def test_a_push_brings_the_new_card_and_a_notice_for_what_has_a_message(
    phone: Phone, service: Service, pack: Pack
) -> None:
    service.changed("tag-1", SERIAL)
    service.says("fetch", served(pack(balance=20000, tier="Platino", member="Another Name", speaks="tier")))
    await phone.hear()
    assert phone.held[SERIAL].opened.fields("headerFields")[0]["value"] == "20.000"
    # Only the tier has a message this time: the balance and the name say nothing.
    assert [notice.text for notice in phone.notices] == ["Your tier is now Platino"]
    assert service.kinds() == ["register", "what", "fetch"]
    assert "passesUpdatedSince" not in service.asked[1][1]
    await phone.hear()
    assert service.asked[3][1].endswith("?passesUpdatedSince=tag-1")
    assert len(phone.notices) == 1


async def test_what_was_not_modified_is_asked_for_with_its_date_and_stays(
    phone: Phone, service: Service, pack: Pack
) -> None:
    service.changed("1", SERIAL)
    service.changed("2", SERIAL)
    service.says("fetch", served(pack(balance=1)), SAME)
    await phone.hear()
    await phone.hear()
    fetches = [headers for method, path, headers, _ in service.asked if path.startswith("/v1/passes/")]
    assert "if-modified-since" not in fetches[0]
    assert fetches[1]["if-modified-since"] == "Mon, 05 May 2031 10:00:00 GMT"
    assert phone.held[SERIAL].opened.fields("headerFields")[0]["value"] == "1"
    assert len(phone.notices) == 1


async def test_a_field_that_was_not_there_before_is_shown_without_a_notice(
    phone: Phone, service: Service, pack: Pack
) -> None:
    service.changed("1", SERIAL)
    service.changed("2", SERIAL)
    service.says("fetch", served(pack(tier=None)), served(pack(tier="Oro")))
    await phone.hear()
    await phone.hear()
    assert list(phone.notices) == []
    assert [field["value"] for field in phone.held[SERIAL].opened.fields("secondaryFields")][1] == "Oro"


async def test_a_fetch_that_fails_is_tried_again_and_the_tag_is_kept_only_once_all_is_there(
    phone: Phone, service: Service, pack: Pack
) -> None:
    lost = [NoAnswer("lost"), Answer(503, {}, b""), Answer(429, {}, b""), NoAnswer("lost")]
    service.changed("1", SERIAL)
    service.says("fetch", *lost)
    with pytest.raises(NoAnswer):
        await phone.hear()
    assert phone.tags == {}
    service.changed("1", SERIAL)
    service.says("fetch", *lost[:3], served(pack(balance=7)))
    await phone.hear()
    assert list(phone.tags.values()) == ["1"]
    assert phone.held[SERIAL].opened.fields("headerFields")[0]["value"] == "7"


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (Answer(401, {}, b""), "Unexpected answer 401 to the request for a pass"),
        (Answer(200, {}, b"PK\3\4"), "isn't valid"),
    ],
)
async def test_a_pass_that_cannot_be_taken_is_complained_of_and_the_old_one_stays(
    phone: Phone, service: Service, answer: Answer, complaint: str
) -> None:
    service.changed("1", SERIAL)
    service.says("fetch", answer)
    await phone.hear()
    [line] = msgspec.json.decode(service.asked[-1][3])["logs"]
    assert service.kinds()[-1] == "log"
    assert complaint in line
    assert re.match(r"\[\d{4}-\d\d-\d\d ", line)
    assert phone.held[SERIAL].opened.fields("headerFields")[0]["value"] == "12.345"


async def test_another_pass_than_was_asked_for_is_not_taken(
    phone: Phone, service: Service, pack: Pack
) -> None:
    service.changed("1", SERIAL, "a-serial-of-nobody")
    service.says("fetch", served(pack(serial="another", balance=5)))
    await phone.hear()
    assert phone.held.keys() == {SERIAL}
    assert service.kinds()[-1] == "log"


async def test_pushes_that_come_at_once_make_it_look_once_more_and_not_more_often(
    phone: Phone, service: Service
) -> None:
    await asyncio.gather(*(phone.hear() for _ in range(20)))
    assert service.kinds().count("what") == 2


async def test_a_removed_pass_is_unregistered_and_its_switch_does_it_as_well(
    phone: Phone, service: Service
) -> None:
    await phone.set_updates(SERIAL, False)
    assert service.kinds()[-1] == "unregister"
    await phone.hear()
    assert service.kinds()[-1] == "unregister", "who turned updates off does not ask for them"
    await phone.set_updates(SERIAL, True)
    assert service.kinds()[-1] == "register"
    await phone.remove(SERIAL)
    assert service.kinds()[-1] == "unregister"
    assert phone.held == {}


async def test_a_restored_phone_has_another_name_and_registers_all_again(
    phone: Phone, service: Service
) -> None:
    before = phone.device_id, phone.push_token
    await phone.restore()
    assert phone.device_id != before[0]
    assert phone.push_token != before[1]
    assert service.kinds() == ["register", "register", "what"]
    assert f"/v1/devices/{phone.device_id}/" in service.asked[1][1]


async def test_a_registration_that_nobody_answered_is_made_up_for(
    service: Service, roots: list[x509.Certificate], pack: Pack
) -> None:
    phone = Phone(service.ask, roots=roots, pauses=())
    service.says("register", NoAnswer("away"))
    with pytest.raises(NoAnswer):
        await phone.add(pack())
    assert phone.held.keys() == {SERIAL}
    await phone.look()
    assert phone.held[SERIAL].is_registered
    await phone.change_push_token()
    assert msgspec.json.decode(service.asked[-1][3]) == {"pushToken": phone.push_token}


async def test_a_removal_that_nobody_answered_is_told_later(phone: Phone, service: Service) -> None:
    service.says("unregister", *[NoAnswer("away")] * 4)
    with pytest.raises(NoAnswer):
        await phone.remove(SERIAL)
    assert phone.held == {}
    await phone.look()
    await phone.look()
    assert service.kinds() == ["register", *["unregister"] * 5]
