"""Rewards: what can be had is had once, what cannot says why, and a code is its owner's alone."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from sqlalchemy import update

from tests.pages.members import Somebody, beside, demo_customer, member, reward_of
from tests.pages.steps import change
from tests.support.serving import Server
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import random_code
from web.loyalty.booking import Order
from web.loyalty.redeeming import cancel, mark_used
from web.loyalty.reward import reward

COFFEE, CAKE, WEB, CUP, BAG, EVENING = 100, 180, 250, 450, 600, 900


def ask(somebody: Somebody, reward_id: str) -> str:
    """The key in the form of a reward's own page."""
    page = somebody.page(f"loyalty/rewards/{reward_id}")
    assert page.status_code == 200
    return re.search(r'name="key" value="(\w{26})"', page.text)[1]  # type: ignore[index]


def redeem(somebody: Somebody, cost: int) -> str:
    """The address of the code."""
    reward_id = reward_of(somebody.server, cost)
    done = somebody.posts(f"loyalty/rewards/{reward_id}", key=ask(somebody, reward_id))
    assert done.status_code == 303, done.text
    return done.headers["location"].removeprefix("/brewbar/")


def refused(somebody: Somebody, cost: int) -> str:
    """The page that says why not; nothing has changed."""
    before = somebody.points(), len(somebody.rows("redemption"))
    answer = somebody.posts(f"loyalty/rewards/{reward_of(somebody.server, cost)}", key=random_code())
    assert answer.status_code == 409
    assert answer.headers["hx-push-url"] == "false"
    assert (somebody.points(), len(somebody.rows("redemption"))) == before
    return answer.text


def test_a_reward_is_asked_for_once_and_had_once(server: Server) -> None:
    with member(server, points=130) as kim:
        shelf = kim.page("loyalty/rewards").text
        coffee = reward_of(server, COFFEE)
        assert shelf.index("Yours now") < shelf.index(coffee) < shelf.index("On the way")
        assert "50 to go" in shelf, "the cake is near"
        question = kim.page(f"loyalty/rewards/{coffee}").text
        assert re.findall(r"<dd><bdi>(.*?)</bdi>", question) == ["130", "−100", "30"]
        key = ask(kim, coffee)
        with ThreadPoolExecutor(4) as taps:
            answers = list(taps.map(lambda _: kim.posts(f"loyalty/rewards/{coffee}", key=key), range(4)))
        places = {answer.headers["location"] for answer in answers}
        assert len(places) == 1, "four taps, one redemption"
        assert kim.points() == 30
        [made] = kim.rows("redemption")
        page = kim.page(places.pop().removeprefix("/brewbar/")).text
        spaced = " ".join(made["code"][at : at + 3] for at in (0, 3, 6))
        assert spaced in page
        assert f'data-copy="{made["code"]}"' in page
        assert "15 minutes left" in page
        assert page.count("<svg") == 2, "as QR and as bars"
        assert spaced in kim.page("loyalty/rewards").text, "it waits on top of the list"
        spent = kim.page("transactions?show=spent").text
        assert "Free coffee" in spent
        assert f"loyalty/rewards/codes/{made['id']}" in spent, "what was spent leads to its code"
        # Asked anew it is another one, up to the limit of two a day.
        kim.gets(200)
        assert redeem(kim, COFFEE) != f"loyalty/rewards/codes/{made['id']}"
        assert "as often as one person may" in refused(kim, COFFEE)
        assert "You had it. Again from" in kim.page("loyalty/rewards").text


def test_who_is_not_confirmed_sees_why_and_the_way(server: Server) -> None:
    with member(server, points=130, verified=False) as kim:
        coffee = reward_of(server, COFFEE)
        for path in ("loyalty/rewards", f"loyalty/rewards/{coffee}", "profile"):
            page = kim.page(path).text
            assert "One thing first" in page
            assert "Send the confirmation again" in page
            assert "k•" in page or "***" in page or "@e" in page, "the address is masked"
        assert 'name="key"' not in kim.page(f"loyalty/rewards/{coffee}").text
        assert "One thing first" in refused(kim, COFFEE)
        assert kim.posts("profile/verify").headers["location"] == "/brewbar/profile?sent=1"


def test_what_cannot_be_had_says_why(server: Server) -> None:
    with member(server, points=1000) as kim:
        shelf = kim.page("loyalty/rewards").text
        closed = shelf[shelf.index("Not just now") :]
        assert "All gone just now" in closed, "the cup"
        assert "Somebody else took the last one" in refused(kim, CUP)
        redeem(kim, WEB)
        assert "Again from" in refused(kim, WEB), "once a month"
        # Spent at the till while the page was open.
        key = ask(kim, reward_of(server, BAG))
        kim.gets(-700)
        gone = kim.posts(f"loyalty/rewards/{reward_of(server, BAG)}", key=key)
        assert gone.status_code == 409
        assert "You have 50 just now, and this costs 600" in gone.text
        assert '<div class="summary" role="alert"' in gone.text
        assert "<title>Error: " in gone.text
    with member(server, points=20) as kim:
        change(server, "balance", {"customer_id": kim.id}, tier_id=None, tier_points=0)
        assert "From the tier Roaster" in kim.page("loyalty/rewards").text


def test_the_last_one_goes_to_one_of_two(server: Server) -> None:
    bag = reward_of(server, BAG)

    def leave(count: int) -> None:
        beside(
            server,
            lambda conn, _: conn.execute(update(reward).where(reward.c.id == bag).values(stock=count)),
        )

    leave(1)
    with member(server, points=600) as kim, member(server, points=600) as sam:
        keys = {who: ask(who, bag) for who in (kim, sam)}
        with ThreadPoolExecutor(2) as both:
            answers = list(
                both.map(lambda each: each[0].posts(f"loyalty/rewards/{bag}", key=each[1]), keys.items())
            )
        assert sorted(answer.status_code for answer in answers) == [303, 409]
        [late] = [answer for answer in answers if answer.status_code == 409]
        assert "Somebody else took the last one. Your points are untouched." in late.text
        assert kim.points() + sam.points() == 600
    leave(25)


def test_a_code_is_its_owners_alone_and_says_what_became_of_it(server: Server) -> None:
    with member(server, points=400) as kim, member(server, points=100) as sam:
        code = redeem(kim, COFFEE)
        for stranger in (
            code,
            f"loyalty/rewards/codes/{new_id()}",
            "loyalty/rewards/codes/1",
            "loyalty/rewards/1",
        ):
            assert sam.page(stranger).status_code == 404
        coffee = reward_of(server, COFFEE)
        assert sam.posts(f"loyalty/rewards/{coffee}").status_code == 400, "a form of ours has a key"
        [made] = kim.rows("redemption")
        assert kim.page(f"{code}?while=issued").status_code == 204
        beside(server, lambda conn, program: mark_used(conn, program, made["code"]))
        assert kim.page(f"{code}?while=issued").status_code == 200, "there is news for the open page"
        used = kim.page(code).text
        assert "Enjoy!" in used
        assert made["code"] not in used
        # One whose time is over, before and after the clock has noticed.
        late = redeem(kim, CAKE)
        change(
            server,
            "redemption",
            {"id": late.rpartition("/")[2]},
            issued_at=utc_now() - timedelta(minutes=16),
            expires_at=utc_now() - timedelta(minutes=1),
        )
        page = kim.page(late).text
        assert "The time of this code is over." in page
        assert "180" in page
        # One that was given back.
        back = redeem(kim, COFFEE)
        order = Order(key=new_id(), reason="Given back", source="pos")
        beside(server, lambda conn, program: cancel(conn, program, back.rpartition("/")[2], order))
        assert "Nothing is lost: 100 are yours again." in kim.page(back).text
        listed = kim.page("loyalty/rewards/codes").text
        assert "Used on" in listed
        assert "Given back on" in listed
        assert "No codes yet" in sam.page("loyalty/rewards/codes").text


def test_rewards_speak_the_readers_language_and_codes_of_a_shop_stay_as_they_are(server: Server) -> None:
    with demo_customer(server, "ana", "es") as ana:
        shelf = ana.page("loyalty/rewards").text
        assert "Café gratis" in shelf
        assert "Free coffee" not in shelf
        [made] = [row for row in ana.rows("redemption") if row["state"] == "issued"]
        page = ana.page(f"loyalty/rewards/codes/{made['id']}").text
        assert made["code"].startswith("BEANS-")
        assert f"<bdi>{made['code']}</bdi>" in page
