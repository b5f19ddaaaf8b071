"""Apple's push service as a server on 127.0.0.1: HTTP/2 over TLS, which asks for the certificate of a pass type.

It judges what it is sent as Apple's reference "Sending notification requests to APNs" and "Handling notification
responses from APNs" say, keeps what came, and answers, delays and breaks off as a test tells it to. It runs in a
thread of its own, and may be used from any other.
"""

import asyncio
import contextlib
import itertools
import json
import re
import ssl
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from cryptography import x509
from cryptography.x509.oid import NameOID
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

from tests.support.authority import TlsAuthority

LARGEST_BODY = 4096
TOKEN = re.compile(r"(?:[0-9a-f]{2}){1,100}", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a push is answered. `hang` seconds before it; `cut` closes the connection in its place."""

    status: int = 200
    reason: str = ""
    since: datetime | None = None
    retry_after: str | None = None
    hang: float = 0.0
    cut: bool = False


OK = Answer()
BAD_DEVICE_TOKEN = Answer(400, "BadDeviceToken")
TOPIC_DISALLOWED = Answer(400, "TopicDisallowed")
BAD_CERTIFICATE = Answer(403, "BadCertificate")
TOO_MANY = Answer(429, "TooManyRequests")
BROKEN = Answer(500, "InternalServerError")
SHUTDOWN = Answer(503, "Shutdown")
CUT = Answer(cut=True)


def unregistered(since: datetime | None = None) -> Answer:
    """The phone is gone, as Apple found at that moment."""
    return Answer(410, "Unregistered", since or datetime.now(UTC))


@dataclass(frozen=True)
class Push:
    """One request, as it came in. `at` is `time.monotonic()`, `connection` counts from 1."""

    token: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int
    answer: Answer = OK


@dataclass
class ApnsServer:
    """The stand-in. What is told to it holds for what comes from then on."""

    url: str
    # The file with the authority that it is certified by, for SSL_CERT_FILE.
    authority: Path
    pass_type: str
    pushes: list[Push] = field(default_factory=list)
    # Each push is held back for so many seconds.
    delay: float = 0.0
    # As behind a firewall that has forgotten the connection: what is sent is never seen.
    deaf: bool = False
    _scripts: dict[str, deque[Answer]] = field(default_factory=dict)
    _next: deque[Answer] = field(default_factory=deque)
    _for_ever: dict[str, Answer] = field(default_factory=dict)
    _goes_away_after: deque[int] = field(default_factory=deque)
    _streams: int = 1000
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _came: threading.Condition = field(default_factory=threading.Condition)
    _open: set["_Connection"] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The settings of a server that is to push here."""
        return {"PASITO_APNS_URL": self.url, "SSL_CERT_FILE": str(self.authority)}

    def tls(self) -> ssl.SSLContext:
        """For a client of this process: it believes this server, and shows no certificate yet."""
        return ssl.create_default_context(cafile=self.authority)

    # --- what it answers ---

    def answer(self, token: str, *answers: Answer) -> None:
        """Answer the next pushes to a token so, one after the other."""
        self._scripts.setdefault(token, deque()).extend(answers)

    def answer_next(self, *answers: Answer) -> None:
        """Answer the next pushes so, whatever their tokens."""
        self._next.extend(answers)

    def always(self, token: str, answer: Answer | None) -> None:
        """Answer every push to a token so; None ends that."""
        if answer is None:
            self._for_ever.pop(token, None)
        else:
            self._for_ever[token] = answer

    def go_away_after(self, *pushes: int) -> None:
        """The next connections announce their end after so many pushes, each, and close when those are answered."""
        self._goes_away_after.extend(pushes)

    def allow_streams(self, count: int) -> None:
        """At most so many pushes at once, on new connections; who does not keep to it is cut off."""
        self._streams = count

    def go_away(self) -> None:
        """Every open connection announces its end; what came is still answered, then it is closed."""
        self._each(_Connection.go_away)

    def cut(self) -> None:
        """Break off every open connection, without a word."""
        self._each(_Connection.cut)

    def forget(self) -> None:
        """Forget what came and what is to be answered."""
        with self._came:
            self.pushes.clear()
        self._scripts.clear()
        self._next.clear()
        self._for_ever.clear()
        self._goes_away_after.clear()
        self.delay, self.deaf, self._streams = 0.0, False, 1000

    # --- what came ---

    @property
    def connections(self) -> int:
        """How many are open now."""
        return len(self._open)

    def wait_until(self, is_so: Callable[[], bool], seconds: float = 10.0) -> None:
        ends = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < ends, "it did not come to pass"
            time.sleep(0.01)

    def tokens(self, *, accepted: bool = False) -> list[str]:
        """The tokens that came, in order; `accepted` leaves out what was not answered with 200."""
        with self._came:
            return [each.token for each in self.pushes if not accepted or each.answer == OK]

    def wait_for(self, count: int, seconds: float = 10.0) -> list[Push]:
        """Wait until so many pushes came, and return them. Not for use on an event loop that has to push."""
        with self._came:
            there = self._came.wait_for(lambda: len(self.pushes) >= count, seconds)
            assert there, f"only {len(self.pushes)} of {count} pushes came"
            return list(self.pushes)

    async def arrived(self, count: int, seconds: float = 10.0) -> list[Push]:
        """The same on an event loop."""
        return await asyncio.to_thread(self.wait_for, count, seconds)

    # --- for the connections ---

    def judge(self, push: Push) -> Push:
        """Keep a push that came, with what it is answered."""
        with self._came:
            answer = self._fault(push) or self._told(push.token)
            push = replace(push, answer=replace(answer, hang=answer.hang + self.delay))
            self.pushes.append(replace(push, answer=answer))
            self._came.notify_all()
        return push

    def _told(self, token: str) -> Answer:
        if script := self._scripts.get(token):
            return script.popleft()
        if self._next:
            return self._next.popleft()
        return self._for_ever.get(token, OK)

    def _fault(self, push: Push) -> Answer | None:
        """What Apple would object to in any case."""
        headers = push.headers
        if headers.get(":method") != "POST":
            return Answer(405, "MethodNotAllowed")
        if not headers.get(":path", "").startswith("/3/device/"):
            return Answer(404, "BadPath")
        if not push.token:
            return Answer(400, "MissingDeviceToken")
        if not TOKEN.fullmatch(push.token):
            return BAD_DEVICE_TOKEN
        if headers.get("apns-topic") != self.pass_type:
            return TOPIC_DISALLOWED
        if headers.get("apns-push-type") != "background":
            return Answer(400, "InvalidPushType")
        if headers.get("apns-priority") != "5":  # that of a background push; another is an error
            return Answer(400, "BadPriority")
        if not headers.get("apns-expiration", "0").isdigit():
            return Answer(400, "BadExpirationDate")
        if len(push.body) > LARGEST_BODY:
            return Answer(413, "PayloadTooLarge")
        return None if push.body == b"{}" else Answer(400, "PayloadEmpty")

    def _each(self, act: Callable[["_Connection"], None]) -> None:
        async def all_of_them() -> None:
            for connection in list(self._open):
                act(connection)

        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(all_of_them(), self._loop).result(5)


class _Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, server: ApnsServer) -> None:
        self._server = server
        self._number = 0
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._count = 0
        self._ends_after: int | None = None
        self._is_going = False
        self._highest = 0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2" or not certificate:
            transport.abort()
            return
        names = x509.load_der_x509_certificate(certificate).subject.get_attributes_for_oid(NameOID.USER_ID)
        if [name.value for name in names] != [self._server.pass_type]:
            transport.abort()
            return
        self._number = next(self._server._numbers)
        if self._server._goes_away_after:
            self._ends_after = self._server._goes_away_after.popleft()
        self._server._open.add(self)
        self._h2.local_settings = type(self._h2.local_settings)(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: self._server._streams}
        )
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server._open.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._server.deaf:
            return
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:  # too many streams at once, above all
            self._flush()
            self._transport.close()
            return
        for event in events:
            match event:
                case h2.events.RequestReceived():
                    headers = {_text(name): _text(value) for name, value in event.headers or ()}
                    self._requests[event.stream_id or 0] = (headers, bytearray())
                    self._highest = max(self._highest, event.stream_id or 0)
                case h2.events.DataReceived():
                    if event.stream_id in self._requests:
                        self._requests[event.stream_id][1].extend(event.data or b"")
                    self._h2.acknowledge_received_data(
                        event.flow_controlled_length or 0, event.stream_id or 0
                    )
                case h2.events.StreamEnded():
                    self._take(event.stream_id or 0)
                case h2.events.StreamReset():
                    self._requests.pop(event.stream_id or 0, None)
        self._flush()

    def _take(self, stream: int) -> None:
        headers, body = self._requests[stream]
        if self._is_going and stream > self._highest_answered:
            return  # as announced: never seen
        token = headers.get(":path", "").removeprefix("/3/device/")
        push = self._server.judge(Push(token, headers, bytes(body), time.monotonic(), self._number))
        self._count += 1
        if push.answer.hang:
            asyncio.get_running_loop().call_later(push.answer.hang, self._say, stream, push.answer)
        else:
            self._say(stream, push.answer)
        if self._count == self._ends_after:
            self.go_away()

    def _say(self, stream: int, answer: Answer) -> None:
        if self._transport.is_closing() or stream not in self._requests:
            return
        if answer.cut:
            self.cut()
            return
        del self._requests[stream]
        headers = [(":status", str(answer.status)), ("apns-id", str(uuid.uuid4()).upper())]
        if answer.retry_after is not None:
            headers.append(("retry-after", answer.retry_after))
        body: dict[str, Any] = {"reason": answer.reason} if answer.reason else {}
        if answer.since is not None:
            body["timestamp"] = int(answer.since.timestamp() * 1000)
        self._h2.send_headers(stream, headers, end_stream=not body)
        if body:
            self._h2.send_data(stream, json.dumps(body).encode(), end_stream=True)
        self._flush()
        self._close_if_done()

    def go_away(self) -> None:
        """As RFC 9113, 6.8 has it. The library could say nothing after it, so it is not told."""
        if self._is_going:
            return
        self._is_going, self._highest_answered = True, self._highest
        self._flush()
        self._transport.write(GoAwayFrame(0, last_stream_id=self._highest).serialize())
        self._close_if_done()

    def cut(self) -> None:
        self._transport.abort()

    def _close_if_done(self) -> None:
        if self._is_going and not any(stream <= self._highest_answered for stream in self._requests):
            self._transport.close()

    def _flush(self) -> None:
        if (data := self._h2.data_to_send()) and not self._transport.is_closing():
            self._transport.write(data)


@contextlib.contextmanager
def apns_server(pass_type: str, clients: Path) -> Iterator[ApnsServer]:
    """The stand-in on a free port. `clients` is a PEM file with the authorities of the certificates it lets in."""
    with tempfile.TemporaryDirectory(prefix="pasito-apns-") as folder:
        authority = TlsAuthority(Path(folder))
        context = authority.server_context()
        context.set_alpn_protocols(["h2"])
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
        server = ApnsServer("", authority.file, pass_type)
        started = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, context, started), daemon=True)
        thread.start()
        assert started.wait(10), "the stand-in for APNs did not start"
        try:
            yield server
        finally:
            assert server._loop is not None
            server._loop.call_soon_threadsafe(server._loop.stop)
            thread.join(5)


def _serve(server: ApnsServer, context: ssl.SSLContext, started: threading.Event) -> None:
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(
        loop.create_server(lambda: _Connection(server), "127.0.0.1", 0, ssl=context)
    )
    server.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    server._loop = loop
    started.set()
    try:
        loop.run_forever()
    finally:
        for connection in list(server._open):
            connection.cut()
        listening.close()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
