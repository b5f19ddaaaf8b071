"""The commands: what they do, and that a failure is one sentence that says what to do."""

import asyncio
import csv
import io
import re
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import zxingcpp
from click.testing import CliRunner, Result
from PIL import Image
from sqlalchemy import Connection, text, update

from tests.conftest import SECRET, Fresh
from tests.loyalty.friends import an_email, bring, loaded, referring, verified
from tests.loyalty.people import new_customer
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.rows import in_database, rows_of
from web.cli import commands
from web.foundation import delivery, tokens
from web.foundation.database import open_database
from web.foundation.schema import utc_now
from web.foundation.sealing import Sealer
from web.loyalty.installation import mark_installed, mark_uninstalled
from web.loyalty.program import Program, load_program, reseal_signing_keys
from web.loyalty.sign import find_sign
from web.loyalty.wallet_pass import pass_for

Command = Callable[..., Result]


@pytest.fixture
def command(data_dir: Path, database_url: str) -> Command:
    """Runs `python -m web` with these arguments on the test's own database; settings may be given by name."""
    return commanding(data_dir, database_url)


@pytest.fixture
def sqlite_command(data_dir: Path, fresh_database: Fresh) -> Command:
    return commanding(data_dir, fresh_database("sqlite"))


def commanding(data_dir: Path, database_url: str) -> Command:
    def run(*arguments: str, **settings: str) -> Result:
        environment = {
            "PASITO_DATA_DIR": str(data_dir),
            "DATABASE_URL": database_url,
            "PASITO_BASE_URL": "http://cards.test",
            **settings,
        }
        return CliRunner().invoke(commands, arguments, env=environment)

    return run


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def complained(result: Result) -> str:
    """The one sentence on standard error of a command that failed."""
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def brewbar(database_url: str) -> Program:
    found = in_database(database_url, lambda conn: load_program(conn, "brewbar", Sealer((SECRET,))))
    assert isinstance(found, Program)
    return found


# ---- Programmes


def test_a_programme_is_made_from_a_file_and_listed(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "corner.toml"
    file.write_text('slug = "corner"\n[settings]\nname = "Corner"\nlanguages = ["es", "en"]\n', "utf-8")
    assert "http://cards.test/corner" in done(command("program", "create", str(file)))
    assert re.search(r"^corner +version \d+$", done(command("program", "list")), re.MULTILINE)
    assert '"languages": [' in done(command("program", "show", "corner"))


def test_a_programme_is_made_from_options(command: Command) -> None:
    done(command("program", "create", "--slug", "corner", "--name", "Corner", "--asks", "phone"))
    assert '"asks": "phone"' in done(command("program", "show", "corner"))


def test_a_programme_takes_the_settings_of_a_changed_file(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "brewbar.toml"
    file.write_text('slug = "brewbar"\n[settings]\nname = "Brew Bar & Bakery"\n', "utf-8")
    done(command("program", "update", str(file)))
    assert "Brew Bar & Bakery" in done(command("program", "show", "brewbar"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--slug", "brewbar", "--name", "Another"), "`program update` changes it"),
        (("--slug", "corner", "--name", "Corner", "--colour", "brown"), "colour"),
        (("--slug", "corner", "--name", "Corner", "--languages", "english"), "no language tag like en"),
        (("--slug", "v1", "--name", "V"), "choose another"),
        (("--slug", "corner"), "Give a file, or --slug and --name."),
    ],
)
def test_a_programme_that_cannot_be_made_is_explained(
    sqlite_command: Command, arguments: tuple[str, ...], words: str
) -> None:
    assert words in complained(sqlite_command("program", "create", *arguments))


def test_a_programme_with_two_shops_of_one_name_is_not_made(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "corner.toml"
    shop = '[[locations]]\nslug = "mayor"\nname = "Mayor"\n'
    file.write_text(f'slug = "corner"\n[settings]\nname = "Corner"\n{shop * 2}', "utf-8")
    complained(command("program", "create", str(file)))
    assert "corner" not in done(command("program", "list"))


def test_a_shop_is_added_once(command: Command) -> None:
    add = ("program", "location", "add", "brewbar", "sol", "Puerta del Sol")
    assert "/brewbar/poster?location=sol" in done(command(*add))
    assert "already" in complained(command(*add))
    assert "Puerta del Sol" in done(command("program", "location", "list", "brewbar"))


# ---- Signs


def test_a_sign_is_written_as_pictures_that_lead_to_its_front_door(
    command: Command, database_url: str, tmp_path: Path
) -> None:
    arguments = ("--program", "brewbar", "--location", "malasana", "--campaign", "autumn")
    said = done(command("sign", *arguments, "--out", str(tmp_path)))
    [png], [svg] = tmp_path.glob("*.png"), tmp_path.glob("*.svg")
    [read] = zxingcpp.read_barcodes(Image.open(png))
    assert read.text.startswith("HTTP://CARDS.TEST/S/")
    assert read.text in said
    assert svg.read_text().startswith("<svg")
    found = in_database(database_url, lambda conn: find_sign(conn, read.text.rpartition("/")[2]))
    assert (found.program_slug, found.location_name, found.campaign) == ("brewbar", "Malasaña", "autumn")
    assert "http://cards.test/brewbar/poster?location=malasana&utm_campaign=autumn" in said


def test_a_sign_printed_again_is_the_same_sign(command: Command, tmp_path: Path) -> None:
    first, again = (done(command("sign", "--program", "brewbar", "--out", str(tmp_path))) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--program", "nobody"), "There is no programme 'nobody'"),
        (("--program", "brewbar", "--location", "moon"), "no location 'moon'"),
    ],
)
def test_a_sign_for_nothing_is_refused(
    sqlite_command: Command, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    assert words in complained(sqlite_command("sign", *arguments, "--out", str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


# ---- Keys


def minted(database_url: str) -> str:
    key = brewbar(database_url).signing_key
    return tokens.mint(
        key,
        kind="download",
        audience="brewbar",
        subject="c",
        jti="j",
        lifetime=timedelta(days=90),
        now=utc_now(),
    )


def opens(database_url: str, token: str, days: float) -> bool:
    """Whether the token will be read in so many days."""
    keys, then = brewbar(database_url).keys, utc_now() + timedelta(days=days)
    try:
        tokens.read(token, keys, kind="download", audience="brewbar", now=then)
    except tokens.BadToken:
        return False
    return True


def test_links_signed_before_a_rotation_work_until_the_old_key_retires(
    command: Command, database_url: str
) -> None:
    before = brewbar(database_url)
    old = minted(database_url)
    assert "retire in 20 days" in done(command("key", "rotate", "--program", "brewbar", "--retire-in", "20"))
    after = brewbar(database_url)
    assert after.signing_key.kid != before.signing_key.kid
    assert after.version > before.version, "or running processes would not load the new key"
    assert opens(database_url, old, 19)
    assert not opens(database_url, old, 21)
    assert opens(database_url, minted(database_url), 21)


def test_a_second_rotation_does_not_let_the_first_key_live_longer(
    command: Command, database_url: str
) -> None:
    old = minted(database_url)
    done(command("key", "rotate", "--program", "brewbar", "--retire-in", "5"))
    done(command("key", "rotate", "--program", "brewbar", "--retire-in", "50"))
    assert not opens(database_url, old, 6)


def test_a_key_that_leaked_can_be_ended_at_once(command: Command, database_url: str) -> None:
    old = minted(database_url)
    done(command("key", "rotate", "--program", "brewbar", "--retire-in", "0"))
    assert not opens(database_url, old, 0)


def test_after_resealing_the_old_secret_can_be_taken_away(command: Command, database_url: str) -> None:
    old, new = "o" * 40, "n" * 40
    in_database(database_url, lambda conn: reseal_signing_keys(conn, Sealer((old, SECRET))))
    done(command("program", "show", "brewbar", PASITO_SECRET_KEYS=f"{new},{old}"))
    refused = complained(command("program", "show", "brewbar", PASITO_SECRET_KEYS=new))
    assert "No key of PASITO_SECRET_KEYS opens" in refused
    done(command("key", "reseal", PASITO_SECRET_KEYS=f"{new},{old}"))
    done(command("program", "show", "brewbar", PASITO_SECRET_KEYS=new))


# ---- Support


def test_support_can_make_a_download_link(command: Command, database_url: str) -> None:
    said = done(command("link", "download", "--program", "brewbar", "--email", "ANA@example.com"))
    address = urlsplit(said.strip())
    assert address.path == "/brewbar/download"
    found = brewbar(database_url)
    token = tokens.from_url(parse_qs(address.query)["token"][0])
    claims = tokens.read(token, found.keys, kind="download", audience=found.id)
    [ana] = rows_of(database_url, "customer", email_key="ana@example.com")
    assert claims.sub == ana["id"]
    [link] = rows_of(database_url, "one_time_link")
    assert (link["customer_id"], link["created_by"]) == (ana["id"], "support")


@pytest.mark.parametrize(
    ("email", "words"),
    [("nobody@example.com", "no such customer"), ("ana", "is no address that can be read")],
)
def test_a_download_link_for_nobody_is_refused(sqlite_command: Command, email: str, words: str) -> None:
    assert words in complained(sqlite_command("link", "download", "--program", "brewbar", "--email", email))


@pytest.fixture
def put_aside(database_url: str) -> list[str]:
    """The ids of two deliveries that were put aside."""

    def work(conn):  # type: ignore[no-untyped-def]
        program_id = conn.scalar(text("select id from program"))
        ids = [delivery.enqueue(conn, str(program_id), "confirmation", f"x:{n}", {}) for n in range(2)]
        conn.execute(
            update(delivery.delivery).values(state=delivery.DEAD, tries=10, last_error="GiveUp: 550")
        )
        return ids

    return list(in_database(database_url, work))


def test_what_was_put_aside_is_listed_with_its_reason(command: Command, put_aside: list[str]) -> None:
    said = done(command("delivery", "dead"))
    assert "2 put aside." in said
    for delivery_id in put_aside:
        assert re.search(rf"^{delivery_id} +confirmation +10 tries +GiveUp: 550$", said, re.MULTILINE)


def test_one_delivery_or_all_can_be_started_again(
    command: Command, database_url: str, put_aside: list[str]
) -> None:
    assert done(command("delivery", "replay", put_aside[0])) == "1 started again.\n"
    states = {row["id"]: (row["state"], row["tries"]) for row in rows_of(database_url, "delivery")}
    assert states == {put_aside[0]: ("waiting", 0), put_aside[1]: ("dead", 10)}
    assert done(command("delivery", "replay")) == "1 started again.\n"


def test_a_delivery_can_be_dropped_and_is_not_replayed(
    command: Command, database_url: str, put_aside: list[str]
) -> None:
    done(command("delivery", "drop", put_aside[0]))
    assert done(command("delivery", "replay")) == "1 started again.\n"
    [dropped] = rows_of(database_url, "delivery", id=put_aside[0])
    assert dropped["state"] == "dropped"


@pytest.mark.parametrize("verb", ["replay", "drop"])
@pytest.mark.parametrize("delivery_id", ["42", "0193e4a0-0000-7000-8000-000000000000"])
def test_a_delivery_that_is_not_there_is_refused(command: Command, verb: str, delivery_id: str) -> None:
    assert "`delivery dead` lists" in complained(command("delivery", verb, delivery_id))


def test_previews_of_every_message_are_written(sqlite_command: Command, tmp_path: Path) -> None:
    done(sqlite_command("mails", "--into", str(tmp_path)))
    assert (tmp_path / "index.html").exists()


def test_translations_that_are_no_json_are_refused(sqlite_command: Command, tmp_path: Path) -> None:
    (tmp_path / "es.json").write_text("{")
    complained(sqlite_command("translate", "--fill", str(tmp_path / "es.json")))


# ---- What is broken around the commands


def test_a_misspelt_setting_is_named(sqlite_command: Command) -> None:
    said = complained(sqlite_command("program", "list", PASITO_SMPT_HOST="mail"))
    assert "Did you mean PASITO_SMTP_HOST?" in said


@pytest.mark.parametrize("arguments", [("program", "list"), ("serve",), ("worker",), ("migrate",)])
def test_a_database_server_that_does_not_answer(sqlite_command: Command, arguments: tuple[str, ...]) -> None:
    nowhere = f"postgresql://pasito:secret@127.0.0.1:{free_port()}/pasito"
    said = complained(sqlite_command(*arguments, DATABASE_URL=nowhere, PORT=str(free_port())))
    assert "The database cannot be reached" in said
    assert "DATABASE_URL" in said
    assert "secret" not in said


def test_a_database_that_is_not_on_its_server(sqlite_command: Command, postgres: PostgresServer) -> None:
    said = complained(sqlite_command("program", "list", DATABASE_URL=postgres.url("nothing")))
    assert "no database of that name" in said


def test_a_database_server_that_does_not_know_the_user(
    sqlite_command: Command, postgres: PostgresServer
) -> None:
    url = postgres.url().replace("postgres@", "nobody@")
    assert "refuses this user or password" in complained(sqlite_command("program", "list", DATABASE_URL=url))


def test_a_database_server_whose_name_is_unknown(sqlite_command: Command) -> None:
    said = complained(sqlite_command("program", "list", DATABASE_URL="postgresql://x@nowhere.invalid/x"))
    assert "name cannot be resolved" in said


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize(
    "arguments", [("program", "list"), ("serve",), ("worker",), ("key", "rotate", "--program", "brewbar")]
)
def test_a_database_without_tables_asks_for_migrate(
    sqlite_command: Command,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    engine: str,
    arguments: tuple[str, ...],
) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    if engine == "postgresql":
        url = request.getfixturevalue("postgres").url()
    said = complained(sqlite_command(*arguments, DATABASE_URL=url, PORT=str(free_port())))
    assert "python -m web migrate" in said


def test_migrate_makes_an_empty_database_ready(sqlite_command: Command, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'folder' / 'new.db'}"
    assert "The schema is at" in done(sqlite_command("migrate", DATABASE_URL=url))
    assert done(sqlite_command("program", "list", DATABASE_URL=url)) == ""


def test_a_schema_of_a_newer_version_is_left_alone(command: Command, database_url: str) -> None:
    in_database(
        database_url, lambda conn: conn.execute(text("update alembic_version set version_num = '9999'"))
    )
    assert "newer version" in complained(command("migrate"))


def test_a_file_that_is_no_database(sqlite_command: Command, tmp_path: Path) -> None:
    (tmp_path / "pasito.db").write_text("these are notes about coffee, long enough to have a header" * 20)
    url = f"sqlite:///{tmp_path / 'pasito.db'}"
    assert "no SQLite database" in complained(sqlite_command("program", "list", DATABASE_URL=url))


def test_a_port_that_is_taken(sqlite_command: Command) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        for name in ("serve", "demo"):
            said = complained(sqlite_command(name, PORT=port))
            assert f"127.0.0.1:{port} cannot be listened on" in said
            assert "Set PORT" in said


async def test_a_second_server_on_one_sqlite_file(data_dir: Path, fresh_database: Fresh) -> None:
    url = fresh_database("sqlite")
    first = open_database(url, serving=True)
    try:
        said = complained(await asyncio.to_thread(commanding(data_dir, url), "serve", PORT=str(free_port())))
    finally:
        await first.close()
    assert "in use by another Pasito process" in said
    assert "PASITO_DATA_DIR" in said


def test_several_web_processes_need_postgresql(sqlite_command: Command) -> None:
    assert "DATABASE_URL" in complained(sqlite_command("serve", "--workers", "2", PORT=str(free_port())))


def test_the_demo_is_not_for_production(sqlite_command: Command) -> None:
    said = complained(
        sqlite_command(
            "demo",
            PASITO_ENVIRONMENT="production",
            PASITO_BASE_URL="https://cards.test",
            PASITO_SECRET_KEYS="p" * 40,
            PASITO_SMTP_HOST="mail.test",
            PASITO_MAIL_FROM="cards@cards.test",
        )
    )
    assert "The demo is for development" in said


def test_a_certificate_that_cannot_be_read_keeps_the_server_from_starting(
    sqlite_command: Command, tmp_path: Path
) -> None:
    (tmp_path / "pass.pem").write_text("hello")
    files = {
        f"PASITO_APPLE_{name}": str(tmp_path / "pass.pem") for name in ("CERTIFICATE", "KEY", "INTERMEDIATE")
    }
    said = complained(sqlite_command("serve", PORT=str(free_port()), **files))
    assert "Apple Wallet" in said
    assert "python -m web doctor" in said


def test_a_referral_that_waits_is_told_with_its_reasons_and_judged_once(
    data_dir: Path, fresh_database: Fresh
) -> None:
    url = fresh_database("sqlite")
    command = commanding(data_dir, url)

    def wait(conn: Connection) -> list[str]:
        program = referring(loaded(conn))
        ana = new_customer(conn, program, email=an_email("ana.novak@example.org"), name="Ana Novak")
        friends = [bring(conn, program, ana, email=an_email(f"ana.novak{n}@example.org")) for n in range(2)]
        return [verified(conn, program, found).id for found in friends]

    good, bad = in_database(url, wait)
    assert "brewbar: 2 referrals wait" in command("doctor").stdout
    told = done(command("referral", "review", "--program", "brewbar"))
    assert "Ana Novak / ana.novak@example.org brought ana.novak0@example.org" in told
    assert "nearly the same" in told
    assert "2 to look at." in told
    assert "Both have their points" in done(command("referral", "approve", good, "--program", "brewbar"))
    assert "Rejected" in done(command("referral", "reject", bad.upper(), "--program", "brewbar"))
    for judged in (good, bad, "x"):
        again = command("referral", "approve", judged, "--program", "brewbar")
        assert again.exit_code == 1
        assert "`referral review`" in again.output
    assert "0 to look at." in done(command("referral", "review", "--program", "brewbar"))
    [found] = rows_of(url, "referral", id=good)
    assert (found["state"], found["reviewed_by"]) == ("rewarded", "support")


def test_those_without_the_card_are_listed_for_a_reminder(data_dir: Path, fresh_database: Fresh) -> None:
    url = fresh_database("sqlite")
    command = commanding(data_dir, url)

    def install(conn: Connection) -> list[str]:
        brewbar = loaded(conn)
        people = [new_customer(conn, brewbar, name=name) for name in ('=HYPERLINK("x")', "Ida", "Jo")]
        for person in people[1:]:
            held = pass_for(conn, brewbar.id, person, "apple")
            mark_installed(conn, brewbar.id, held.id)
        mark_uninstalled(conn, brewbar.id, held.id)
        return people

    never, installed, gone = in_database(url, install)

    def listed(wallet: str) -> dict[str, dict[str, str]]:
        text = done(
            command("customer", "list", "--program", "brewbar", "--wallet", wallet, "--format", "csv")
        )
        return {row["id"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}

    assert listed("installed").keys() == {installed}
    assert listed("installed")[installed]["walletPlatforms"] == "apple"
    assert listed("uninstalled").keys() == {gone}
    assert listed("uninstalled")[gone]["walletStatus"] == "uninstalled"
    assert listed("never")[never]["name"] == '\'=HYPERLINK("x")'
    assert listed("not-installed").keys() == listed("never").keys() | {gone}
    assert listed("requested") == {}


def test_a_message_is_sent_to_a_card_and_what_became_of_it_is_shown(
    sqlite_command: Command,
) -> None:
    said = ("--program", "brewbar", "--customer", "ana@example.com", "--text", "Your order is ready")
    sent = sqlite_command("push", "send", *said, "--kind", "service", "--url", "https://example.com/order")
    assert sent.exit_code == 0, sent.output
    message_id, status = sent.output.split()[:2]
    assert "Pass has not been added to the wallet" in sent.output
    assert status == "notDelivered:"
    assert sqlite_command("push", "show", "--program", "brewbar", message_id).output == sent.output
    for wrong, words in (
        (("--customer", "nobody@example.com", "--text", "x"), "no such customer"),
        (("--customer", "ana@example.com", "--text", " "), "1 to 240"),
        (("--customer", "ana@example.com", "--text", "x", "--url", "javascript:alert(1)"), "https://"),
    ):
        refused = sqlite_command("push", "send", "--program", "brewbar", *wrong)
        assert refused.exit_code == 1
        assert words in refused.output
    assert (
        sqlite_command(
            "push", "show", "--program", "brewbar", "0199a1b2-5e6f-7071-8b8c-9d0e1f2a3b4c"
        ).exit_code
        == 1
    )
