"""The one place where everything is wired together."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import structlog
from litestar import Litestar, Request, Response, asgi
from litestar.types import ASGIApp, Receive, Scope, Send

from web.api import ROUTES, problems
from web.demo import phone_page
from web.demo.handset import Handset
from web.demo.phone import through
from web.foundation.assets import Assets
from web.foundation.database import Database, DatabaseUnreachable, open_database
from web.foundation.languages import Catalogues
from web.foundation.limits import GOOGLE_WALLET, Limits
from web.foundation.logs import configure_logs
from web.foundation.metrics import Metrics
from web.foundation.outgoing import Outgoing
from web.foundation.pace import Pace
from web.foundation.rendering import Renderer
from web.foundation.sealing import Sealer
from web.foundation.shell import Shell
from web.integrations.webhooks import envelope
from web.integrations.webhooks.courier import Courier
from web.loyalty import consequence
from web.loyalty.card_design import APPLE_CARDS, DESIGN_ROLLOUT
from web.loyalty.card_message import GOOGLE_MESSAGE
from web.loyalty.chores import chores
from web.loyalty.clock import Clock
from web.loyalty.consequence import CONSEQUENCE, Consequences
from web.loyalty.fetches import Fetches
from web.loyalty.programs import Programs
from web.loyalty.wallet_pass import APPLE_CARD, GOOGLE_CARD
from web.messages.card_messages import CardMessages
from web.messages.deliveries import Messenger, follow_up
from web.messages.mail import SmtpSender, SmtpServer
from web.messages.mailbox import MailboxSender
from web.messages.mailbox_store import keep_message
from web.messages.sending import NoSender, Sender
from web.messages.sms import HttpSmsSender, SmsProvider
from web.migrations import head_revision
from web.pages import PAGES, dev_mailbox, errors
from web.pages.forms import LONGEST_FORM
from web.pages.site import Site
from web.passkit import PASSKIT
from web.passkit import calls as passkit
from web.settings import Settings, load_settings
from web.wallet.apple.deliveries import MOST_AT_ONCE, AppleCards
from web.wallet.apple.push import Pusher
from web.wallet.design_rollout import AppleBatches, DesignWatch, Rollouts
from web.wallet.designs import Designs
from web.wallet.google.callback_keys import RootKeys
from web.wallet.google.callbacks import GoogleCallbacks
from web.wallet.google.client import GoogleClient
from web.wallet.google.deliveries import GoogleCards
from web.wallet.google.development import is_development
from web.wallet.google.notices import GoogleMessages
from web.wallet.lifecycle import Lifecycle
from web.wallets import google_account, open_apple, open_google, open_pusher
from web.worker import SLOW_DELIVERIES, Worker

log = structlog.get_logger("app")

ROOT = Path(__file__).parent.parent
PROGRAM_POLL_SECONDS = 2.0


def create_app(
    settings: Settings | None = None,
    *,
    connect: Callable[..., Database] = open_database,
    routes: Sequence[Any] = (*PAGES, *ROUTES, *PASSKIT),
) -> ASGIApp:
    """The application for an ASGI server: the shell around Litestar.

    `connect(url, serving=True)` opens the database, inside the event loop that will use it.

    Raises: SettingsError.
    """
    settings = settings or load_settings()
    configure_logs(settings.log_format)
    metrics = Metrics()
    assets = load_assets(settings)
    app = Litestar(
        route_handlers=[
            *routes,
            *((*dev_mailbox.ROUTES, *phone_page.ROUTES) if settings.development else ()),
            asgi("/assets", is_mount=True, copy_scope=False)(assets.asgi),
        ],
        exception_handlers={Exception: answer_error},
        lifespan=[lambda app: _life(app, settings, connect, metrics, assets)],
        openapi_config=None,
        request_max_body_size=LONGEST_FORM,
        logging_config=None,
    )

    async def refuse(status: int, scope: Scope, receive: Receive, send: Send) -> None:
        if problems.is_api(scope["path"]):
            await problems.refuse(settings.base_url, status, scope, receive, send)
        elif passkit.is_passkit(scope["path"]):
            await passkit.refuse(status, scope, receive, send)
        else:
            await errors.refuse(app.state.site, status, scope, receive, send)

    return Shell(
        app,
        refuse,
        metrics,
        origin=settings.origin,
        hosts=settings.hosts,
        trusted_proxies=settings.trusted_proxies,
    )


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """A problem document for programs, a status for phones, a page for people."""
    if passkit.is_passkit(request.scope["path"]):
        return passkit.answer_error(error)
    if problems.is_api(request.scope["path"]):
        return problems.answer_problem(request, error, request.app.state.site.settings.base_url)
    return errors.answer_error(request, error)


def open_handset(settings: Settings, client: httpx.AsyncClient) -> Handset:
    """Development's emulated phone, which asks this very server."""
    data = settings.data_dir
    return Handset(through(client), settings.base_url, data / "phone", data / "signing")


def load_assets(settings: Settings) -> Assets:
    return Assets.load(
        ROOT / "assets", ROOT / "node_modules", settings.data_dir / "assets", settings.wallet_badges_dir
    )


def load_renderer(assets: Assets, *, development: bool) -> Renderer:
    return Renderer(ROOT / "templates", Catalogues.load(ROOT / "locales"), assets, development=development)


@contextlib.asynccontextmanager
async def _life(
    app: Litestar,
    settings: Settings,
    connect: Callable[..., Database],
    metrics: Metrics,
    assets: Assets,
) -> AsyncIterator[None]:
    database = connect(settings.database_url, serving=True)
    renderer = load_renderer(assets, development=settings.development)
    site = make_site(settings, database, renderer, assets, metrics)
    programs = site.programs
    app.state.site = site
    async with httpx.AsyncClient() as client:
        mail, sms = senders(settings, database, client)
        outgoing = make_outgoing(settings)
        site.google_cards = google_cards(site, client)
        site.google_callbacks = google_callbacks(site, client)
        handset = open_handset(settings, client) if settings.development else None
        if handset is not None:
            app.state.handset, site.handed = handset, handset.hand
        pusher: Pusher | None = open_pusher(settings) or handset
        worker = make_worker(site, mail, sms, site.google_cards, outgoing, pusher)
        tasks = [asyncio.create_task(keep_current(site))]
        if settings.worker:
            tasks.append(asyncio.create_task(worker.run()))
        # What is alive now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        try:
            await first_load(programs)
            yield
        finally:
            worker.stop()
            tasks[0].cancel()
            if handset is not None:
                await handset.close()
            # The worker's round under way ends before what it works with is closed.
            await asyncio.gather(*tasks, return_exceptions=True)
            await mail.close()
            await sms.close()
            await outgoing.close()
            await site.fetches.close()
            if pusher is not None:
                await pusher.close()
            await database.close()


def make_site(
    settings: Settings,
    database: Database,
    renderer: Renderer,
    assets: Assets,
    metrics: Metrics | None = None,
) -> Site:
    """The parts of a process, web or worker."""
    sealer = Sealer(settings.secret_keys)
    return Site(
        designs=Designs(database, settings.base_url, renderer.text),
        fetches=Fetches(database),
        settings=settings,
        database=database,
        programs=Programs(database, sealer),
        renderer=renderer,
        assets=assets,
        limits=Limits(settings.limits_url),
        metrics=metrics or Metrics(),
        sealer=sealer,
        apple=open_apple(settings),
        google=open_google(settings),
        head_revision=head_revision(),
    )


def make_outgoing(settings: Settings) -> Outgoing:
    return Outgoing(private=settings.webhook_allow_private)


def make_worker(
    site: Site,
    mail: Sender,
    sms: Sender,
    google: GoogleCards,
    outgoing: Outgoing,
    pusher: Pusher | None,
) -> Worker:
    """The worker of a process, with every vendor's and every channel's part in it."""
    messenger = Messenger(
        database=site.database,
        programs=site.programs,
        renderer=site.renderer,
        sealer=site.sealer,
        mail=mail,
        sms=sms,
        base_url=site.settings.base_url,
        mail_from=site.settings.mail_from,
        reply_to=site.settings.mail_reply_to,
        operator=site.settings.operator_email,
    )
    card_messages = CardMessages(
        database=site.database,
        programs=site.programs,
        renderer=site.renderer,
        base_url=site.settings.base_url,
        google=GoogleMessages(site.database, google),
    )
    lifecycle = Lifecycle(site.database, site.programs)
    return Worker(
        database=site.database,
        programs=site.programs,
        metrics=site.metrics,
        handlers={
            **messenger.handlers(),
            **card_messages.handlers(),
            **Courier(site.database, site.sealer, outgoing).handlers(),
            CONSEQUENCE: Consequences(site.database, site.programs).draw,
            APPLE_CARD: lifecycle.after(AppleCards(site.database, pusher).tell),
            APPLE_CARDS: AppleBatches(site.database, pusher).tell,
            GOOGLE_CARD: lifecycle.after(google.store),
            DESIGN_ROLLOUT: Rollouts(site.database, site.work_to_do, site.settings.rollout_per_second).roll,
        },
        follow_ups=[follow_up, card_messages.follow_up, envelope.follow_up, consequence.follow_up],
        work_to_do=site.work_to_do,
        clock=Clock(site.database, site.programs, site.metrics, chores(site.sealer)),
        slow={
            **dict.fromkeys(
                (envelope.WEBHOOK, APPLE_CARDS, GOOGLE_CARD, GOOGLE_MESSAGE, DESIGN_ROLLOUT), SLOW_DELIVERIES
            ),
            APPLE_CARD: MOST_AT_ONCE,
        },
    )


def google_cards(site: Site, http: httpx.AsyncClient) -> GoogleCards:
    """What tells Google of cards; a development account is unknown there, and so tells nothing."""
    settings = site.settings
    account = google_account(settings)
    client = None
    if account is not None and not is_development(account):
        client = GoogleClient(
            http,
            account,
            api_url=settings.google_api_url,
            token_url=settings.google_token_url,
            pace=Pace(site.limits, GOOGLE_WALLET),
            count=lambda outcome: site.metrics.google.labels(outcome).inc(),
        )
    return GoogleCards(site.database, site.programs, site.google, client, site.designs)


def google_callbacks(site: Site, http: httpx.AsyncClient) -> GoogleCallbacks:
    """What believes Google's word on saved and removed cards."""
    keys = RootKeys(http, site.settings.google_keys_url)
    return GoogleCallbacks(site.database, keys, site.settings.google_issuer)


def senders(settings: Settings, database: Database, client: httpx.AsyncClient) -> tuple[Sender, Sender]:
    """The senders of mail and SMS; in development without a server, the mailbox is both."""
    mailbox = MailboxSender(lambda message: database.write(keep_message, message))
    mail: Sender = mailbox
    if not settings.mail_is_kept():
        mail = SmtpSender(smtp_server(settings))
    sms: Sender = mailbox
    if settings.sms_url:
        sms = HttpSmsSender(sms_provider(settings), client)
    elif not settings.development:
        sms = NoSender("no SMS provider is set: PASITO_SMS_URL")
    return mail, sms


def smtp_server(settings: Settings) -> SmtpServer:
    return SmtpServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username or None,
        password=settings.smtp_password or None,
        security=settings.smtp_security,
        timeout=settings.smtp_timeout,
    )


def sms_provider(settings: Settings) -> SmsProvider:
    return SmsProvider(
        url=settings.sms_url,
        body=settings.sms_body,
        content_type=settings.sms_content_type,
        bearer=settings.sms_bearer or None,
        username=settings.sms_username or None,
        password=settings.sms_password or None,
    )


async def first_load(programs: Programs) -> None:
    """The programmes, before the first request; without a database the process starts and says so."""
    try:
        await programs.refresh()
    except DatabaseUnreachable:
        log.error("the database is away; pages answer 503 until it is back")


async def keep_current(site: Site) -> None:
    """Take over what other processes and commands change, within seconds, and let phones follow it."""
    watch = DesignWatch(site.database, site.programs, site.designs, site.work_to_do)
    while True:
        try:
            await site.programs.refresh()
            await watch.look()
        except DatabaseUnreachable:
            pass
        except Exception as error:  # one programme that cannot be read must not stop all later changes
            log.error("programmes not renewed", kind=type(error).__name__)
        await asyncio.sleep(PROGRAM_POLL_SECONDS)
