"""What is kept of a customer, and why, in the words of the program itself."""

from litestar import Response, get
from litestar.params import FromPath

from web.foundation.languages import N_
from web.pages.visitor import AnyRequest, Visitor

PARAGRAPHS = (
    N_(
        "%(name)s keeps what you typed for your card: your address, your name, and what else you chose to tell."
    ),
    N_(
        "It is used to keep your card safe, to send it again when you ask, and for nothing you did not agree to."
    ),
    N_("Each agreement is kept with the words that you saw, and you can take it back at any time."),
    N_(
        "This site sets only the cookies that your card needs, asks no other site for anything, and shows no ads."
    ),
)


@get("/{slug:str}/privacy", name="privacy")
async def show(request: AnyRequest, slug: FromPath[str]) -> Response[bytes]:
    visitor = Visitor(request, slug)
    text = [
        visitor.site.renderer.text(visitor.language, paragraph, name=visitor.program.settings.name)
        for paragraph in PARAGRAPHS
    ]
    return visitor.kept_page("legal/privacy.html", text=text)
