"""The OpenAPI document says what the API does: examples that are true, no status that it does not know, no 5xx."""

import random
import time
from itertools import cycle
from typing import Any

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
)

from tests.api.conftest import new_key
from tests.conftest import SECRET
from tests.support.browser import chromium
from tests.support.rows import in_database
from tests.support.serving import Server
from web.api.document import make_document
from web.api.index import OPERATIONS
from web.foundation.idempotency import idempotency
from web.foundation.sealing import Sealer
from web.loyalty.program import create_program
from web.loyalty.program_settings import ProgramSettings

DOCUMENT = make_document(OPERATIONS, "https://cards.example.com", "1.0")
EXAMPLES = 3
LONGEST_SECONDS = 35


@pytest.mark.parametrize("handler", OPERATIONS, ids=lambda handler: handler.opt["operation"].name)
def test_the_examples_are_of_the_shapes_that_are_read_and_written(handler: Any) -> None:
    asked = handler.opt["operation"]
    assert asked.summary
    assert (asked.body is None and not asked.csv) == (asked.example is None)
    written = msgspec.json.encode(asked.answer_example)
    assert msgspec.json.decode(written, type=asked.answer) == asked.answer_example
    if asked.body is not None:
        example = msgspec.json.encode(asked.example)
        msgspec.json.decode(example, type=asked.shape)
        msgspec.json.decode(example, type=asked.body)


def test_an_address_fits_into_the_books_of_what_was_done() -> None:
    """The column is bounded on PostgreSQL alone, and a customer's id stands behind the address."""
    longest = max(
        len(f"{handler.opt['operation'].method} {path}:str {'0' * 36}")
        + 4 * len(handler.opt["operation"].path_parameters(0))
        for handler in OPERATIONS
        for path in handler.opt["operation"].paths
    )
    room: Any = idempotency.c.scope.type
    assert longest <= room.length


def test_every_operation_has_a_name_of_its_own_and_says_which_key_it_needs() -> None:
    told = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in told]
    assert len(set(names)) == len(names)
    for operation in told:
        assert operation["security"]
        assert f"`{operation['x-scope']}`" in operation["description"]
        assert {"400", "401", "403", "404", "429", "500", "503"} <= operation["responses"].keys()


def test_the_document_and_its_page_come_from_this_server_alone(server: Server) -> None:
    with httpx.Client(base_url=server.url) as client:
        document = client.get("/schema/openapi.json").json()
        page = client.get("/schema")
    assert document["servers"] == [{"url": server.url}]
    assert document["paths"].keys() == DOCUMENT["paths"].keys()
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "script-src" not in policy
    # The whole reference, for programmers, in what two of a customer's pages weigh.
    assert int(page.headers["content-length"]) < 28_000
    for path in document["paths"]:
        assert path in page.text
    if server.environment["DATABASE_URL"].startswith("sqlite"):
        with chromium() as (_, browser):
            seen = browser.new_page(viewport={"width": 390, "height": 800})
            complaints: list[str] = []
            seen.on("console", lambda message: complaints.append(message.text))
            seen.goto(f"{server.url}/schema#increaseBalance")
            assert not complaints
            assert seen.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_nothing_that_fits_the_document_or_does_not_makes_the_server_fail(server: Server) -> None:
    """Schemathesis over every operation, with what the document allows and with what it does not.

    On PostgreSQL, which takes less: no NUL in a text, no id that is none, no number beyond its column.
    """

    def prepare(conn: Any) -> None:
        create_program(conn, "fuzzed", ProgramSettings(name="Fuzzed"), Sealer((SECRET,)))

    in_database(server.environment["DATABASE_URL"], prepare)
    # So many keys that no limit of theirs is met.
    keys = cycle([new_key(server, slug="fuzzed") for _ in range(8)])
    people = [{"email": "fuzzed@example.org", "feature": "users", "payload": {}}]
    httpx.post(
        f"{server.url}/v1/programs/fuzzed/integrations/api", json=people, headers={"api-key": next(keys)}
    ).raise_for_status()
    schema = schemathesis.openapi.from_url(f"{server.url}/schema/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    # In another order each time, so that a slow machine, which does not get through, tries others tomorrow.
    random.shuffle(operations)
    ends = time.monotonic() + LONGEST_SECONDS
    for operation in operations:
        if time.monotonic() > ends:
            break
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            if mode == GenerationMode.NEGATIVE and not can_be_wrong(operation):
                continue
            attempt(operation.as_strategy(generation_mode=mode), mode, keys)


def can_be_wrong(operation: Any) -> bool:
    return bool(operation.body or operation.query)


def attempt(cases: Any, mode: GenerationMode, keys: Any) -> None:
    @given(case=cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call(case: Case) -> None:
        # Made-up names would all be somebody else's, and nothing behind the door would be tried.
        for name, known in (("program", "fuzzed"), ("customer", "fuzzed@example.org")):
            if name in case.path_parameters:
                case.path_parameters[name] = known
        case.headers.pop("Authorization", None)
        response = case.call(headers={"api-key": next(keys)})
        # A text with control characters fits the document's words and is refused all the same, and of many items
        # one that does not fit fails alone.
        case.validate_response(
            response, excluded_checks=[positive_data_acceptance, negative_data_rejection, ignored_auth]
        )
        assert response.status_code != 429

    call()
