"""Asking one server over a few kept connections: some fifty microseconds a request, for thousands of phones."""

import asyncio
import re
from urllib.parse import urlsplit

from web.demo.phone import Answer, NoAnswer

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
PATIENCE = 30.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Lean:
    """An `Ask` for the server on `port`, with at most `most` requests under way at once."""

    def __init__(self, port: int, most: int = 32) -> None:
        self._port = port
        self._turns = asyncio.Semaphore(most)
        self._idle: list[Connection] = []

    async def __call__(self, method: str, url: str, headers: dict[str, str], body: bytes) -> Answer:
        where = urlsplit(url)
        path = where.path + (f"?{where.query}" if where.query else "")
        lines = [f"{method} {path} HTTP/1.1", "host: localhost", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join([*lines, "", ""]).encode() + body
        async with self._turns:
            try:
                return await asyncio.wait_for(self._carry(request), PATIENCE)
            except (OSError, EOFError, TimeoutError) as error:
                raise NoAnswer(type(error).__name__) from error

    async def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _carry(self, request: bytes) -> Answer:
        reader, writer = await self._connection()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
        except BaseException:
            writer.close()
            raise
        self._idle.append((reader, writer))
        return Answer(int(head[9:12]), _headers(head), body)

    async def _connection(self) -> Connection:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port)


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:] if line)
    return {name.lower(): value for name, _, value in pairs}
