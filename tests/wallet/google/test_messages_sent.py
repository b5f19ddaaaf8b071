"""From a call to the API to the notice on an Android phone: with a server, its worker, and Google beside it."""

import time
from pathlib import Path
from typing import Any

from tests.api.conftest import calling, new_key
from tests.conftest import Fresh
from tests.pages.steps import registered
from tests.support.google import Google
from tests.support.rows import rows_of
from tests.support.serving import PIXEL, serving


def test_three_messages_light_up_the_phone_the_fourth_is_there_quietly_and_each_answer_is_true(
    fresh_database: Fresh, data_dir: Path, google: Google
) -> None:
    url = fresh_database("sqlite")
    with serving(url, data_dir, **google.settings) as server:
        google.phone.calls_back = f"{server.url}/webhooks/google-wallet"
        with server.client(user_agent=PIXEL) as client:
            who = registered(server, client)
            way = client.get("/brewbar/google-wallet")
        card = google.phone.save(way.headers["location"])
        assert google.phone.answers == [200]
        with calling(server, new_key(server)) as api:

            def say(number: int) -> str:
                message = {
                    "customer_id": who["id"],
                    "message": f"Message {number}",
                    "kind": "service",
                    "url": "https://example.com/rewards",
                }
                return str(api.post("/v1/push", json=message).json()["id"])

            def what_became(message_id: str) -> dict[str, Any]:
                ends = time.monotonic() + 15
                while (told := api.get(f"/v1/push/{message_id}").json())["status"] == "queued":
                    assert time.monotonic() < ends, told
                    time.sleep(0.05)
                return dict(told)

            sent = [say(number) for number in range(4)]
            results = [what_became(each) for each in sent]
        assert [each["status"] for each in results] == ["sent"] * 4
        assert [each["passes"][0]["notified"] for each in results] == [True, True, True, False]
        codes = [row["code"] for row in rows_of(url, "push_message", customer_id=who["id"])]
        bodies = [
            f'<a href="{server.url}/brewbar/m/{code}">Message {number}</a>'
            for number, code in enumerate(codes)
        ]
        assert [each["body"] for each in google.phone.shows(card)["messages"]] == bodies
        assert [each for each in google.phone.notices(card) if "Message" in each] == bodies[:3]
