"""The doctor, on things that are really broken: it names each, says what to do, and finds nothing else wrong."""

import asyncio
import json
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID
from sqlalchemy import delete, insert, text, update

from tests.conftest import SECRET, Fresh
from tests.support.apns import BAD_CERTIFICATE, BAD_DEVICE_TOKEN, ApnsServer, apns_server
from tests.support.google import Google
from tests.support.ports import free_port
from tests.support.postgres import PostgresServer
from tests.support.rows import in_database
from tests.support.smtp import smtp_server
from tests.support.valkey import valkey_server
from web.cli import commands
from web.doctor import examine
from web.doctor.outside import NOBODYS_TOKEN
from web.foundation import delivery
from web.foundation.finding import Finding
from web.foundation.schema import new_id, utc_now
from web.foundation.sealing import Sealer
from web.loyalty.clock import note_run
from web.loyalty.event import event
from web.loyalty.ledger_proof import VERIFIED
from web.loyalty.program import change_program, program, program_image, reseal_signing_keys
from web.loyalty.program_settings import Brand, ProgramSettings, Texts
from web.settings import load_settings

KEYS = "k" * 40


class Patient:
    """An installation in development that nothing is wrong with; a test changes its settings by their names."""

    def __init__(self, data_dir: Path, database_url: str) -> None:
        self.url = database_url
        self.environment = {"PASITO_DATA_DIR": str(data_dir), "DATABASE_URL": database_url}

    async def examine(self, **settings: str) -> list[Finding]:
        return await examine(load_settings({**self.environment, **settings}))

    async def examine_production(self, **settings: str) -> list[Finding]:
        """In production, on the given settings, where the test's own programme is kept out of the way."""
        production = {
            "PASITO_ENVIRONMENT": "production",
            "PASITO_BASE_URL": "https://cards.example.com",
            "PASITO_SECRET_KEYS": KEYS,
            "PASITO_SMTP_HOST": "127.0.0.1",
            "PASITO_SMTP_PORT": str(free_port()),
            "PASITO_MAIL_FROM": "cards@example.com",
            "PASITO_TRUSTED_PROXIES": "127.0.0.1/32",
        }
        return await self.examine(**production | settings)


@pytest.fixture
def patient(data_dir: Path, database_url: str) -> Patient:
    return Patient(data_dir, database_url)


@pytest.fixture
def sqlite_patient(data_dir: Path, fresh_database: Fresh) -> Patient:
    return Patient(data_dir, fresh_database("sqlite"))


@pytest.fixture
def postgres_patient(data_dir: Path, fresh_database: Fresh) -> Patient:
    return Patient(data_dir, fresh_database("postgresql"))


def wrong(findings: list[Finding]) -> list[str]:
    found = [finding for finding in findings if finding.level == "wrong"]
    assert all(finding.do for finding in found), "what is wrong comes with what to do"
    return [finding.what for finding in found]


def only_wrong(findings: list[Finding]) -> str:
    [what] = wrong(findings)
    return what


def said(findings: list[Finding], level: str, words: str) -> bool:
    return any(finding.level == level and words in finding.what for finding in findings)


# ---- A sound one


async def test_nothing_is_wrong_with_a_demo(patient: Patient) -> None:
    findings = await patient.examine()
    assert wrong(findings) == []
    for words in ("The schema is current", "brewbar: complete in en, es, ar", "htmx", "Mails are kept"):
        assert said(findings, "ok", words), words


def test_the_command_tells_by_its_exit_code(sqlite_patient: Patient, tmp_path: Path) -> None:
    well = CliRunner().invoke(commands, ["doctor"], env=sqlite_patient.environment)
    assert well.exit_code == 0, well.output
    assert "ok     The schema is current" in well.stdout
    ill = CliRunner().invoke(
        commands, ["doctor"], env={**sqlite_patient.environment, "DATABASE_URL": f"sqlite:///{tmp_path}/x.db"}
    )
    assert ill.exit_code == 1
    assert "WRONG  There is no database" in ill.stdout
    assert "       Run: python -m web migrate" in ill.stdout


def test_the_findings_can_be_read_by_a_program(sqlite_patient: Patient) -> None:
    result = CliRunner().invoke(commands, ["doctor", "--json"], env=sqlite_patient.environment)
    findings = msgspec.json.decode(result.stdout, type=list[Finding])
    assert {finding.level for finding in findings} <= {"ok", "note"}
    assert findings


# ---- The machine


async def test_a_data_folder_that_cannot_be_written(sqlite_patient: Patient) -> None:
    findings = await sqlite_patient.examine_production(PASITO_DATA_DIR="/dev/null/data")
    assert any("The data folder /dev/null/data cannot be written" in what for what in wrong(findings))


async def test_development_on_a_public_address_shows_everybody_the_mailbox(sqlite_patient: Patient) -> None:
    findings = await sqlite_patient.examine(PASITO_BASE_URL="https://cards.example.com")
    assert any("/dev/mailbox" in what for what in wrong(findings))


async def test_a_proxy_that_is_not_trusted(sqlite_patient: Patient) -> None:
    assert any(
        "No proxy is trusted" in what
        for what in wrong(await sqlite_patient.examine_production(PASITO_TRUSTED_PROXIES=""))
    )
    assert not any("proxy" in what for what in wrong(await sqlite_patient.examine_production()))


async def test_a_badge_folder_without_badges(sqlite_patient: Patient, tmp_path: Path) -> None:
    (tmp_path / "apple").mkdir()
    (tmp_path / "apple" / "en.svg").write_text("<svg/>")
    findings = await sqlite_patient.examine(PASITO_WALLET_BADGES_DIR=str(tmp_path))
    assert only_wrong(findings).endswith(f"there is no {tmp_path}/google/en.svg.")


# ---- The database


async def test_a_database_server_that_is_not_there(sqlite_patient: Patient) -> None:
    url = f"postgresql://pasito:hunter2@127.0.0.1:{free_port()}/pasito"
    findings = await sqlite_patient.examine(DATABASE_URL=url)
    assert "The database cannot be reached" in only_wrong(findings)
    assert "hunter2" not in str(findings)


async def test_a_database_server_that_is_silent(
    sqlite_patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.doctor.database.LONGEST_WAIT", 0.3)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"postgresql://pasito@127.0.0.1:{silent.getsockname()[1]}/pasito"
        async with asyncio.timeout(5):
            findings = await sqlite_patient.examine(DATABASE_URL=url)
    assert "The database cannot be reached" in only_wrong(findings)


async def test_a_database_of_another_name(sqlite_patient: Patient, postgres: PostgresServer) -> None:
    findings = await sqlite_patient.examine(DATABASE_URL=postgres.url("nothing"))
    assert "no database of that name" in only_wrong(findings)


async def test_a_database_that_was_never_migrated(sqlite_patient: Patient, postgres: PostgresServer) -> None:
    findings = await sqlite_patient.examine(DATABASE_URL=postgres.url())
    assert "The database's schema is at None" in only_wrong(findings)


async def test_no_file_is_made_by_looking_for_it(sqlite_patient: Patient, tmp_path: Path) -> None:
    file = tmp_path / "missing.db"
    assert str(file) in only_wrong(await sqlite_patient.examine(DATABASE_URL=f"sqlite:///{file}"))
    assert not file.exists()


async def test_a_schema_that_is_behind(patient: Patient) -> None:
    in_database(
        patient.url, lambda conn: conn.execute(text("update alembic_version set version_num = '0000'"))
    )
    assert "schema is at 0000" in only_wrong(await patient.examine())


async def test_clocks_that_disagree(postgres_patient: Patient) -> None:
    """The database's clock is put an hour on, by a function that stands before the real one."""

    def work(conn: Any) -> None:
        conn.execute(
            text(
                "create function public.clock_timestamp() returns timestamptz language sql as "
                "$$ select pg_catalog.clock_timestamp() + interval '1 hour' $$"
            )
        )
        name = conn.scalar(text("select current_database()"))
        conn.execute(text(f'alter database "{name}" set search_path = public, pg_catalog'))

    assert said(await postgres_patient.examine(), "ok", "clocks of this machine and of the database agree")
    in_database(postgres_patient.url, work)
    assert "are 3600 seconds apart" in only_wrong(await postgres_patient.examine())


async def test_a_production_database_that_forgets_at_a_power_cut(postgres_patient: Patient) -> None:
    findings = await postgres_patient.examine_production()
    assert any("a power cut loses registrations" in what for what in wrong(findings))


# ---- What waits


def program_id(conn: Any) -> str:
    return str(conn.scalar(program.select().with_only_columns(program.c.id)))


@pytest.mark.parametrize("waits", ["event", "delivery"])
async def test_nobody_makes_deliveries(patient: Patient, waits: str) -> None:
    then = utc_now() - timedelta(minutes=10)

    def work(conn: Any) -> None:
        if waits == "event":
            row = {"program_id": program_id(conn), "id": new_id(), "name": "Customer created", "at": then}
            conn.execute(insert(event).values(**row, version=1, properties={}))
        else:
            delivery.enqueue(conn, program_id(conn), "confirmation", "lane", {})
            conn.execute(update(delivery.delivery).values(due_at=then, created_at=then))

    in_database(patient.url, work)
    findings = await patient.examine()
    assert "Nobody makes deliveries" in only_wrong(findings)


async def test_what_is_tried_again_later_and_what_was_put_aside_is_noted(patient: Patient) -> None:
    then, later = utc_now() - timedelta(hours=3), utc_now() + timedelta(hours=3)

    def work(conn: Any) -> None:
        for lane in ("a", "b"):
            delivery.enqueue(conn, program_id(conn), "confirmation", lane, {})
        rows = delivery.delivery
        conn.execute(update(rows).values(created_at=then, due_at=later, tries=5))
        conn.execute(update(rows).where(rows.c.lane == "b").values(state=delivery.DEAD))

    in_database(patient.url, work)
    findings = await patient.examine()
    assert wrong(findings) == []
    assert said(findings, "note", "1 deliveries wait, the oldest since")
    assert said(findings, "note", "1 deliveries were put aside")


# ---- Programmes


def change(patient: Patient, **changes: Any) -> None:
    def work(conn: Any) -> None:
        settings = msgspec.convert(
            conn.scalar(program.select().with_only_columns(program.c.settings)), ProgramSettings, strict=False
        )
        change_program(conn, "brewbar", msgspec.structs.replace(settings, **changes))

    in_database(patient.url, work)


async def test_texts_that_a_language_lacks_are_listed(sqlite_patient: Patient) -> None:
    change(
        sqlite_patient,
        languages=("en", "fr"),
        texts={"en": Texts(tagline="Hello", gain="A coffee"), "fr": Texts(gain="Un café")},
        consents=(),
    )
    [note] = [finding.what for finding in await sqlite_patient.examine() if "has no fr for" in finding.what]
    assert "texts.tagline" in note
    assert "texts.gain," not in note
    assert "fields.birthday.label" in note
    assert "fields.favourite.options.tea" in note
    assert "the reward 'Free coffee'" in note
    assert "the tier 'Regular'" in note
    assert said(await sqlite_patient.examine(), "note", "the pages' own words are not translated into it")


async def test_a_programme_without_a_logo_and_with_a_pale_colour(sqlite_patient: Patient) -> None:
    change(sqlite_patient, brand=Brand(colour="#ffe066"))
    in_database(sqlite_patient.url, lambda conn: conn.execute(delete(program_image)))
    findings = await sqlite_patient.examine()
    assert wrong(findings) == []
    assert said(findings, "note", "brewbar: has no logo")
    assert said(findings, "note", "its colour #ffe066 has a contrast of 1.")


async def test_phone_numbers_without_an_sms_provider(patient: Patient) -> None:
    findings = await patient.examine_production(PASITO_SECRET_KEYS=KEYS)
    assert any("none of PASITO_SECRET_KEYS opens its signing keys" in what for what in wrong(findings))
    in_database(patient.url, reseal)
    findings = await patient.examine_production()
    assert any("asks for phone numbers, but no SMS provider" in what for what in wrong(findings))
    change(patient, asks="email")
    findings = await patient.examine_production()
    assert not any("brewbar" in what for what in wrong(findings))


def reseal(conn: Any) -> None:
    """Seal the programme's keys as production would have."""
    reseal_signing_keys(conn, Sealer((KEYS, SECRET)))


async def test_an_installation_without_programmes_is_told_how_to_make_one(
    sqlite_patient: Patient, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    made = CliRunner().invoke(commands, ["migrate"], env={**sqlite_patient.environment, "DATABASE_URL": url})
    assert made.exit_code == 0
    assert said(await sqlite_patient.examine(DATABASE_URL=url), "note", "There is no programme yet")


# ---- Mail, SMS, limits


async def test_a_mail_server_that_refuses_the_login(sqlite_patient: Patient) -> None:
    with smtp_server(login=("pasito", "right")) as smtp:
        settings = {
            "PASITO_SMTP_HOST": smtp.host,
            "PASITO_SMTP_PORT": str(smtp.port),
            "PASITO_SMTP_SECURITY": "none",
            "PASITO_SMTP_USERNAME": "pasito",
        }
        findings = await sqlite_patient.examine(**settings, PASITO_SMTP_PASSWORD="left")
        assert "refused the login (535)" in only_wrong(findings)
        findings = await sqlite_patient.examine(**settings, PASITO_SMTP_PASSWORD="right")
        assert wrong(findings) == []
        assert smtp.mails == []


async def test_a_mail_server_that_is_not_there(sqlite_patient: Patient) -> None:
    port = str(free_port())
    findings = await sqlite_patient.examine(PASITO_SMTP_HOST="127.0.0.1", PASITO_SMTP_PORT=port)
    assert only_wrong(findings) == f"Nothing listens at 127.0.0.1:{port}."


async def test_an_sms_provider_is_reached_without_sending(sqlite_patient: Patient) -> None:
    arrived: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/send"
    body = '{"to": "{to}", "text": "{text}"}'
    assert wrong(await sqlite_patient.examine(PASITO_SMS_URL=url, PASITO_SMS_BODY=body)) == []
    server.close()
    await asyncio.sleep(0.05)
    assert arrived == [b""]
    findings = await sqlite_patient.examine(PASITO_SMS_URL=url, PASITO_SMS_BODY=body)
    assert "SMS provider" in only_wrong(findings)
    findings = await sqlite_patient.examine(PASITO_SMS_URL=url, PASITO_SMS_BODY='{"to": "{to}", "{txt}": ""}')
    assert "PASITO_SMS_BODY cannot be used" in only_wrong(findings)


async def test_the_store_of_limits(sqlite_patient: Patient) -> None:
    with valkey_server() as url:
        findings = await sqlite_patient.examine(PASITO_LIMITS_URL=url)
        assert wrong(findings) == []
        assert said(findings, "ok", "Limits are counted at 127.0.0.1")
    findings = await sqlite_patient.examine(PASITO_LIMITS_URL=url)
    assert "nothing is limited" in only_wrong(findings)


# ---- The wallets


@pytest.fixture(scope="module")
def authority() -> tuple[x509.Name, rsa.RSAPrivateKey]:
    """The name and the key of a certificate authority."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Worldwide Relations")])
    return name, rsa.generate_private_key(public_exponent=65537, key_size=2048)


class AppleFiles:
    """A pass certificate for `pass.com.example.card` of team EXAMPLE123, as files and as settings."""

    def __init__(
        self, folder: Path, authority: tuple[x509.Name, rsa.RSAPrivateKey], push_url: str = ""
    ) -> None:
        self.folder = folder
        self.push_url = push_url
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._authority, self._authority_key = authority
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.USER_ID, "pass.com.example.card"),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "EXAMPLE123"),
            ]
        )
        self._subject = subject
        self.write_key(self.key)
        issuer = self._signed(self._authority, self._authority_key, -1000, 1000)
        (folder / "intermediate.pem").write_bytes(issuer.public_bytes(Encoding.PEM))
        self.issue(-100, 200)

    def write_key(self, key: rsa.RSAPrivateKey) -> None:
        file = self.folder / "pass.key"
        file.touch(0o600)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def issue(self, begins: int, ends: int) -> x509.Certificate:
        """Write a certificate that is valid from so many days on until so many days on."""
        issued = self._signed(self._subject, self.key, begins, ends)
        (self.folder / "pass.pem").write_bytes(issued.public_bytes(Encoding.PEM))
        return issued

    def _signed(self, subject: x509.Name, key: rsa.RSAPrivateKey, begins: int, ends: int) -> x509.Certificate:
        now = datetime.now(UTC)
        constraints = x509.BasicConstraints(ca=subject == self._authority, path_length=None)
        return (
            x509.CertificateBuilder(self._authority, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begins))
            .not_valid_after(now + timedelta(days=ends))
            .add_extension(constraints, critical=True)
            .sign(self._authority_key, hashes.SHA256())
        )

    @property
    def settings(self) -> dict[str, str]:
        return {
            "PASITO_BASE_URL": "https://localhost",
            "PASITO_APPLE_CERTIFICATE": str(self.folder / "pass.pem"),
            "PASITO_APPLE_KEY": str(self.folder / "pass.key"),
            "PASITO_APPLE_INTERMEDIATE": str(self.folder / "intermediate.pem"),
            "PASITO_APPLE_PASS_TYPE": "pass.com.example.card",
            "PASITO_APPLE_TEAM": "EXAMPLE123",
            "PASITO_APNS_URL": self.push_url,
        }


@pytest.fixture(scope="module")
def push_service(
    tmp_path_factory: pytest.TempPathFactory, authority: tuple[x509.Name, rsa.RSAPrivateKey]
) -> Iterator[ApnsServer]:
    folder = tmp_path_factory.mktemp("apple")
    AppleFiles(folder, authority)
    with apns_server("pass.com.example.card", folder / "intermediate.pem") as service:
        yield service


@pytest.fixture
def apple(
    tmp_path: Path,
    authority: tuple[x509.Name, rsa.RSAPrivateKey],
    push_service: ApnsServer,
    monkeypatch: pytest.MonkeyPatch,
) -> AppleFiles:
    monkeypatch.setenv("SSL_CERT_FILE", str(push_service.authority))
    push_service.forget()
    return AppleFiles(tmp_path, authority, push_service.url)


async def test_a_sound_pass_certificate(sqlite_patient: Patient, apple: AppleFiles) -> None:
    findings = await sqlite_patient.examine(**apple.settings)
    assert wrong(findings) == []
    assert said(findings, "ok", "Apple Wallet signs pass.com.example.card for team EXAMPLE123 until")


async def test_apple_is_asked_whether_it_takes_our_pushes(
    sqlite_patient: Patient, apple: AppleFiles, push_service: ApnsServer
) -> None:
    push_service.always(NOBODYS_TOKEN, BAD_DEVICE_TOKEN)
    findings = await sqlite_patient.examine(**apple.settings)
    assert wrong(findings) == []
    assert said(findings, "ok", "Apple takes our pushes")
    push_service.always(NOBODYS_TOKEN, BAD_CERTIFICATE)
    assert "Apple refuses to tell phones" in only_wrong(await sqlite_patient.examine(**apple.settings))
    nowhere = apple.settings | {"PASITO_APNS_URL": f"https://127.0.0.1:{free_port()}"}
    assert "was not to be had: the connection was refused" in only_wrong(
        await sqlite_patient.examine(**nowhere)
    )


@pytest.mark.parametrize(
    ("begins", "ends", "level", "words"),
    [
        (-400, -1, "wrong", "The pass certificate expired on"),
        (1, 400, "wrong", "The pass certificate is only valid from"),
        (-300, 29, "note", "The pass certificate expires on"),
    ],
)
async def test_a_pass_certificate_out_of_its_time(
    sqlite_patient: Patient, apple: AppleFiles, begins: int, ends: int, level: str, words: str
) -> None:
    apple.issue(begins, ends)
    findings = await sqlite_patient.examine(**apple.settings)
    assert said(findings, level, words)
    assert len(wrong(findings)) == (level == "wrong")


async def test_a_key_of_another_certificate(sqlite_patient: Patient, apple: AppleFiles) -> None:
    apple.write_key(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    findings = await sqlite_patient.examine(**apple.settings)
    assert "The private key does not belong" in only_wrong(findings)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PASITO_APPLE_TEAM", "ANOTHER999"), ("PASITO_APPLE_PASS_TYPE", "pass.com.example.other")],
)
async def test_a_certificate_for_something_else(
    sqlite_patient: Patient, apple: AppleFiles, variable: str, value: str
) -> None:
    assert repr(value) in only_wrong(await sqlite_patient.examine(**apple.settings | {variable: value}))


async def test_apple_set_up_in_part(sqlite_patient: Patient, apple: AppleFiles) -> None:
    for variable in ("PASITO_APPLE_CERTIFICATE", "PASITO_APPLE_KEY", "PASITO_APPLE_INTERMEDIATE"):
        findings = await sqlite_patient.examine(**apple.settings | {variable: ""})
        assert "set up in part" in only_wrong(findings), variable


async def test_a_p12_needs_no_key_of_its_own(sqlite_patient: Patient, apple: AppleFiles) -> None:
    bundle = apple.folder / "pass.p12"
    bundle.touch(0o600)
    bundle.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"card", apple.key, apple.issue(-1, 99), None, BestAvailableEncryption(b"right")
        )
    )
    settings = apple.settings | {"PASITO_APPLE_CERTIFICATE": str(bundle), "PASITO_APPLE_KEY": ""}
    assert wrong(await sqlite_patient.examine(**settings, PASITO_APPLE_KEY_PASSWORD="right")) == []
    findings = await sqlite_patient.examine(**settings, PASITO_APPLE_KEY_PASSWORD="left")
    assert "cannot be opened with this password" in only_wrong(findings)
    assert "left" not in str(findings)


async def test_wallets_that_are_not_set_up_in_production(sqlite_patient: Patient) -> None:
    findings = await sqlite_patient.examine_production()
    assert said(findings, "note", "Apple Wallet is not set up")
    assert said(findings, "note", "Google Wallet is not set up")


async def test_google_is_asked_whether_it_knows_the_account(
    sqlite_patient: Patient, google: Google, tmp_path: Path
) -> None:
    file = tmp_path / "google.json"
    shutil.copy(google.account_file, file)
    settings = google.settings | {
        "PASITO_BASE_URL": "https://localhost",
        "PASITO_GOOGLE_CREDENTIALS": str(file),
    }
    findings = await sqlite_patient.examine(**settings)
    assert wrong(findings) == []
    assert said(findings, "ok", "Google lets the service account make cards")
    assert said(findings, "ok", "can be believed")
    in_the_open = await sqlite_patient.examine(**settings | {"PASITO_BASE_URL": "http://localhost:8000"})
    assert said(in_the_open, "note", "Google will not tell which cards are installed")
    keyless = {"PASITO_GOOGLE_KEYS_URL": f"{google.origin}/nothing"}
    assert "cannot be fetched" in only_wrong(await sqlite_patient.examine(**settings | keyless))
    google.fail_next(403)
    assert "does not let the service account" in only_wrong(await sqlite_patient.examine(**settings))
    google.accounts = {}
    assert "does not know the service account" in only_wrong(await sqlite_patient.examine(**settings))
    assert google.held["loyaltyClass"] == {}
    nowhere = {"PASITO_GOOGLE_API_URL": "http://127.0.0.1:9", "PASITO_GOOGLE_TOKEN_URL": "http://127.0.0.1:9"}
    assert "cannot be asked" in only_wrong(await sqlite_patient.examine(**settings | nowhere))
    file.write_text(json.dumps({"type": "authorized_user"}))
    assert "not the key file" in only_wrong(await sqlite_patient.examine(**settings))


async def test_the_ledger_is_proven_and_somebody_looks_at_the_clock(patient: Patient) -> None:
    assert said(await patient.examine(), "note", "The ledger was never proven")
    in_database(patient.url, lambda conn: note_run(conn, VERIFIED, 1, 0, utc_now()))
    assert said(await patient.examine(), "ok", "The ledger was proven on")
    in_database(patient.url, lambda conn: note_run(conn, VERIFIED, 1, 2, utc_now()))
    assert "found 2 faults" in only_wrong(await patient.examine())
    in_database(patient.url, lambda conn: note_run(conn, VERIFIED, 1, 0, utc_now()))
    in_database(patient.url, lambda conn: note_run(conn, "expire points", 0, 3, utc_now()))
    assert said(await patient.examine(), "note", "3 failed the last time that 'expire points' was done")
    long_ago = utc_now() - timedelta(hours=1)
    in_database(patient.url, lambda conn: note_run(conn, "expire points", 0, 0, long_ago))
    assert "Nobody does what becomes due" in only_wrong(await patient.examine())
