"""Limits as named rules, one line each beside the reason for its number.

Counted in this process by default, in Redis or Valkey when several processes must count together. A store that
does not answer loosens limits and never refuses a customer.
"""

import asyncio
import ipaddress
import logging
import time

import msgspec
from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

log = logging.getLogger(__name__)

STORE_SECONDS = 0.5


class Rule(msgspec.Struct, frozen=True):
    """At most so many in a time, for each key. `name` is what metrics and overrides call it."""

    name: str
    quota: str


# A shop's Wi-Fi is one network: twelve people at a counter may register within minutes, a robot may not do hundreds.
REGISTRATION_BURST = Rule("registration_burst", "12/10minutes")
REGISTRATION = Rule("registration", "60/hour")
# A person asks for their card once or twice; whoever asks more wants somebody else's inbox to ring.
CARD_REQUEST_BY_ADDRESS = Rule("card_request_by_address", "3/hour")
CARD_REQUEST_BY_NETWORK = Rule("card_request_by_network", "20/hour")
# One programme's ceiling: above it something is wrong, and its mail reputation is at stake.
CARD_REQUEST_BY_PROGRAM = Rule("card_request_by_program", "2000/hour")
# A tap on a link, a retry, a second device; guessing needs 2^128.
LINK_USE = Rule("link_use", "60/minute")
# A customer redeems a few times a day; a script that tries for the last one of something, a thousand times.
REDEEM = Rule("redeem", "30/10minutes")
# A message is tapped on once or twice; a code of 55 random bits is not found at this pace.
MESSAGE_LINK = Rule("message_link", "60/minute")
# Posters are made by people.
SIGNAGE = Rule("signage", "120/minute")
# Ten calls a second keep a till, a shop and a nightly sync busy; 250 customers fit into one of them (security.md 15).
API_KEY = Rule("api_key", "600/minute")
# A customer's own calls, from their phone.
API_CUSTOMER = Rule("api_customer", "120/minute")
# A busy chain's tills, all together; a code of 40 random bits is not found by guessing at this pace.
API_CODE = Rule("api_code", "240/minute")
# Keys have 256 random bits: whoever tries sixty bad ones a minute is lost or guessing.
API_STRANGER = Rule("api_stranger", "60/minute")
# Google serves about twenty requests a second for an issuer ("Rate limit", Google Wallet API).
GOOGLE_WALLET = Rule("google_wallet", "20/second")
# Google calls once for each save and removal; whoever sends so much that is not signed is not Google.
GOOGLE_CALLBACK = Rule("google_callback", "600/minute")
# A card is on a few phones, and each fetches it once for a change; each time costs us a signature.
PHONE_FETCH = Rule("phone_fetch", "600/minute")
# A phone registers once for each pass, and again after a restore; each time is a write, and may be an event.
PHONE_REGISTRATION = Rule("phone_registration", "60/minute")
# Tokens have 256 random bits. A restored phone asks for passes that are gone; a carrier's network has many phones.
PHONE_STRANGER = Rule("phone_stranger", "600/minute")
# Phones complain when something is wrong, and all of a roll-out's with the same words: some are enough.
PHONE_LOG = Rule("phone_log", "30/minute")
PHONE_LOG_ALL = Rule("phone_log_all", "1200/10minutes")


class TooMany(Exception):
    """The limit is reached. `retry_after` is in whole seconds."""

    def __init__(self, rule: Rule, retry_after: int) -> None:
        super().__init__(rule.name)
        self.rule = rule
        self.retry_after = retry_after


class Count(msgspec.Struct, frozen=True):
    """Where a counter stands: `left` of `most` in windows of so many `seconds`; a new one begins in `reset_in`."""

    most: int
    seconds: int
    left: int
    reset_in: int
    refused: bool

    def too_many(self, rule: Rule) -> TooMany:
        return TooMany(rule, self.reset_in)


class Limits:
    """Counts and refuses. `url` is empty for memory, or a redis:// or valkey:// address."""

    def __init__(self, url: str = "") -> None:
        self._counters = Counters()
        self._shared = SlidingWindowCounterRateLimiter(_storage(url)) if url else None
        self._items: dict[Rule, RateLimitItem] = {}

    @property
    def are_shared(self) -> bool:
        """Whether several processes count together."""
        return self._shared is not None

    async def check(self, rule: Rule, *key: str) -> None:
        """Count one; raises TooMany where it is one too many."""
        counted = await self.count(rule, *key)
        if counted.refused:
            raise counted.too_many(rule)

    async def count(self, rule: Rule, *key: str) -> Count:
        """Count one, and say how many are left."""
        item = self._items.get(rule) or self._items.setdefault(rule, parse(rule.quota))
        if self._shared is None:
            return self._counters.hit((rule.name, *key), item.amount, item.get_expiry())
        try:
            taken = await self._shared.hit(item, rule.name, *key)
            window = await self._shared.get_window_stats(item, rule.name, *key)
        except Exception as error:  # whatever the store's client raises
            log.warning("limits are not counted: %s", type(error).__name__)
            return Count(item.amount, item.get_expiry(), item.amount, item.get_expiry(), refused=False)
        reset_in = max(1, round(window.reset_time - time.time()))
        return Count(item.amount, item.get_expiry(), max(0, window.remaining), reset_in, refused=not taken)

    async def are_counted(self, within: float) -> bool:
        """Whether the store answers within so many seconds; this process's memory always does."""
        if self._shared is None:
            return True
        try:
            async with asyncio.timeout(within):
                return bool(await self._shared.storage.check())
        except TimeoutError:
            return False


class Counters:
    """Sliding windows in this process's memory: what this window counted, and a share of what the last one did.

    The library's own storage looks through all of its keys at each hit: a thousand networks cost a millisecond.
    """

    def __init__(self) -> None:
        # The window's number, its count, and the count of the one before it.
        self._counts: dict[tuple[str, ...], tuple[int, int, int]] = {}
        self._ends: dict[tuple[str, ...], float] = {}
        self._sweep_at = 10_000

    def hit(self, key: tuple[str, ...], most: int, seconds: int) -> Count:
        """Count one, unless it would be one too many."""
        now = time.time()
        window, passed = divmod(now, seconds)
        known, count, before = self._counts.get(key, (0, 0, 0))
        if known != window:
            count, before = 0, count if known == window - 1 else 0
        reset_in = max(1, round(seconds - passed))
        taken = int(before * (1 - passed / seconds) + count)
        if taken >= most:
            return Count(most, seconds, 0, reset_in, refused=True)
        if len(self._counts) >= self._sweep_at:
            self._sweep(now)
        self._counts[key] = (int(window), count + 1, before)
        self._ends[key] = (window + 2) * seconds
        return Count(most, seconds, most - taken - 1, reset_in, refused=False)

    def _sweep(self, now: float) -> None:
        """Forget what counts no longer; how often grows with what there is to look through."""
        self._ends = {key: end for key, end in self._ends.items() if end > now}
        self._counts = {key: self._counts[key] for key in self._ends}
        self._sweep_at = max(10_000, 2 * len(self._counts))


def network_of(address: str) -> str:
    """The network a client counts as: /24 for IPv4, /64 for IPv6, so that one subscriber is one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "unknown"
    # A server that listens on both families sees IPv4 clients as ::ffff:192.0.2.7; they are not all one network.
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.version == 4:
        return f"{str(parsed).rpartition('.')[0]}.0/24"
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def _storage(url: str) -> Storage:
    # Valkey speaks Redis' protocol, and one client is enough. A store that hangs must not hold up pages.
    storage = storage_from_string(
        f"async+{url.replace('valkey', 'redis', 1)}",
        implementation="redispy",
        socket_timeout=STORE_SECONDS,
        socket_connect_timeout=STORE_SECONDS,
    )
    assert isinstance(storage, Storage)
    return storage
