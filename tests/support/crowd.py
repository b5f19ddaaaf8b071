"""Many browsers at once, each with its own connection, network and cookies: cheap enough for a thousand of them."""

import asyncio
from urllib.parse import urlsplit

import msgspec

from tests.support.serving import IPHONE, Server


class Heard(msgspec.Struct, frozen=True):
    """What a browser was answered. Header names are in lower case; of several the last one counts."""

    status: int
    headers: dict[str, str]
    body: bytes


class Guest:
    """One browser in a network of its own, without connection to keep: each request is a new one."""

    def __init__(self, server: Server, number: int, user_agent: str = IPHONE) -> None:
        self._server = server
        self._user_agent = user_agent
        self._network = f"10.{number // 250}.{number % 250}.7"
        self._cookies: dict[str, str] = {}

    async def get(self, path: str) -> Heard:
        return await self._ask("GET", path)

    async def post(self, path: str) -> Heard:
        return await self._ask("POST", path)

    async def _ask(self, method: str, path: str) -> Heard:
        where = urlsplit(self._server.url)
        lines = [
            f"{method} {path} HTTP/1.1",
            f"host: {where.netloc}",
            f"origin: {self._server.url}",
            f"x-forwarded-for: {self._network}",
            f"user-agent: {self._user_agent}",
            "accept-language: en",
            "content-length: 0",
            "connection: close",
            *([f"cookie: {'; '.join(map('='.join, self._cookies.items()))}"] if self._cookies else []),
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", where.port)
        writer.write("\r\n".join([*lines, "", ""]).encode())
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
        writer.close()
        first, *rest = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in rest:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
            if name.lower() == "set-cookie":
                key, _, kept = value.partition(";")[0].partition("=")
                self._cookies[key] = kept
        return Heard(int(first.split(" ")[1]), headers, body)
