"""Apple Wallet, as the rest of the app sees it: a design and a card in, a signed pass out."""

import asyncio
from collections import OrderedDict
from hashlib import sha256
from threading import Lock
from typing import TypeVar
from uuid import UUID

from web.wallet.apple.certificates import Certificates
from web.wallet.apple.content import Content
from web.wallet.apple.images import render_images
from web.wallet.apple.package import Package, build_all
from web.wallet.apple.signing import ManifestSigner
from web.wallet.card import Card, Design

K = TypeVar("K")
V = TypeVar("V")

# Some five milliseconds, after which others may have a turn.
MOST_TOGETHER = 16

MEDIA_TYPE = "application/vnd.apple.pkpass"


class AppleWallet:
    """Issues passes with one set of certificates. Safe to share between threads.

    `web_service_url` is the base of the update service ("https://…/passkit"), see `Content`. The last
    `designs_kept` designs stay prepared, at some hundred kilobytes each. Raises SigningError when made.
    """

    def __init__(
        self, certificates: Certificates, *, web_service_url: str | None = None, designs_kept: int = 128
    ) -> None:
        self.pass_type_id, self.team_id = certificates.pass_type_id, certificates.team_id
        self.ends = certificates.ends
        self._signer = ManifestSigner(certificates)
        self._web_service_url = web_service_url
        self._packages: OrderedDict[tuple[UUID, int], Package] = OrderedDict()
        self._pictures: OrderedDict[bytes, dict[str, bytes]] = OrderedDict()
        self._designs_kept = designs_kept
        self._drawing: dict[tuple[UUID, int], asyncio.Task[Package]] = {}
        self._asked: list[tuple[Package, Card, asyncio.Future[bytes]]] = []
        self._lock = Lock()

    def package(self, design: Design, card: Card) -> bytes:
        """The `.pkpass` of a card: some 0.3 ms once the design is prepared. Raises PictureError before."""
        return self.prepare(design).build(card)

    async def ready(self, design: Design) -> Package:
        """What `prepare` makes, at once where it is made already; the first to ask has it made in a thread."""
        key = (design.program_id, design.version)
        if package := self._kept(key):
            return package
        drawing = self._drawing.get(key)
        if drawing is None:
            drawing = self._drawing[key] = asyncio.create_task(asyncio.to_thread(self.prepare, design))
            drawing.add_done_callback(lambda _: self._drawing.pop(key))
        # Whoever gives up waiting does not take the others' picture away.
        return await asyncio.shield(drawing)

    async def build(self, package: Package, card: Card) -> bytes:
        """The `.pkpass` of a card, built with those that others ask for at this very moment; see `build_all`."""
        loop = asyncio.get_running_loop()
        built: asyncio.Future[bytes] = loop.create_future()
        self._asked.append((package, card, built))
        if len(self._asked) == 1:
            loop.call_soon(self._build_asked, loop)
        return await built

    def _build_asked(self, loop: asyncio.AbstractEventLoop) -> None:
        some, self._asked = self._asked[:MOST_TOGETHER], self._asked[MOST_TOGETHER:]
        if self._asked:
            loop.call_soon(self._build_asked, loop)
        wanted = [each for each in some if not each[2].done()]
        try:
            passes = build_all([(package, card) for package, card, _ in wanted])
        except Exception:  # one card that cannot be built is not the others' trouble
            for package, card, built in wanted:
                try:
                    built.set_result(package.build(card))
                except Exception as error:
                    built.set_exception(error)
            return
        for (_, _, built), made in zip(wanted, passes, strict=True):
            built.set_result(made)

    def prepare(self, design: Design) -> Package:
        """Renders a design's pictures unless that is done: up to a second of work, for another thread."""
        key = (design.program_id, design.version)
        if package := self._kept(key):
            return package
        content = Content(design, self.pass_type_id, self.team_id, self._web_service_url)
        package = Package(content, self._pictures_of(design), self._signer)
        with self._lock:
            self._keep(self._packages, key, package)
        return package

    def _kept(self, key: tuple[UUID, int]) -> Package | None:
        with self._lock:
            package = self._packages.get(key)
            if package is not None:
                self._packages.move_to_end(key)
            return package

    def _pictures_of(self, design: Design) -> dict[str, bytes]:
        """Drawn once for what they are made of: most changes of a design leave its pictures as they are."""
        given = (design.logo, design.icon or b"", design.strip or b"", design.background.encode())
        key = sha256(b"".join(sha256(part).digest() for part in given)).digest()
        if pictures := self._pictures.get(key):
            return pictures
        pictures = render_images(design)
        with self._lock:
            self._keep(self._pictures, key, pictures)
        return pictures

    def _keep(self, kept: OrderedDict[K, V], key: K, value: V) -> None:
        kept[key] = value
        while len(kept) > self._designs_kept:
            kept.popitem(last=False)
