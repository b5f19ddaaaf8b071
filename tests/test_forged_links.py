"""Forged, altered, borrowed and worn-out tokens at every door: all refused alike, and nothing is used up by them."""

import asyncio
import base64
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.conftest import SECRET, Fresh
from tests.pages.conftest import create_program
from tests.pages.steps import Made, change, customer_of, everything, link_for, quiet, registered
from tests.support.crowd import Guest, Heard
from tests.support.rows import in_database
from tests.support.serving import ROOT, Server, serving
from web.foundation import tokens
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer, digest, random_code
from web.foundation.tokens import for_url, from_url
from web.loyalty.link import Purpose
from web.loyalty.program import Program, load_program

ALTERED = 400
AT_ONCE = 16

# Where each kind of link arrives, where it is looked at, and where it is used.
DOORS: dict[Purpose, tuple[str, str, str]] = {
    "download": ("/brewbar/download?token={}", "/brewbar/download", "/brewbar/download/apple"),
    "verify": ("/brewbar/verify?token={}", "/brewbar/verify", "/brewbar/verify"),
    "change": ("/brewbar/change?token={}", "/brewbar/change", "/brewbar/change"),
    "auth": ("/brewbar/{}", "/brewbar/session?redirectTo=profile", "/brewbar/session"),
}


@pytest.fixture(scope="module")
def shop(request: pytest.FixtureRequest, data_dir: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        server = stack.enter_context(serving(Fresh(request, stack)("sqlite"), data_dir))
        create_program(server, "other", "--slug", "other", "--name", "Other")
        yield server


@pytest.fixture(scope="module")
def owner(shop: Server) -> dict[str, Any]:
    return registered(shop)


def program_of(server: Server, slug: str = "brewbar") -> Program:
    loaded = in_database(
        server.environment["DATABASE_URL"], lambda conn: load_program(conn, slug, Sealer((SECRET,)))
    )
    assert isinstance(loaded, Program)
    return loaded


def made_for(server: Server, customer_id: str, kind: Purpose, **options: Any) -> Made:
    """A link as it is made for a customer; one that agrees to a change says to which."""
    about: dict[str, Any] = {"utm": {"side": "new", "change": "none"}} if kind == "change" else {}
    return link_for(server, customer_id, kind, **about, **options)


class Forger:
    """Knows a genuine link's shape, and in these tests even the key, so that one thing at a time can be wrong."""

    def __init__(self, program: Program, genuine: str, kind: Purpose) -> None:
        self.program, self.kind = program, kind
        self.head: dict[str, Any] = jwt.get_unverified_header(genuine)
        self.claims: dict[str, Any] = jwt.decode(genuine, options={"verify_signature": False})
        self.genuine = genuine

    def signed(self, *, claims: dict[str, Any] | None = None, key: bytes = b"", **head: Any) -> str:
        """A token with our key and these differences; a value of None leaves the claim or header out."""
        said = {name: value for name, value in {**self.claims, **(claims or {})}.items() if value is not None}
        opens = {name: value for name, value in {**self.head, **head}.items() if value is not None}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
            for part in (opens, said)
        ]
        algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        signature = algorithm.sign(".".join(parts).encode(), key or self.program.signing_key.secret)
        return ".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=").decode()])

    def wrong(self) -> dict[str, str]:
        """One wrong thing at a time."""
        now = int(utc_now().timestamp())
        others = [kind for kind in (*DOORS, "handoff") if kind != self.kind]
        head, claims, _ = self.genuine.split(".")
        return {
            "alg none": jwt.encode(self.claims, "", "none", headers={**self.head, "alg": "none"}),
            "no signature": f"{head}.{claims}.",
            "another's signature": f"{head}.{claims}.{self.signed(claims={'jti': 'x'}).split('.')[2]}",
            "unknown key id": self.signed(kid="nobody"),
            "key id as a path": self.signed(kid="../../dev/null"),
            "no key id": self.signed(kid=None),
            "another key": self.signed(key=b"k" * 32),
            "an empty key": self.signed(key=b"\0"),
            "RS256 named": self.signed(alg="RS256"),
            "HS512 named": self.signed(alg="HS512"),
            "brings its key": self.signed(jwk={"kty": "oct", "k": "AAAA"}),
            "names where its key is": self.signed(jku="https://evil.example/keys"),
            "asks for an extension": self.signed(crit=["exp"]),
            "another issuer": self.signed(claims={"iss": "evil"}),
            "many audiences": self.signed(claims={"aud": [self.claims["aud"], "x"]}),
            "issued tomorrow": self.signed(claims={"iat": now + 86400}),
            "never stored": self.signed(claims={"jti": random_code()}),
            "never stored, and over": self.signed(claims={"jti": random_code(), "exp": now - 60}),
            **{f"without {name}": self.signed(claims={name: None}) for name in self.claims},
            **{f"typ of {kind}": self.signed(typ=f"{kind}+jwt") for kind in others},
            **{f"aud of {kind}": self.signed(claims={"aud": f"{kind}:{self.program.id}"}) for kind in others},
            "ten thousand letters": "A" * 10_000,
            "NUL bytes": "\0" * 80,
            "not a token": "this is no token at all, but long enough to stand where a session link would stand",
        }

    def altered(self, chance: random.Random) -> str:
        """One letter of the token is another; the last one has bits that say nothing."""
        at = chance.randrange(len(self.genuine) - 1)
        letter = chance.choice([one for one in "ABCxyz019-_." if one != self.genuine[at]])
        return self.genuine[:at] + letter + self.genuine[at + 1 :]


def worn_out(server: Server, owner: dict[str, Any], kind: Purpose) -> dict[str, str]:
    """Real links that are good no more, or good elsewhere."""
    expired = made_for(server, owner["id"], kind, lifetime=timedelta(seconds=-60))
    revoked, moved = (made_for(server, owner["id"], kind) for _ in range(2))
    change(server, "one_time_link", {"jti_hash": digest(revoked.code)}, revoked_at=utc_now())
    foreign = in_other_program(server, kind)
    found = {"expired": expired, "revoked": revoked, "another programme's": foreign}
    if kind != "verify":  # A second tap on one that has done its work is told so.
        change(
            server, "one_time_link", {"jti_hash": digest(moved.code)}, most_uses=1, uses=1, used_at=utc_now()
        )
        found["used"] = moved
    elsewhere = {
        f"a good one for {other}": made_for(server, owner["id"], other) for other in DOORS if other != kind
    }
    return {name: from_url(made.token) for name, made in {**found, **elsewhere}.items()}


def in_other_program(server: Server, kind: Purpose) -> Made:
    with server.client() as client:
        address = f"{random_code().lower()}@example.org"
        client.post("/other/register", data={"email": address})
        client.post("/other/register/about", data={"name": "Zoë"})
    return made_for(server, customer_of(server, address)["id"], kind, slug="other")


async def try_door(server: Server, number: int, kind: Purpose, token: str) -> list[Any]:
    """Arrive, look and tap with a token; what was answered, less what is random by nature."""
    arrives, looks, taps = DOORS[kind]
    guest = Guest(server, number)
    answers = [
        await guest.get(arrives.format(for_url(token))),
        await guest.get(looks),
        await guest.post(taps),
    ]
    return [bare(answer) for answer in answers]


def bare(answer: Heard) -> tuple[int, dict[str, str], bytes]:
    headers = {
        name: re.sub(r"=[^;]{20,};", "=…;", value) if name == "set-cookie" else value
        for name, value in answer.headers.items()
        if name not in ("date", "x-request-id")
    }
    return answer.status, headers, re.sub(rb'name="form_token" value="[^"]+"', b"", answer.body)


@pytest.mark.parametrize("kind", DOORS)
async def test_every_wrong_token_is_answered_alike_and_uses_nothing(
    shop: Server, owner: dict[str, Any], kind: Purpose
) -> None:
    genuine = made_for(shop, owner["id"], kind)
    forger, chance = Forger(program_of(shop), from_url(genuine.token), kind), random.Random(kind)
    wrong = {**forger.wrong(), **worn_out(shop, owner, kind)}
    wrong |= {f"altered {n}": forger.altered(chance) for n in range(ALTERED)}
    quiet(shop)
    before = everything(shop)
    hands = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, token: str) -> list[Any]:
        async with hands:
            return await try_door(shop, number, kind, token)

    answers = dict(
        zip(wrong, await asyncio.gather(*(one(n, t) for n, t in enumerate(wrong.values()))), strict=True)
    )
    first = answers["never stored"]
    assert [status for status, _, _ in first] == [303, 410, 410]
    for name, told in answers.items():
        assert told == first, name
    quiet(shop)
    assert everything(shop) == before
    assert opens(shop, kind, genuine), "the genuine one is as good as before"
    print(f"\n{kind}: {len(wrong)} tokens at three addresses each, all refused alike")


def test_wrong_tokens_take_about_the_same_time(shop: Server, owner: dict[str, Any]) -> None:
    """Coarsely: whether a token was signed by us, or whose row it names, is not told by how long the page takes."""
    genuine = made_for(shop, owner["id"], "download")
    forger = Forger(program_of(shop), from_url(genuine.token), "download")
    tries = {
        name: token
        for name, token in {**forger.wrong(), **worn_out(shop, owner, "download")}.items()
        if name
        in ("alg none", "another key", "never stored", "expired", "revoked", "used", "another programme's")
    }
    seconds: dict[str, list[float]] = {name: [] for name in tries}
    with shop.client() as client:
        for _ in range(60):
            for name in random.sample(list(tries), len(tries)):
                client.cookies.clear()
                started = time.perf_counter()
                client.get(f"/brewbar/download?token={for_url(tries[name])}")
                client.get("/brewbar/download")
                seconds[name].append(time.perf_counter() - started)
    # Of disturbed measurements the lower quarter is the least disturbed.
    typical = {name: statistics.quantiles(times, n=4)[0] for name, times in seconds.items()}
    print("\n" + ", ".join(f"{name} {1000 * value:.2f} ms" for name, value in typical.items()))
    assert max(typical.values()) < 1.4 * min(typical.values()) + 0.0005, typical


def test_a_link_for_a_time_opens_again_and_again_until_then(shop: Server, owner: dict[str, Any]) -> None:
    command = [
        sys.executable,
        "-m",
        "web",
        "link",
        "download",
        "--program",
        "brewbar",
        "--email",
        owner["email"],
    ]
    environment = {"PATH": "/usr/bin:/bin", **shop.environment}
    made = subprocess.run(
        [*command, "--expires-in", "3600"],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    token = httpx.URL(made).params["token"]
    jti = tokens.read(
        from_url(token), program_of(shop).keys, kind="download", audience=program_of(shop).id
    ).jti
    for _ in range(2):
        with shop.client() as client:
            client.get(made.removeprefix(shop.url))
            assert client.post("/brewbar/download/apple").headers["content-type"].endswith("pkpass")
    move_back(shop, jti, timedelta(seconds=3601))
    with shop.client() as client:
        client.get(made.removeprefix(shop.url))
        assert client.get("/brewbar/download").status_code == 410
        assert client.post("/brewbar/download/apple").status_code == 410


def move_back(server: Server, jti: str, by: timedelta) -> None:
    """Let so much time have passed for a link."""
    [row] = [row for row in everything(server)["one_time_link"] if row["jti_hash"] == digest(jti)]
    moments = {
        name: row[name] - by for name in ("created_at", "expires_at") if isinstance(row[name], datetime)
    }
    change(server, "one_time_link", {"jti_hash": digest(jti)}, **moments)


def test_a_retired_key_opens_nothing_any_more(shop: Server, owner: dict[str, Any]) -> None:
    """Last, for it ends all links of the programme."""
    made = {kind: made_for(shop, owner["id"], kind) for kind in DOORS}
    environment = {"PATH": "/usr/bin:/bin", **shop.environment}
    command = [sys.executable, "-m", "web", "key", "rotate", "--program", "brewbar", "--retire-in", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    ends = time.monotonic() + 10
    while opens(shop, "download", made["download"]):
        assert time.monotonic() < ends, "the running server still takes the retired key"
        time.sleep(0.2)
    for kind, link in made.items():
        assert not opens(shop, kind, link), kind
        assert opens(shop, "download", made_for(shop, owner["id"], "download")), "and the new key signs"


def opens(server: Server, kind: Purpose, made: Made) -> bool:
    arrives, _, _ = DOORS[kind]
    with server.client() as client:
        arrived = client.get(arrives.format(made.token))
        return client.get(arrived.headers["location"]).status_code == 200
