"""The two wallets, opened with the certificates and keys that the settings name."""

from web.settings import Settings
from web.wallet.apple.certificates import P12_SUFFIXES, Certificates, load_p12, load_pem
from web.wallet.apple.development import development_certificates, is_development
from web.wallet.apple.push import APPLE_URL, ApplePusher, Pusher
from web.wallet.apple.wallet import AppleWallet
from web.wallet.google.account import ServiceAccount, load_account
from web.wallet.google.development import development_account
from web.wallet.google.wallet import GoogleWallet


def open_apple(settings: Settings) -> AppleWallet | None:
    """Apple Wallet, or None in production without certificates: its button is then left out.

    Raises: CertificateError, with the file and what is wrong with it.
    """
    certificates = apple_certificates(settings)
    if certificates is None:
        return None
    # Phones refuse a pass whose update service is not https.
    service = f"{settings.base_url}/passkit" if settings.https else None
    return AppleWallet(certificates, web_service_url=service)


def open_pusher(settings: Settings) -> Pusher | None:
    """What tells phones of changes; None where there is no certificate that Apple could know.

    Raises: CertificateError, with the file and what is wrong with it.
    """
    certificates = apple_certificates(settings)
    if certificates is None:
        return None
    if is_development(certificates.certificate) and settings.apns_url == APPLE_URL:
        return None
    return ApplePusher(certificates, settings.apns_url)


def open_google(settings: Settings) -> GoogleWallet | None:
    """Google Wallet, or None in production without a service account.

    Raises: AccountError, with the file and what is wrong with it.
    """
    account = google_account(settings)
    if account is None:
        return None
    return GoogleWallet(
        account,
        settings.google_issuer,
        origins=(settings.origin,),
        callback_url=f"{settings.base_url}/webhooks/google-wallet",
    )


def apple_certificates(settings: Settings) -> Certificates | None:
    certificate, intermediate = settings.apple_certificate, settings.apple_intermediate
    password = settings.apple_key_password or None
    if certificate and settings.apple_key and intermediate:
        return load_pem(certificate, settings.apple_key, intermediate, password)
    if certificate and certificate.suffix in P12_SUFFIXES and intermediate:
        return load_p12(certificate, intermediate, password)
    if not settings.development:
        return None
    return development_certificates(
        settings.data_dir / "signing", pass_type_id=settings.apple_pass_type, team_id=settings.apple_team
    )


def google_account(settings: Settings) -> ServiceAccount | None:
    if settings.google_credentials:
        return load_account(settings.google_credentials)
    if not settings.development:
        return None
    return development_account(settings.data_dir / "signing" / "google-service-account.json")
