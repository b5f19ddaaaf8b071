"""Many requests to one server over one kept HTTP/2 connection.

For short requests that may be repeated: one that was sent and not answered is sent again over the next connection.
h2 speaks the protocol, and the life of the connection is our own. httpx, which is used elsewhere, was measured and
left: a push cost it six times as much of the processor, and it lost those that were under way when the server said
GOAWAY.
"""

import asyncio
import ssl
from collections import deque
from time import monotonic
from urllib.parse import urlsplit

from web.foundation.http2_connection import (
    CONNECT_SECONDS,
    Answer,
    Connection,
    NoAnswer,
    Rejected,
    Request,
    in_words,
)

__all__ = ["Answer", "Http2Client", "NoAnswer", "Rejected"]

# After a connection that could not be made, others are not tried for so long.
PAUSE_SECONDS = 2.0
TRIES = 3


class Http2Client:
    """Requests to one origin, "https://host:port". Close it at the end, in the event loop that used it.

    `tls` holds the client's certificate where the server wants one.
    """

    def __init__(self, origin: str, tls: ssl.SSLContext) -> None:
        parts = urlsplit(origin)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self.authority = parts.netloc
        tls.set_alpn_protocols(["h2"])
        self._tls = tls
        self.waiting: deque[Request] = deque()
        self._connection: Connection | None = None
        self._leaving: set[Connection] = set()
        self._connecting: asyncio.Task[None] | None = None
        self._failure, self._not_before = NoAnswer(""), 0.0
        self._is_due = self._is_closed = False

    async def post(self, path: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """The server's answer, whatever its status. Header names are in small letters. Raises: NoAnswer, Rejected."""
        request = Request(path, headers, body)
        self.waiting.append(request)
        if not self._is_due:
            # What is asked for in the same moment leaves in one piece.
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.go_on)
        return await request.answer

    async def close(self) -> None:
        self._is_closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        for connection in (self._connection, *self._leaving):
            if connection is not None:
                connection.close()
        self.go_on()

    def go_on(self) -> None:
        """Send what waits, over a new connection if there is none."""
        self._is_due = False
        if self._connection is not None:
            self._connection.send_waiting()
        elif self.waiting and self._connecting is None:
            if self._is_closed:
                self._fail_waiting(NoAnswer("the process ends"))
            elif monotonic() < self._not_before:
                self._fail_waiting(self._failure)
            else:
                self._connecting = asyncio.create_task(self._connect())

    def leave(self, connection: Connection) -> None:
        """Send nothing more over a connection: it is about to end."""
        self._leaving.add(connection)
        if self._connection is connection:
            self._connection = None

    def lost(self, connection: Connection, unanswered: list[Request], error: Exception) -> None:
        """A connection has ended. What it did not answer is sent again, before everything else."""
        self.leave(connection)
        self._leaving.discard(connection)
        self.repeat(unanswered, error)

    def repeat(self, unanswered: list[Request], error: Exception) -> None:
        for request in reversed(unanswered):
            if request.tries < TRIES:
                request.start_over()
                self.waiting.appendleft(request)
            else:
                request.fail(error)
        self.go_on()

    async def _connect(self) -> None:
        connection = Connection(self)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: connection, self._host, self._port, ssl=self._tls)
                # In TLS 1.3 a server judges the client's certificate after the handshake, by its first word.
                await connection.is_ready
            connection.raise_if_leaving()
            self._connection = connection
        except Exception as error:  # whatever it was, nobody may wait for ever
            connection.close()
            self._failure, self._not_before = in_words(error), monotonic() + PAUSE_SECONDS
            self._fail_waiting(self._failure)
        finally:
            self._connecting = None
        self.go_on()

    def _fail_waiting(self, error: Exception) -> None:
        while self.waiting:
            self.waiting.popleft().fail(error)
