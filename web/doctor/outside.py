"""What Pasito talks to: mail and SMS, the two wallets, the store of limits."""

import asyncio
import ssl
from urllib.parse import urlsplit

import httpx
import msgspec

from web.app import sms_provider, smtp_server
from web.foundation.finding import Finding
from web.foundation.limits import Limits
from web.messages.mail_check import check_smtp
from web.settings import Settings
from web.wallet.apple import development as apple_development
from web.wallet.apple.certificates import P12_SUFFIXES
from web.wallet.apple.push import Outcome
from web.wallet.checks import check_apple, check_google
from web.wallet.google.account import AccountError, load_account
from web.wallet.google.callback_keys import KeysUnavailableError, RootKeys
from web.wallet.google.client import (
    ForbiddenError,
    GoogleClient,
    GoogleError,
    NotFoundError,
    UnauthorizedError,
)
from web.wallets import apple_certificates, google_account, open_pusher

NOBODYS_TOKEN = "0" * 64
# Whoever asks the doctor is waiting; what takes longer than this is broken for a worker, too.
LONGEST_WAIT = 8.0


async def look_outside(settings: Settings) -> list[Finding]:
    """All of it at once, since each may take its whole time limit."""
    found = await asyncio.gather(
        _mail(settings), _sms(settings), _apple(settings), _google(settings), _limits(settings)
    )
    return [finding for findings in found for finding in findings]


async def _mail(settings: Settings) -> list[Finding]:
    if settings.mail_is_kept():
        return [Finding("ok", f"Mails are kept in the mailbox: {settings.base_url}/dev/mailbox")]
    server = msgspec.structs.replace(smtp_server(settings), timeout=min(settings.smtp_timeout, LONGEST_WAIT))
    return await check_smtp(server, settings.mail_from)


async def _sms(settings: Settings) -> list[Finding]:
    if settings.sms_is_kept():
        return [Finding("ok", "Text messages are kept in the mailbox.")]
    if not settings.sms_url:
        return [
            Finding(
                "note",
                "No SMS provider is set: customers without an e-mail address get no links.",
                "Set PASITO_SMS_URL and PASITO_SMS_BODY if a programme asks for phone numbers.",
            )
        ]
    try:
        sms_provider(settings)
    except ValueError as error:
        return [Finding("wrong", f"PASITO_SMS_BODY cannot be used: {error}.", "Correct it.")]
    parts = urlsplit(settings.sms_url)
    secure = parts.scheme == "https"
    where = f"{parts.hostname}:{parts.port or (443 if secure else 80)}"
    try:
        async with asyncio.timeout(LONGEST_WAIT):
            _, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or (443 if secure else 80),
                ssl=ssl.create_default_context() if secure else None,
            )
            writer.close()
    except (OSError, TimeoutError) as error:
        return [
            Finding(
                "wrong",
                f"The SMS provider at {where} cannot be reached ({type(error).__name__}).",
                "Check PASITO_SMS_URL and this machine's way out.",
            )
        ]
    return [
        Finding("ok", f"The SMS provider at {where} can be reached. Whether it knows us shows when it sends.")
    ]


async def _apple(settings: Settings) -> list[Finding]:
    certificate, key = settings.apple_certificate, settings.apple_key
    intermediate = settings.apple_intermediate
    if not (certificate or key or intermediate):
        if not settings.development:
            return [_no_wallet("Apple Wallet", "PASITO_APPLE_CERTIFICATE, …_KEY and …_INTERMEDIATE")]
        apple_certificates(settings)  # makes them where they are missing
        folder = settings.data_dir / "signing"
        certificate, key = folder / apple_development.CERTIFICATE, folder / apple_development.KEY
        intermediate = folder / apple_development.INTERMEDIATE
    if certificate is None or intermediate is None or not (key or certificate.suffix in P12_SUFFIXES):
        return [
            Finding(
                "wrong",
                "Apple Wallet is set up in part: no card is offered.",
                "Set PASITO_APPLE_CERTIFICATE, PASITO_APPLE_KEY and PASITO_APPLE_INTERMEDIATE; a .p12 needs no key.",
            )
        ]
    findings = check_apple(
        certificate=certificate,
        key=key,
        intermediate=intermediate,
        password=settings.apple_key_password or None,
        pass_type_id=settings.apple_pass_type,
        team_id=settings.apple_team,
        base_url=settings.base_url,
    )
    if any(finding.level == "wrong" for finding in findings):
        return findings
    return [*findings, *await _apple_takes_our_pushes(settings)]


async def _apple_takes_our_pushes(settings: Settings) -> list[Finding]:
    """Push to a phone that there is not: Apple looks at the certificate first, and at the token then."""
    pusher = open_pusher(settings)
    if pusher is None:
        return []
    try:
        async with asyncio.timeout(LONGEST_WAIT):
            [outcome] = await pusher.push([NOBODYS_TOKEN])
    except TimeoutError:
        outcome = Outcome(verdict="later", reason=f"no answer within {LONGEST_WAIT:.0f} seconds")
    finally:
        await pusher.close()
    if outcome.verdict == "later":
        return [
            Finding(
                "wrong",
                f"Phones cannot be told of changes, for Apple's push service was not to be had: {outcome.reason}.",
                f"Check this machine's way out to {settings.apns_url}, and try again.",
            )
        ]
    if outcome.verdict == "refused":
        return [
            Finding(
                "wrong",
                f"Apple refuses to tell phones of changes: {outcome.reason}.",
                "Check that the certificate was not revoked and that it is the one of the pass type.",
            )
        ]
    return [Finding("ok", "Apple takes our pushes: phones hear of changes.")]


async def _google(settings: Settings) -> list[Finding]:
    file = settings.google_credentials
    if file is None:
        if not settings.development:
            return [_no_wallet("Google Wallet", "PASITO_GOOGLE_CREDENTIALS and PASITO_GOOGLE_ISSUER")]
        google_account(settings)  # makes it where it is missing
        file = settings.data_dir / "signing" / "google-service-account.json"
        return check_google(account_file=file, issuer_id=settings.google_issuer, base_url=settings.base_url)
    findings = check_google(account_file=file, issuer_id=settings.google_issuer, base_url=settings.base_url)
    if any(finding.level == "wrong" for finding in findings):
        return findings
    return [*findings, await _google_knows_us(settings), await _google_tells_us(settings)]


async def _google_knows_us(settings: Settings) -> Finding:
    """Ask for a class that nobody has: the answer "not found" is given to a user of this issuer alone."""
    assert settings.google_credentials is not None
    try:
        async with httpx.AsyncClient(timeout=LONGEST_WAIT) as http:
            client = GoogleClient(
                http,
                load_account(settings.google_credentials),
                api_url=settings.google_api_url,
                token_url=settings.google_token_url,
            )
            await client.get("loyaltyClass", f"{settings.google_issuer}.pasito-doctor")
    except NotFoundError:
        pass
    except UnauthorizedError:
        return Finding(
            "wrong",
            "Google does not know the service account or its key.",
            "Make a new JSON key in the Google Cloud console, IAM, Service accounts.",
        )
    except ForbiddenError:
        return Finding(
            "wrong",
            f"Google does not let the service account make cards for the issuer {settings.google_issuer}.",
            "Enable the Google Wallet API, and add the account as a user in the Google Pay & Wallet console.",
        )
    except (GoogleError, AccountError) as error:
        return Finding(
            "wrong",
            f"Google Wallet cannot be asked ({type(error).__name__}).",
            "Check this machine's way out to Google, and try again.",
        )
    return Finding(
        "ok", f"Google lets the service account make cards for the issuer {settings.google_issuer}."
    )


async def _google_tells_us(settings: Settings) -> Finding:
    """Whether we shall hear of saved and removed cards, and can believe it."""
    if not settings.https:
        return Finding(
            "note",
            f"Google will not tell which cards are installed: it calls https addresses only, not {settings.base_url}.",
            "Serve the app over https; for development this can stay as it is.",
        )
    try:
        async with httpx.AsyncClient() as http:
            await RootKeys(http, settings.google_keys_url).now()
    except KeysUnavailableError:
        return Finding(
            "wrong",
            "The keys with which Google signs what it tells of installed cards cannot be fetched.",
            f"Check PASITO_GOOGLE_KEYS_URL ({settings.google_keys_url}) and this machine's way out.",
        )
    return Finding("ok", "What Google tells of saved and removed cards can be believed: its keys are there.")


def _no_wallet(name: str, variables: str) -> Finding:
    return Finding(
        "note", f"{name} is not set up, so its button is left out.", f"Set {variables}: see README.md."
    )


async def _limits(settings: Settings) -> list[Finding]:
    if not settings.limits_url:
        return [
            Finding(
                "ok",
                "Limits are counted in each web process by itself; several need PASITO_LIMITS_URL to count together.",
            )
        ]
    where = urlsplit(settings.limits_url).hostname
    if await Limits(settings.limits_url).are_counted(LONGEST_WAIT):
        return [Finding("ok", f"Limits are counted at {where}.")]
    return [
        Finding(
            "wrong",
            f"The store of limits at {where} does not answer, so nothing is limited.",
            "Start it, or correct PASITO_LIMITS_URL.",
        )
    ]
