"""What the benches with phones share: a push service that believes the place's certificates."""

import contextlib
from collections.abc import Iterator

from bench.served import Place
from tests.support.apns import ApnsServer, apns_server
from web.settings import Settings
from web.wallet.apple.development import INTERMEDIATE, ROOT, development_certificates


@contextlib.contextmanager
def push_service(here: Place) -> Iterator[ApnsServer]:
    """Apple's push service, for servers with the development certificates of a place."""
    usual, signing = Settings(), here.folder / "signing"
    development_certificates(signing, pass_type_id=usual.apple_pass_type, team_id=usual.apple_team)
    clients = here.folder / "clients.pem"
    clients.write_bytes(b"".join((signing / name).read_bytes() for name in (ROOT, INTERMEDIATE)))
    with apns_server(usual.apple_pass_type, clients) as server:
        yield server
