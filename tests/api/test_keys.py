"""Who may call: keys and their scopes, programmes, customers' own tokens."""

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import httpx
import msgspec
import pytest

from tests.api.conftest import BASE, calling, new_key, program_id_of
from tests.conftest import SECRET
from tests.support.rows import in_database, rows_of
from tests.support.serving import Server
from web.api.index import OPERATIONS
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.program import create_program
from web.loyalty.program_settings import ProgramSettings


def test_a_key_comes_as_api_key_or_as_bearer(server: Server) -> None:
    secret = new_key(server, "read")
    for header in ({"api-key": secret}, {"authorization": f"Bearer {secret}"}):
        assert httpx.get(f"{server.url}{BASE}", headers=header).status_code == 200


def test_a_programme_is_named_by_id_or_by_slug(server: Server, api: httpx.Client) -> None:
    by_id = api.get(f"/v1/programs/{program_id_of(server)}")
    assert by_id.status_code == 200
    assert by_id.json() == api.get(BASE).json()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"api-key": ""},
        {"api-key": "pasito_nobody_0000"},
        {"authorization": "Basic YTpi"},
        {"authorization": "Bearer a.b.c"},
        {"authorization": "Bearer eyJhbGciOiJub25lIn0.eyJhdWQiOiJhdXRoOngifQ."},
        {"cookie": "session=1"},
    ],
)
def test_without_a_good_key_the_answer_is_401_and_a_challenge(
    server: Server, headers: dict[str, str]
) -> None:
    more = {"x-forwarded-for": server.headers()["x-forwarded-for"]}
    answer = httpx.get(f"{server.url}{BASE}", headers=headers | more)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="pasito"')
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_revoked_key_and_one_that_is_over_open_nothing(server: Server, api: httpx.Client) -> None:
    made = api.post(f"{BASE}/api-keys", json={"name": "Till", "scopes": ["read"]}).json()
    with calling(server, made["secret"]) as till:
        assert till.get(BASE).status_code == 200
        assert api.delete(f"{BASE}/api-keys/{made['id']}").json()["revokedAt"]
        assert api.delete(f"{BASE}/api-keys/{made['id']}").status_code == 200
        assert till.get(BASE).status_code == 401
    with calling(server, new_key(server, expires_at=utc_now() - timedelta(seconds=1))) as over:
        assert over.get(BASE).status_code == 401


def test_a_key_opens_no_other_programme_and_does_not_learn_which_there_are(server: Server) -> None:
    settings = ProgramSettings(name="Tea House")
    in_database(
        server.environment["DATABASE_URL"],
        lambda conn: create_program(conn, "teahouse", settings, Sealer((SECRET,))),
    )
    with (
        calling(server, new_key(server)) as brewbar,
        calling(server, new_key(server, slug="teahouse")) as tea,
    ):
        foreign, nobody = brewbar.get("/v1/programs/teahouse"), brewbar.get("/v1/programs/nobody")
        assert foreign.status_code == nobody.status_code == 403
        assert foreign.json()["detail"] == nobody.json()["detail"]
        assert tea.get("/v1/programs/teahouse").json()["settings"]["name"] == "Tea House"
        # Without a programme in the address the key's own one is meant: Ana is not a customer there.
        assert tea.get("/v1/loyalty/ana@example.com").status_code == 404
        assert brewbar.get("/v1/loyalty/ana@example.com").status_code == 200


def test_no_operation_opens_another_programme(server: Server) -> None:
    """Every address, with a key of the wrong programme: nothing of the right one is told or changed."""
    secret = stranger(server)
    with calling(server, secret) as foreign:
        for handler in OPERATIONS:
            asked = handler.opt["operation"]
            if "{program}" not in asked.paths[0]:
                continue
            path = re.sub(r"\{\w+\}", "ana@example.com", asked.paths[0].replace("{program}", "brewbar"))
            body = None if asked.example is None else msgspec.to_builtins(asked.example)
            answer = foreign.request(asked.method, path, json=body)
            assert (asked.name, answer.status_code) == (asked.name, 403)


def stranger(server: Server) -> str:
    """A key with every scope, of a programme of its own."""
    slug = f"stranger-{uuid4().hex[:8]}"
    url = server.environment["DATABASE_URL"]
    in_database(
        url, lambda conn: create_program(conn, slug, ProgramSettings(name="Stranger"), Sealer((SECRET,)))
    )
    return new_key(server, slug=slug)


def test_a_key_does_what_its_scopes_say_and_no_more(server: Server) -> None:
    location = {"slug": "nowhere", "name": "Nowhere"}
    people = [{"email": "scope@example.org", "feature": "users", "payload": {}}]
    with (
        calling(server, new_key(server, "read")) as reader,
        calling(server, new_key(server, "write")) as writer,
    ):
        assert reader.get(f"{BASE}/customers?limit=1").status_code == 200
        assert reader.post(f"{BASE}/integrations/api", json=people).status_code == 403
        assert writer.post(f"{BASE}/locations", json=location).status_code == 403
        assert writer.get(f"{BASE}/customers").status_code == 403
        assert reader.get(f"{BASE}/customers/token?email=ana@example.com&token_type=auth").status_code == 403
        refused = reader.get(f"{BASE}/api-keys")
    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]


def test_a_key_cannot_make_one_that_may_do_more(server: Server) -> None:
    with calling(server, new_key(server, "admin")) as admin:
        answer = admin.post(f"{BASE}/api-keys", json={"name": "More", "scopes": ["admin", "write"]})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/scopes")


def test_a_secret_is_shown_once_and_kept_as_a_hash(server: Server, api: httpx.Client) -> None:
    made = api.post(
        f"{BASE}/api-keys", json={"name": "Shop", "expiresIn": 3600}, headers={"idempotency-key": "shop-key"}
    )
    again = api.post(
        f"{BASE}/api-keys", json={"name": "Shop", "expiresIn": 3600}, headers={"idempotency-key": "shop-key"}
    )
    assert (made.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert made.content == again.content
    secret = made.json()["secret"]
    assert secret.startswith(f"pasito_{made.json()['prefix']}_")
    for table in ("api_key", "idempotency"):
        assert secret not in repr(rows_of(server.environment["DATABASE_URL"], table))
    listed = next(
        key for key in api.get(f"{BASE}/api-keys").json()["items"] if key["id"] == made.json()["id"]
    )
    assert "secret" not in listed


def test_the_last_use_is_written_down_but_not_each_one(server: Server, api: httpx.Client) -> None:
    made = api.post(f"{BASE}/api-keys", json={"name": "Used", "scopes": ["read"]}).json()

    def used() -> object:
        return next(
            key["lastUsedAt"]
            for key in api.get(f"{BASE}/api-keys").json()["items"]
            if key["id"] == made["id"]
        )

    assert used() is None
    with calling(server, made["secret"]) as caller:
        caller.get(BASE)
        first = used()
        caller.get(BASE)
    assert first is not None
    assert used() == first


def test_a_customers_token_makes_their_own_calls_and_no_others(
    server: Server, api: httpx.Client, customer: Callable[..., str]
) -> None:
    other = customer("other-token@example.org")
    token = api.get(f"{BASE}/customers/token?email=ana@example.com&token_type=auth").json()["accessToken"]
    ana = httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"})
    with ana:
        me = ana.get("/v1/me")
        assert me.json()["email"] == "ana@example.com"
        assert me.headers["ratelimit-policy"] == '"api_customer";q=120;w=60'
        assert ana.get(f"{BASE}/customers/ANA@example.com").json() == me.json()
        assert ana.get("/v1/me/transactions?limit=1").json()["items"][0]["reason"]
        assert ana.get(f"{BASE}/customers/{other}").status_code == 404
        assert ana.get(f"{BASE}/customers/{other}/transactions").status_code == 404
        assert ana.get(f"{BASE}/customers").status_code == 403
        assert ana.patch("/v1/loyalty/ana@example.com", json={"balance": 1000}).status_code == 403
        assert ana.get("/v1/programs/teahouse/customers/ana@example.com").status_code == 403
    # As `api-key` a customer's token is nothing (ruling 8).
    assert httpx.get(f"{server.url}/v1/me", headers={"api-key": token}).status_code == 401
    assert api.get("/v1/me").status_code == 404
