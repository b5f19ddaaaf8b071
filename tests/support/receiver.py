"""A merchant's server as webhooks meet it: it listens, and answers as a test tells it to."""

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


@dataclass(frozen=True)
class Received:
    """One request, as it came in. Header names are in small letters."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        decoded: dict[str, Any] = msgspec.json.decode(self.body)
        return decoded


@dataclass(frozen=True)
class Reply:
    """`hang` is how many seconds to say nothing; an `endless` body never stops."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0.0
    endless: bool = False


@dataclass
class Receiver:
    """`answer` is asked for each request, one after the other."""

    url: str
    requests: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Reply] = lambda _: Reply()
    stopping: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_for(self, count: int, seconds: float = 10.0) -> list[Received]:
        ends = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < ends, f"only {len(self.requests)} of {count} came"
            time.sleep(0.01)
        return self.requests


@contextlib.contextmanager
def receiving(host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on a free port; its URL ends in a path of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.path, headers, self.rfile.read(length))
            with receiver.lock:
                receiver.requests.append(request)
                reply = receiver.answer(request)
            receiver.stopping.wait(reply.hang)
            with contextlib.suppress(OSError):
                self._say(reply)

        def _say(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "1000000000" if reply.endless else "0")
            self.end_headers()
            while reply.endless and not receiver.stopping.is_set():
                self.wfile.write(b"x" * 10_000)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: a test looks at `requests`."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up in the middle is part of the tests."""

    server = Server((host, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    receiver = Receiver(f"{scheme}://{host}:{server.server_port}/hooks")
    thread = threading.Thread(target=lambda: server.serve_forever(0.02), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()
