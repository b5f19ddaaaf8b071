"""A network that loses answers: a proxy between a browser and a server."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.ports import free_port


class LossyNetwork:
    """Hands requests on to `port`. `lose` says what happens to what is sent from now on."""

    def __init__(self, port: int) -> None:
        self.url = ""
        self.lost = threading.Event()
        self._port = port
        self._losing = ""

    def lose(self, what: str = "") -> None:
        """Lose the "answer" (the server has done its work), the "request" (it never hears of it) or nothing."""
        self._losing = what
        self.lost.clear()

    def carry(self, browser: socket.socket) -> None:
        with browser, contextlib.suppress(OSError):
            browser.settimeout(40)
            request = _read_request(browser)
            if self._losing == "request":
                self.lost.set()
                return
            with socket.create_connection(("127.0.0.1", self._port)) as server:
                server.sendall(request)
                answer = _read_to_the_end(server)
            if self._losing == "answer":
                self.lost.set()
                return
            browser.sendall(answer)


@contextmanager
def lossy_network(port: int) -> Iterator[LossyNetwork]:
    """A proxy on a free port of its own, one request for each connection."""
    network = LossyNetwork(port)
    own = free_port()
    network.url = f"http://localhost:{own}"
    with socket.create_server(("127.0.0.1", own)) as listening:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    browser, _ = listening.accept()
                    threading.Thread(target=network.carry, args=(browser,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield network
        listening.shutdown(socket.SHUT_RDWR)


def _read_request(browser: socket.socket) -> bytes:
    """One request, told to be the connection's last."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += browser.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    length = next((int(line[15:]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += browser.recv(65536)
    return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n\r\n" + body


def _read_to_the_end(server: socket.socket) -> bytes:
    parts = []
    while part := server.recv(65536):
        parts.append(part)
    return b"".join(parts)
