"""The coffee story: earn, threshold, message, redeem, reset, with the card on a phone.

Every 10 that a customer spends earns a point; five points are worth 5 off the next order. The till speaks to the API as
a merchant's own systems would, and each step prints what was said, what the balance is then and what became of the
message. The card is put on the emulated phone of a development server, `/dev/phone`; where there is none, nobody holds
it, and the messages say so:

    python -m e2e.coffee_story http://localhost:8000 pasito_demo_…
"""

import argparse
import base64
import html
import io
import json
import secrets
import time
import zipfile
from collections.abc import Callable
from typing import Any

import httpx

THANKS = "Thank you for your order. You've earned 2 points!"
THRESHOLD = "Congratulations! You've got £5 off on your next order!"
USED = "You've used your £5 off discount!"
REWARD = "£5 off"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Mobile/15E148 Safari/604.1"
)


SEEN_WITHIN = 15.0


class Customer:
    """The customer: opens the link to their card, adds it to the emulated phone, and reads its lock screen."""

    def __init__(self, url: str, program: str) -> None:
        self._browser = httpx.Client(
            base_url=url, headers={"origin": url, "user-agent": IPHONE}, timeout=20, follow_redirects=True
        )
        self._slug = program

    def adds_the_card(self, token: str) -> bool:
        """True once it is on the phone; False where this server has no phone."""
        if self._browser.get("/dev/phone").is_error:
            return False
        self._browser.get(f"/{self._slug}/download", params={"token": token})
        package = self._browser.post(f"/{self._slug}/download/apple")
        with zipfile.ZipFile(io.BytesIO(package.content)) as files:
            serial = json.loads(files.read("pass.json"))["serialNumber"]
        return not self._browser.post(f"/dev/phone/{serial}/add").is_error

    def reads(self, message: str) -> bool:
        """Whether the lock screen comes to say it; it is wiped then, for the same words may come again."""
        ends = time.monotonic() + SEEN_WITHIN
        while time.monotonic() < ends:
            if message in html.unescape(self._browser.get("/dev/phone/lock").text):
                self._browser.post("/dev/phone/clear")
                return True
            time.sleep(0.1)
        return False


class Till:
    """A till of PassEntry Coffee: it knows a customer by the number in their card, and by `ext_id` from then on."""

    def __init__(self, api: httpx.Client, program: str, say: Callable[[str], None]) -> None:
        self._api = api
        self._program = f"/v1/programs/{program}"
        self._say = say
        # Somebody to look at, once the card is on their phone.
        self.customer: Customer | None = None
        self.ext_id = f"coffee-{secrets.token_hex(4)}"

    def hands_out_a_card(self, email: str) -> str:
        """A card for a new customer; returns the number in its barcode."""
        person = {
            "email": email,
            "feature": "users",
            "payload": {"externalCustomerId": self.ext_id, "name": "Coco", "emailVerified": True},
        }
        made = self._ask("POST", f"{self._program}/integrations/api", [person])
        assert made["results"][0]["status"] == "created", made
        card = self._ask("GET", f"/v1/loyalty/{self.ext_id}")
        self._say(f"A card for {self.ext_id}: {self._balance(card)} points")
        return str(card["data"]["attributes"]["barcode"]["value"])

    def token(self, email: str) -> str:
        """What the link to the card is made of."""
        asked = f"{self._program}/customers/token?email={email}&token_type=download"
        return base64.urlsafe_b64encode(self._ask("GET", asked)["accessToken"].encode()).decode()

    def offers(self) -> str:
        """The reward that five points open; it costs nothing, for the till resets the balance itself."""
        reward = self._ask(
            "POST",
            f"{self._program}/rewards",
            {
                "title": {"en": REWARD},
                "cost": 0,
                "kind": "fixed",
                "value": 500,
                "redeemableFrom": 5,
                "visibleFrom": 5,
                "visibleTo": 9,
            },
        )
        return str(reward["id"])

    def scans(self, card_number: str) -> dict[str, Any]:
        """The card is shown: who it is, what they have, and what they could have now."""
        seen = self._ask("POST", f"{self._program}/scans", {"cardNumber": card_number})
        assert seen["externalCustomerId"] == self.ext_id
        self._say(f"Scanned {seen['externalCustomerId']}: {seen['balance']} points")
        return seen

    def takes_payment(self, pounds: int, message: str) -> int:
        """An order is paid, and earns a point for each ten pounds; returns the balance."""
        return self._changes(f"Paid £{pounds}", {"balance": pounds // 10, "message": message})

    def redeems(self, reward_id: str) -> None:
        """The discount is wanted: its code is issued, used on this order, and their card says so."""
        wanted = {"rewardId": reward_id, "channel": "in_store", "staff": "Till 1"}
        redeemed = self._ask("POST", f"{self._program}/customers/{self.ext_id}/redemptions", wanted)
        used = self._ask("POST", f"{self._program}/codes/{redeemed['code']}/use", {"orderId": "1003"})
        assert used["redemption"]["state"] == "used", used
        self._say(
            f"Redeemed {redeemed['rewardTitle']} with the code {redeemed['code']}: the order of £8 is £3"
        )
        self._changes("The discount is gone", {"balance": 0, "message": USED})

    def resets(self) -> int:
        """The points begin anew."""
        return self._changes("Reset", {"overrideBalance": 0})

    def _changes(self, what: str, change: dict[str, Any]) -> int:
        card = self._ask("PATCH", f"/v1/loyalty/{self.ext_id}", change)
        balance = self._balance(card)
        self._say(f"{what}: {balance} points")
        if "message" in change:
            told = card["meta"]["notifications"]
            why = f" ({told['message']})" if told["message"] else ""
            self._say(f"  “{change['message']}” {told['status']}{why}")
            if self.customer is not None:
                assert told["status"] == "queued", told
                assert self.customer.reads(change["message"]), "the phone does not say it"
                self._say("  and the phone says so")
        return balance

    def _balance(self, card: dict[str, Any]) -> int:
        balance: int = card["meta"]["loyalty"]["balance"]
        return balance

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._api.request(method, path, json=body)
        if answer.is_error:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()


def tell(api: httpx.Client, program: str, say: Callable[[str], None]) -> None:
    """The story from the first card to the reset; stops at the first thing that is not as it should be."""
    email = f"coffee-{secrets.token_hex(4)}@example.org"
    till = Till(api, program, say)
    reward = till.offers()
    card = till.hands_out_a_card(email)
    customer = Customer(str(api.base_url).rstrip("/"), program)
    if customer.adds_the_card(till.token(email)):
        say("Added to the phone")
        till.customer = customer
    assert till.scans(card)["balance"] == 0
    assert till.takes_payment(20, THANKS) == 2
    assert till.takes_payment(20, THANKS) == 4
    assert reward not in [each["id"] for each in till.scans(card)["redeemables"]]
    assert till.takes_payment(10, THRESHOLD) == 5
    assert reward in [each["id"] for each in till.scans(card)["redeemables"]]
    till.redeems(reward)
    assert till.resets() == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="where Pasito runs")
    parser.add_argument("key", help="an API key with every scope")
    parser.add_argument("--program", default="brewbar")
    given = parser.parse_args()
    with httpx.Client(base_url=given.url, headers={"api-key": given.key}, timeout=20) as api:
        tell(api, given.program, print)


if __name__ == "__main__":
    main()
