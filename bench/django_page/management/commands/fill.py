"""`python -m django fill PEOPLE ENTRIES`: the tables, and in them people with a session and a history."""

from argparse import ArgumentParser
from datetime import timedelta

from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import BaseCommand, call_command
from django.utils.timezone import now

from bench.django_page.models import Customer, Entry, Program, Reward, Tier
from bench.django_page.serving import session_key


class Command(BaseCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("people", type=int)
        parser.add_argument("entries", type=int)

    def handle(self, *_: object, people: int, entries: int, **__: object) -> None:
        call_command("migrate", run_syncdb=True, verbosity=0)
        program = Program.objects.create(slug="brewbar", name="Brew Bar", points_name="Beans")
        regular, _ = (
            Tier.objects.create(program=program, name=name, required_points=points)
            for name, points in (("Regular", 0), ("Roaster", 100_000))
        )
        for number in range(6):
            Reward.objects.create(program=program, title=f"Reward {number}", cost=10_000 * (number + 1))
        customers = Customer.objects.bulk_create(
            Customer(
                program=program,
                name=f"Customer {number}",
                email=f"customer{number}@example.com",
                email_verified_at=now(),
                card_number=f"{number:016}",
                points=10 * entries,
                tier=regular,
            )
            for number in range(people)
        )
        Entry.objects.bulk_create(
            Entry(
                customer=customer,
                number=number + 1,
                at=now() - timedelta(days=entries - number),
                reason="Two coffees",
                amount=10,
                balance_after=10 * (number + 1),
            )
            for customer in customers
            for number in range(entries)
        )
        Session.objects.bulk_create(
            Session(
                session_key=session_key(number),
                session_data=SessionStore().encode({"customer": customer.pk}),
                expire_date=now() + timedelta(days=7),
            )
            for number, customer in enumerate(customers)
        )
