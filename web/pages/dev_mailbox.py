"""Development only: each mail and SMS that would have been sent, as its receiver would see it."""

from typing import Any
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath

from web.foundation.compression import compress, negotiate
from web.messages.mailbox_store import kept_message, kept_messages
from web.pages.site import site_of
from web.pages.visitor import AnyRequest, NoSuchProgram


@get("/dev/mailbox", name="mailbox")
async def show(request: AnyRequest) -> Response[bytes]:
    messages = [
        {
            "id": message.id,
            "channel": message.channel,
            "to": message.to,
            "subject": message.subject,
            "at": f"{at:%H:%M:%S}",
            "url": f"/dev/mailbox/{message.id}",
        }
        for at, message in await site_of(request).database.read(kept_messages)
    ]
    return _page(request, "dev/mailbox.html", messages=messages)


@get("/dev/mailbox/{message_id:uuid}", name="mailbox_message")
async def show_message(request: AnyRequest, message_id: FromPath[UUID]) -> Response[bytes]:
    message = await site_of(request).database.read(kept_message, str(message_id))
    if message is None:
        raise NoSuchProgram(str(message_id))
    return _page(
        request,
        "dev/message.html",
        subject=message.subject,
        to=message.to,
        channel=message.channel,
        html_url=f"/dev/mailbox/{message_id}/html" if message.html else None,
        text=message.text,
    )


@get("/dev/mailbox/{message_id:uuid}/html", name="mailbox_html")
async def show_html(request: AnyRequest, message_id: FromPath[UUID]) -> Response[bytes]:
    message = await site_of(request).database.read(kept_message, str(message_id))
    if message is None or message.html is None:
        raise NoSuchProgram(str(message_id))
    # The mail is shown in a frame, and our pages refuse to be framed: its links open beside it.
    html = message.html.replace("<head>", '<head><base target="_blank">', 1)
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"
    return Response(
        html.encode(),
        media_type="text/html",
        headers={"content-security-policy": policy},
    )


def _page(request: AnyRequest, template: str, **context: Any) -> Response[bytes]:
    site = site_of(request)
    look = site.look(None, "en")
    html = site.renderer.render(
        template,
        "en",
        program=None,
        base="",
        style=look.style,
        languages=[],
        form_token="",
        partial=False,
        htmx_url=None,
        noindex=True,
        **context,
    ).encode()
    headers = {"content-security-policy": look.policy + "; frame-src 'self'"}
    if coding := negotiate(request.headers.get("accept-encoding", "")):
        html = compress(html, coding)
        headers["content-encoding"] = coding
    return Response(html, headers=headers, media_type="text/html")


ROUTES = (show, show_message, show_html)
