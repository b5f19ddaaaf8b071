"""A small load client: so many connections to one server, each sending its next request once it is answered.

It speaks as much HTTP/1.1 as our server answers with, over uvloop, and costs some ten microseconds a request, so
that the server is the one that is measured. Requests are made beforehand, as bytes.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlencode

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
HOST = "localhost"


@dataclass
class Load:
    """What came back: how many answers of each status, in what time; `times` in seconds, one for each answer."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds

    def percentile(self, share: float) -> float:
        """The time within which `share` (0 to 1) of the answers came, in seconds."""
        return sorted(self.times)[min(len(self.times) - 1, int(len(self.times) * share))]

    def must_be(self, status: int) -> "Load":
        """The load itself, or an error where an answer was another: what failed is no measurement."""
        if set(self.statuses) - {status}:
            raise RuntimeError(f"expected {status} only, and got {dict(self.statuses)}")
        return self


def get(path: str, **headers: str) -> bytes:
    """A GET as a browser of ours would send it; header names with underscores for hyphens."""
    return _request("GET", path, headers)


def post(path: str, form: dict[str, str | list[str]], **headers: str) -> bytes:
    body = urlencode(form, doseq=True).encode()
    headers |= {"content_type": "application/x-www-form-urlencoded", "content_length": str(len(body))}
    return _request("POST", path, {"sec_fetch_site": "same-origin"} | headers) + body


def _request(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {HOST}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def load(port: int, requests: Iterator[bytes], *, seconds: float, connections: int = 32) -> Load:
    """Send `requests` over so many connections, for `seconds` or until there are no more."""
    return uvloop.run(_load(port, requests, seconds, connections))


async def _load(port: int, requests: Iterator[bytes], seconds: float, connections: int) -> Load:
    loop = asyncio.get_running_loop()
    result = Load()
    opened = [
        (await loop.create_connection(lambda: _Connection(result, requests), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    started = time.perf_counter()
    for connection in opened:
        connection.begin(started + seconds)
    await asyncio.gather(*(connection.ended for connection in opened))
    result.seconds = time.perf_counter() - started
    return result


class _Connection(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, notes it, sends the next."""

    def __init__(self, result: Load, requests: Iterator[bytes]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._result = result
        self._requests = requests
        self._received = b""
        self._sent_at = self._until = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def begin(self, until: float) -> None:
        self._until = until
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        answer = take_answer(self._received)
        if answer is None:
            return
        status, self._received = answer
        now = time.perf_counter()
        self._result.times.append(now - self._sent_at)
        self._result.statuses[status] += 1
        if now < self._until:
            self._send()
        else:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionResetError("the server hung up"))

    def _send(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._end()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
        self._transport.close()


def take_answer(received: bytes) -> tuple[int, bytes] | None:
    """The status of a whole answer and what follows it; None while a part is still on its way."""
    head, found, rest = received.partition(b"\r\n\r\n")
    if not found:
        return None
    given = _LENGTH.search(head)
    length = int(given[1]) if given else 0
    if len(rest) < length:
        return None
    return int(head[9:12]), rest[length:]


def alternate(rounds: int, ways: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each way's figures, measured in turn so that a slow moment of the machine meets all of them."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            figures[name].append(measure())
    return figures
