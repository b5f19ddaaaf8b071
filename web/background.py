"""A worker as a process of its own, for installations where the web processes only answer."""

import asyncio
import contextlib
import signal

import httpx

from web.app import (
    first_load,
    google_cards,
    keep_current,
    load_assets,
    load_renderer,
    make_outgoing,
    make_site,
    make_worker,
    senders,
)
from web.foundation.database import open_database
from web.foundation.logs import configure_logs
from web.settings import Settings
from web.wallets import open_pusher


async def run_worker(settings: Settings) -> None:
    """Deliver until SIGTERM or SIGINT; the round under way is finished first."""
    configure_logs(settings.log_format)
    database = open_database(settings.database_url)
    assets = load_assets(settings)
    site = make_site(settings, database, load_renderer(assets, development=False), assets)
    async with httpx.AsyncClient() as client:
        mail, sms = senders(settings, database, client)
        outgoing, pusher = make_outgoing(settings), open_pusher(settings)
        worker = make_worker(site, mail, sms, google_cards(site, client), outgoing, pusher)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, worker.stop)
        await first_load(site.programs)
        current = asyncio.create_task(keep_current(site))
        try:
            await worker.run()
        finally:
            current.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await current
            await mail.close()
            await sms.close()
            await outgoing.close()
            if pusher is not None:
                await pusher.close()
            await database.close()
