"""Every page in every state that matters, and how a person gets there. Words are not used to find the way, so that
each scene plays in every language."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import update

from e2e.person import Device, Person, new_address
from tests.support.links import session_path
from tests.support.rows import in_database, rows_of
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer, random_code
from web.loyalty.booking import Order
from web.loyalty.link import make_link
from web.loyalty.points import adjust
from web.loyalty.program import load_program
from web.loyalty.referral_code import code_for
from web.tables import metadata

LONG_NAME = "Wolfeschlegelsteinhausenbergerdorff María de los Ángeles"
INSTAGRAM = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/15E148 Instagram 400.0.0.20.70 (iPhone16,1; iOS 18_6; en_GB; en; scale=3.00; 1179x2556; 0)"
)


@dataclass(frozen=True)
class Scene:
    """`play` brings a person's page there. `only` names the devices that have it, if not all.

    A variation of another scene is checked for access in one way and not in each.
    """

    name: str
    play: Callable[[Person], None]
    only: tuple[Device, ...] = ()
    is_variation: bool = False
    options: dict[str, Any] = field(default_factory=dict)


SCENES: dict[str, Scene] = {}


def scene(
    *only: Device, is_variation: bool = False, **options: Any
) -> Callable[[Callable[[Person], None]], Callable[[Person], None]]:
    def keep(play: Callable[[Person], None]) -> Callable[[Person], None]:
        SCENES[play.__name__] = Scene(play.__name__, play, only, is_variation, options)
        return play

    return keep


@scene()
def front_door(person: Person) -> None:
    person.opens("/brewbar")


@scene()
def front_door_invited(person: Person) -> None:
    """By the link that a friend shared."""
    environment = person.server.environment
    [friend] = rows_of(environment["DATABASE_URL"], "customer", email_key="ben@example.com")

    def work(conn: Any) -> str:
        program = load_program(conn, "brewbar", _sealer(person))
        assert program
        return code_for(conn, program, friend["id"])

    person.opens(f"/brewbar/r/{in_database(environment['DATABASE_URL'], work)}")


@scene()
def contact(person: Person) -> None:
    person.opens("/brewbar/register")


@scene()
def contact_wrong(person: Person) -> None:
    contact(person)
    _fill_and_send(person, "#contact", "zoe@")


@scene()
def contact_slip(person: Person) -> None:
    contact(person)
    _fill_and_send(person, "#contact", "zoe.garcia@gmial.com")


@scene()
def about(person: Person) -> None:
    contact(person)
    _fill_and_send(person, "#contact", new_address())
    person.page.wait_for_selector("#name")


@scene()
def about_wrong(person: Person) -> None:
    about(person)
    person.page.fill("#field_birthday", "31")
    person.page.fill("#field_birthday_month", "2")
    _fill_and_send(person, "#name", "")
    person.page.wait_for_selector("[role=alert]")


@scene()
def card_new(person: Person) -> None:
    about(person)
    _fill_and_send(person, "#name", "Zoë García")
    person.page.wait_for_selector(".pass .qr")


@scene()
def card_long_name(person: Person) -> None:
    about(person)
    _fill_and_send(person, "#name", LONG_NAME)
    person.page.wait_for_selector(".pass .qr")


@scene()
def card_full(person: Person) -> None:
    _with_the_card_of(person, "daniel@example.com")


@scene("iphone")
def card_ready_reward(person: Person) -> None:
    _with_the_card_of(person, "ana@example.com")


@scene("iphone", user_agent=INSTAGRAM)
def card_in_an_app(person: Person) -> None:
    card_new(person)


@scene("laptop")
def card_handed_over(person: Person) -> None:
    person.page.clock.install()
    card_new(person)
    poll = person.page.locator("#handoff").get_attribute("hx-get") or ""
    _uses(person, poll.removesuffix("/taken"))
    person.page.clock.fast_forward(5000)
    person.page.wait_for_selector("#handoff[role=status]")


@scene()
def inbox(person: Person) -> None:
    """A known address, registered again."""
    about(person)
    contact(person)
    _fill_and_send(person, "#contact", "fay@example.com")
    person.page.wait_for_selector("#name")
    _fill_and_send(person, "#name", "Fay")
    person.page.wait_for_url("**/register/sent")


@scene()
def ask_for_card(person: Person) -> None:
    person.opens("/brewbar/card")


@scene()
def ask_for_card_wrong(person: Person) -> None:
    ask_for_card(person)
    _fill_and_send(person, "#contact", "")


@scene()
def ask_for_card_sent(person: Person) -> None:
    ask_for_card(person)
    _fill_and_send(person, "#contact", new_address())


@scene()
def download(person: Person) -> None:
    person.opens(_link(person, "eman@example.com"))


@scene()
def download_dead(person: Person) -> None:
    person.opens("/brewbar/download?token=none")


@scene()
def verify(person: Person) -> None:
    address = new_address()
    with person.server.client() as client:
        client.post("/brewbar/register", data={"contact": address})
        client.post("/brewbar/register/about", data={"name": "Zoë"})
    person.opens(next(link for link in person.links_in_mail(address) if "/verify?" in link))


@scene()
def verify_done(person: Person) -> None:
    verify(person)
    _send(person)


@scene()
def verify_dead(person: Person) -> None:
    person.opens("/brewbar/verify?token=none")


@scene()
def privacy(person: Person) -> None:
    person.opens("/brewbar/privacy")


@scene()
def poster_a4(person: Person) -> None:
    person.opens("/brewbar/poster?location=malasana")


@scene()
def poster_a5(person: Person) -> None:
    person.opens("/brewbar/poster?size=a5")


@scene()
def not_found(person: Person) -> None:
    person.opens("/brewbar/no-such-page")


@scene()
def no_programme(person: Person) -> None:
    person.opens("/nobodys-bar")


@scene()
def ask_for_card_too_often(person: Person) -> None:
    address = new_address()
    with person.server.client() as client:
        for _ in range(3):
            client.post("/brewbar/card", data={"contact": address})
    ask_for_card(person)
    _fill_and_send(person, "#contact", address)


@scene(extra_http_headers={"x-forwarded-for": "10.200.2.7"})
def too_fast(person: Person) -> None:
    """A thirteenth registration from one network within ten minutes."""
    with person.server.client(x_forwarded_for="10.200.2.7") as client:
        for _ in range(12):
            client.post("/brewbar/register", data={"contact": new_address()})
            client.post("/brewbar/register/about", data={"name": "Guest"})
            client.cookies.clear()
    about(person)
    _fill_and_send(person, "#name", "Zoë")
    person.page.wait_for_selector(".status")


@scene()
def mailbox(person: Person) -> None:
    with person.server.client() as client:
        client.post("/brewbar/card", data={"contact": "ben@example.com"})
    person.server.messages("ben@example.com")
    person.opens("/dev/mailbox")


@scene()
def mailbox_message(person: Person) -> None:
    mailbox(person)
    person.page.locator("main li a").first.click()
    person.page.wait_for_selector("pre")


@scene()
def profile(person: Person) -> None:
    _member(person, "ana@example.com", "profile")


@scene()
def profile_empty(person: Person) -> None:
    _member(person, "fay@example.com", "profile")


@scene()
def profile_long_name(person: Person) -> None:
    _member(person, "daniel@example.com", "profile")


@scene()
def profile_from_right_to_left(person: Person) -> None:
    """Her card speaks Arabic, whatever the browser does."""
    _member(person, "eman@example.com", "profile")


@scene()
def profile_details(person: Person) -> None:
    _member(person, "ana@example.com", "profile/details")


@scene()
def profile_messages(person: Person) -> None:
    _member(person, "ana@example.com", "profile/messages")


@scene()
def profile_address(person: Person) -> None:
    _member(person, "ana@example.com", "profile/address")


@scene()
def profile_devices(person: Person) -> None:
    _member(person, "ana@example.com", "profile/devices")


@scene()
def profile_data(person: Person) -> None:
    _member(person, "ana@example.com", "profile/data")


@scene()
def rewards(person: Person) -> None:
    _member(person, "ana@example.com", "loyalty/rewards")


@scene(is_variation=True)
def rewards_unconfirmed(person: Person) -> None:
    newcomer(person, points=130, verified=False)
    person.opens("/brewbar/loyalty/rewards")


@scene()
def reward(person: Person) -> None:
    """The question whether to have it."""
    newcomer(person, points=130)
    person.opens("/brewbar/loyalty/rewards")
    person.page.locator(".stub--ready h3 a").first.click()
    person.page.wait_for_selector(".sum")


@scene(is_variation=True)
def reward_refused(person: Person) -> None:
    """The points went while the question stood there."""
    reward(person)
    change_points_of_last(person, -100)
    person.page.locator("main form button[type=submit]").last.click()
    person.page.wait_for_selector(".summary")


@scene()
def code(person: Person) -> None:
    reward(person)
    person.page.locator("main form button[type=submit]").last.click()
    person.page.wait_for_selector(".code")


@scene(is_variation=True)
def code_online(person: Person) -> None:
    rewards(person)
    person.page.locator(".stub h3 a[href*=codes]").first.click()
    person.page.wait_for_selector(".code")


@scene(is_variation=True)
def codes(person: Person) -> None:
    _member(person, "ana@example.com", "loyalty/rewards/codes")


@scene()
def earning(person: Person) -> None:
    _member(person, "ana@example.com", "loyalty/earning-flows")


@scene()
def referrals(person: Person) -> None:
    _member(person, "ana@example.com", "referrals")


@scene()
def coupons(person: Person) -> None:
    _member(person, "ana@example.com", "coupons")


@scene(is_variation=True)
def referrals_nobody(person: Person) -> None:
    _member(person, "fay@example.com", "referrals")


@scene(is_variation=True)
def coupons_none(person: Person) -> None:
    _member(person, "fay@example.com", "coupons")


@scene(is_variation=True)
def coupon(person: Person) -> None:
    coupons(person)
    person.page.locator(".stub h3 a").first.click()
    person.page.wait_for_selector(".code")


@scene(is_variation=True)
def transactions_explained(person: Person) -> None:
    transactions(person)
    for row in person.page.locator(".entry summary").all()[:3]:
        row.click()


@scene()
def transactions(person: Person) -> None:
    _member(person, "daniel@example.com", "transactions")


@scene()
def transactions_empty(person: Person) -> None:
    _member(person, "fay@example.com", "transactions")


@scene()
def session_switch(person: Person) -> None:
    _member(person, "ana@example.com", "profile")
    person.opens(session_path(person.server, _sealer(person), "ben@example.com"))


@scene()
def session_dead(person: Person) -> None:
    person.opens("/brewbar/session")


def _member(person: Person, email: str, path: str) -> None:
    """A customer of the demo on one of their own pages."""
    person.opens(session_path(person.server, _sealer(person), email))
    person.opens(f"/brewbar/{path}")


def newcomer(person: Person, *, points: int = 0, verified: bool = True) -> str:
    """A new customer of this scene alone, in their own pages; returns the id."""
    address = new_address()
    with person.server.client(accept_language=person.page.evaluate("navigator.language")) as client:
        client.post("/brewbar/register", data={"contact": address})
        client.post("/brewbar/register/about", data={"name": "Zoë García"})
    url = person.server.environment["DATABASE_URL"]
    [row] = rows_of(url, "customer", email_key=address)
    if verified:
        customer = metadata.tables["customer"]
        in_database(
            url,
            lambda conn: conn.execute(
                update(customer).where(customer.c.id == row["id"]).values(email_verified_at=utc_now())
            ),
        )
    if points:
        change_points_of_last(person, points)
    person.opens(session_path(person.server, _sealer(person), address))
    return str(row["id"])


def change_points_of_last(person: Person, change: int) -> None:
    """Book a change for the customer who came last."""
    sealer, url = _sealer(person), person.server.environment["DATABASE_URL"]
    last = max(rows_of(url, "customer"), key=lambda row: row["id"])

    def work(conn: Any) -> None:
        program = load_program(conn, "brewbar", sealer)
        assert program
        adjust(conn, program, last["id"], change, Order(key=None, reason="Breakfast", source="pos"))

    in_database(url, work)


def _fill_and_send(person: Person, field_: str, value: str) -> None:
    person.page.fill(field_, value)
    _send(person)


def _send(person: Person) -> None:
    """Taps the form's main button, and waits until another page, or the same with an answer, is there."""
    app = person.page.locator("#app").element_handle()
    person.page.locator("main form button[type=submit]").last.click()
    person.page.wait_for_function("app => !app.isConnected", arg=app)


def _with_the_card_of(person: Person, email: str) -> None:
    """A demo customer's own card page, in a browser that has just used their link."""
    person.opens(_link(person, email))
    answer = person.context.request.post(
        f"{person.server.url}/brewbar/download/apple", headers={"origin": person.server.url}
    )
    assert answer.headers["content-type"] == "application/vnd.apple.pkpass"
    person.opens("/brewbar/register/card")


def _uses(person: Person, link: str) -> None:
    """Another phone takes the card by this link."""
    with httpx.Client(base_url=person.server.url, headers=person.server.headers()) as phone:
        phone.get(link, follow_redirects=True)
        phone.post("/brewbar/download/apple").raise_for_status()


def _link(person: Person, email: str) -> str:
    environment, sealer = person.server.environment, _sealer(person)
    [customer] = rows_of(environment["DATABASE_URL"], "customer", email_key=email)
    code = random_code()

    def work(conn: Any) -> str:
        program = load_program(conn, "brewbar", sealer)
        assert program
        return make_link(conn, program, customer["id"], "download", jti=code, created_by="support")

    in_database(environment["DATABASE_URL"], work)
    return f"/brewbar/l/{code}"


def _sealer(person: Person) -> Sealer:
    return Sealer(((Path(person.server.environment["PASITO_DATA_DIR"]) / "secret.key").read_text(),))
