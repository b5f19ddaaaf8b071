"""One HTTP/2 connection (RFC 9113), from its first byte to its last. h2 speaks the protocol."""

import asyncio
import contextlib
import ssl
from collections import deque
from datetime import timedelta
from time import monotonic
from typing import Protocol, cast

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import msgspec
from h2.errors import ErrorCodes

from web.foundation.retry_after import wait_asked_for

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 15.0
# A connection on which nothing was heard for so long is asked whether it lives, before firewalls forget it.
QUIET_SECONDS = 60.0
TICK_SECONDS = 1.0
MOST_STREAMS = 500
LONGEST_BODY = 64_000


class NoAnswer(Exception):
    """There was no answer: no connection, or it broke again and again. The text says why, for an operator."""


class Rejected(NoAnswer):
    """The server does not accept our certificate, or we do not accept the server's: trying again is in vain."""


class Answer(msgspec.Struct, frozen=True):
    """`retry_after` is the wait that the server asks for, if it does."""

    status: int
    body: bytes
    retry_after: timedelta | None = None


class Request:
    """One request on its way, and the future that hears its answer."""

    __slots__ = ("answer", "body", "headers", "path", "received", "sent_at", "status", "tries", "wait")

    def __init__(self, path: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.path, self.headers, self.body = path, headers, body
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.tries = 0
        self.start_over()

    def start_over(self) -> None:
        self.sent_at, self.status, self.received = 0.0, 0, b""
        self.wait: timedelta | None = None

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Client(Protocol):
    """Whose requests a connection carries."""

    authority: str
    waiting: deque[Request]

    def leave(self, connection: "Connection") -> None: ...
    def lost(self, connection: "Connection", unanswered: list[Request], error: Exception) -> None: ...
    def repeat(self, unanswered: list[Request], error: Exception) -> None: ...


class Connection(asyncio.Protocol):
    """One connection, from its first byte to its last."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self.is_ready: asyncio.Future[None] = self._loop.create_future()
        # What we send is ours and in order; what comes is looked at.
        config = h2.config.H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False)
        self._h2 = h2.connection.H2Connection(config)
        self._transport: asyncio.Transport | None = None
        self._under_way: dict[int, Request] = {}
        self._is_paused = self._is_leaving = False
        self._heard_at, self._asked_at = monotonic(), 0.0
        self._error: Exception = NoAnswer("the connection broke")

    # --- what the event loop calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if transport.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            self._end(NoAnswer("the server does not speak HTTP/2"))
            return
        self._h2.initiate_connection()
        self._flush()
        self._loop.call_later(TICK_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        self._heard_at, self._asked_at = monotonic(), 0.0
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
        except h2.exceptions.ProtocolError as error:
            # After GOAWAY the library refuses every further frame, the answers to what is under way among them.
            self._end(NoAnswer(f"the connection was ended: {type(error).__name__}"))
            return
        self.send_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError):
            self._error = exc
        if not self.is_ready.done():
            self.is_ready.set_exception(in_words(self._error))
        unanswered = list(self._under_way.values())
        self._under_way.clear()
        self._transport = None
        self._client.lost(self, unanswered, in_words(self._error))

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self.send_waiting()

    def raise_if_leaving(self) -> None:
        if self._is_leaving:
            raise self._error

    # --- sending ---

    def send_waiting(self) -> None:
        """Send what waits, as far as the server lets us now."""
        waiting = self._client.waiting
        while waiting and self._has_room_for(waiting[0]):
            request = waiting.popleft()
            if not request.answer.done():  # whoever asked may have gone away
                self._send(request)
        self._flush()

    def _has_room_for(self, request: Request) -> bool:
        settings = self._h2.remote_settings
        return (
            not (self._is_leaving or self._is_paused or self._transport is None)
            and not self._transport.is_closing()
            and len(self._under_way) < min(MOST_STREAMS, settings.max_concurrent_streams)
            and len(request.body) <= min(self._h2.outbound_flow_control_window, settings.initial_window_size)
        )

    def _send(self, request: Request) -> None:
        try:
            stream = self._h2.get_next_available_stream_id()
        except h2.exceptions.NoAvailableStreamIDError:
            self._client.waiting.appendleft(request)
            self._retire()
            return
        start = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", self._client.authority),
            (":path", request.path),
        ]
        self._h2.send_headers(stream, start + request.headers)
        self._h2.send_data(stream, request.body, end_stream=True)
        request.tries += 1
        request.sent_at = monotonic()
        self._under_way[stream] = request

    def _flush(self) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing() and (data := self._h2.data_to_send()):
            transport.write(data)

    # --- receiving ---

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived() if request := self._of(event.stream_id):
                headers = dict(event.headers or ())
                request.status = int(headers[b":status"])
                request.wait = wait_asked_for(headers.get(b"retry-after", b"").decode("latin-1"))
            case h2.events.DataReceived():
                with contextlib.suppress(h2.exceptions.ProtocolError):  # a GOAWAY came behind it
                    self._h2.acknowledge_received_data(
                        event.flow_controlled_length or 0, event.stream_id or 0
                    )
                if request := self._of(event.stream_id):
                    request.received = (request.received + (event.data or b""))[:LONGEST_BODY]
            case h2.events.StreamEnded() if request := self._under_way.pop(event.stream_id or 0, None):
                if not request.answer.done():
                    request.answer.set_result(Answer(request.status, request.received, request.wait))
                self._close_if_done()
            case h2.events.StreamReset() if request := self._under_way.pop(event.stream_id or 0, None):
                self._client.repeat([request], NoAnswer(f"the server broke it off ({event.error_code})"))
            case h2.events.RemoteSettingsChanged() if not self.is_ready.done():
                self.is_ready.set_result(None)
            case h2.events.ConnectionTerminated():
                self._go(event)

    def _of(self, stream: int | None) -> Request | None:
        return self._under_way.get(stream or 0)

    def _go(self, event: h2.events.ConnectionTerminated) -> None:
        """The server announces the end. What it has not seen goes to the next connection at once."""
        last = event.last_stream_id or 0
        unseen = [stream for stream in self._under_way if stream > last]
        why = (event.additional_data or b"").decode("ascii", "replace")[:200]
        code = event.error_code
        said = (
            f"the server ended the connection ({code.name if isinstance(code, ErrorCodes) else code}) {why}"
        )
        self._error = NoAnswer(said.strip())
        self._retire()
        self._client.repeat([self._under_way.pop(stream) for stream in unseen], self._error)

    # --- the end ---

    def _look(self) -> None:
        """Each second: is an answer overdue, is anybody there at all?"""
        if self._transport is None:
            return
        now = monotonic()
        oldest = next(iter(self._under_way.values()), None)
        if oldest is not None and now - oldest.sent_at > ANSWER_SECONDS:
            self._end(NoAnswer(f"no answer within {ANSWER_SECONDS:.0f} seconds"))
        elif self._asked_at and now - self._asked_at > CONNECT_SECONDS:
            self._end(NoAnswer("the connection was dead"))
        elif not self._asked_at and not self._is_leaving and now - self._heard_at > QUIET_SECONDS:
            self._asked_at = now
            self._h2.ping(b"alive?  ")
            self._flush()
        self._loop.call_later(TICK_SECONDS, self._look)

    def _retire(self) -> None:
        """Send nothing more; it ends with the last answer."""
        self._is_leaving = True
        self._client.leave(self)
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_leaving and not self._under_way:
            self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _end(self, error: Exception) -> None:
        self._error, self._is_leaving = error, True
        self._client.leave(self)
        if self._transport is not None:
            self._transport.abort()


def in_words(error: Exception) -> NoAnswer:
    """In words: libraries' own texts differ from one version to the next."""
    match error:
        case NoAnswer():
            return error
        case ssl.SSLCertVerificationError():
            return Rejected(f"its certificate is not good: {error.verify_message}")
        case ssl.SSLError() if "ALERT" in (error.reason or ""):
            return Rejected(f"it does not take our certificate ({_alert(error)})")
        case ssl.SSLError():
            return NoAnswer("TLS could not be agreed on")
        case TimeoutError():
            return NoAnswer(f"no connection within {CONNECT_SECONDS:.0f} seconds")
        case ConnectionRefusedError():
            return NoAnswer("the connection was refused")
        case _:
            return NoAnswer(f"no connection ({type(error).__name__})")


def _alert(error: ssl.SSLError) -> str:
    """OpenSSL's "SSLV3_ALERT_CERTIFICATE_EXPIRED" as "certificate expired"."""
    return (error.reason or "").partition("ALERT_")[2].replace("_", " ").lower()
