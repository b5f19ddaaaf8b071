"""A page as bytes and headers, sent as they are; in Litestar's own answer they are copied again and again."""

from typing import Any

from litestar import Response
from litestar.types import Receive, Scope, Send


class Answer(Response[bytes]):
    """HTML in whatever content coding its headers say. Headers may be added until it is sent."""

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        return self

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [
            (name.encode("latin-1"), str(value).encode("latin-1")) for name, value in self.headers.items()
        ]
        headers += (
            (b"content-type", b"text/html; charset=utf-8"),
            (b"content-length", b"%d" % len(self.content)),
            *(cookie.to_encoded_header() for cookie in self.cookies),
        )
        await send({"type": "http.response.start", "status": self.status_code or 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.content, "more_body": False})
