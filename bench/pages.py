"""Pages over HTTP, as a share of a plain-text route of the same app and server in the same run."""

from itertools import repeat
from statistics import median

from bench.bars import Bar, at_least
from bench.load import get, load
from bench.served import place, served

ROUNDS, SECONDS = 9, 0.25
BAR = 0.75
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/26.0 Mobile/15E148 Safari/604.1"
)
# What Safari on an iPhone sends; `plain` leaves out what asks for compression.
BROWSER = {
    "user_agent": IPHONE,
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "accept_language": "es-ES,es;q=0.9",
    "sec_fetch_site": "none",
    "sec_fetch_mode": "navigate",
    "sec_fetch_dest": "document",
}
CODED = BROWSER | {"accept_encoding": "gzip, deflate, br"}


def run(long: bool) -> list[Bar]:
    """The front door and step 1, warm, compressed and plain."""
    pages = {
        "front door": get("/brewbar", **CODED),
        "front door, no compression": get("/brewbar", **BROWSER),
        "step 1": get("/brewbar/register", **CODED),
        "step 1, no compression": get("/brewbar/register", **BROWSER),
    }
    text = get("/health/live", **CODED)
    with place() as here, served(here, here.sqlite("pages")) as port:

        def rate(request: bytes) -> float:
            return load(port, repeat(request), seconds=SECONDS).must_be(200).rate

        for request in (text, *pages.values()):
            rate(request)
        shares: dict[str, list[float]] = {name: [] for name in pages}
        for _ in range(ROUNDS * (3 if long else 1)):
            for name, request in pages.items():
                # Beside each page its own plain text, because a shared machine's speed drifts within seconds.
                before = rate(text)
                page = rate(request)
                shares[name].append(2 * page / (before + rate(text)))
    return [at_least(f"{name}, share of plain text", median(found), BAR) for name, found in shares.items()]
