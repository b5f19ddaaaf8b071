"""Commands. Each says what it did in one line, and fails with a sentence that says what to do."""

import click

from web.cli import (
    api_keys,
    clock,
    designs,
    ledger,
    passes,
    phones,
    programs,
    pushes,
    referrals,
    serving,
    support,
    texts,
    webhooks,
)
from web.cli.base import Context, Sentences
from web.settings import load_settings


@click.group(cls=Sentences)
@click.pass_context
def commands(context: click.Context) -> None:
    """Pasito: from a sign in the shop to a card in the phone's wallet."""
    context.obj = Context(load_settings())


for _command in (
    serving.demo,
    serving.serve,
    serving.worker,
    serving.migrate,
    serving.doctor,
    programs.program,
    programs.sign,
    programs.key,
    support.link,
    support.customer,
    support.deliveries,
    clock.clock,
    designs.design,
    passes.passes,
    pushes.pushes,
    referrals.referral,
    ledger.ledger,
    phones.passkit,
    webhooks.webhook,
    texts.mails,
    texts.translate,
):
    commands.add_command(_command)

programs.key.add_command(api_keys.api)


def main() -> None:
    """Entry of `python -m web`."""
    commands(prog_name="python -m web")
