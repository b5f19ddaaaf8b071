"""The profile page, and a text to wait for."""

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path

from bench.django_page.models import Customer, Program
from web.foundation.qr import svg
from web.foundation.short_code import grouped
from web.foundation.stylesheet import stylesheet
from web.foundation.theme import css

LATEST, NEXT = 8, 3
STYLE = stylesheet(Path("assets/css")) + css("#6b3f1d")


def profile(request: HttpRequest, slug: str) -> HttpResponse:
    program = get_object_or_404(Program, slug=slug)
    if "customer" not in request.session:
        return redirect(f"/{slug}")
    customer = get_object_or_404(
        Customer.objects.select_related("tier"), program=program, pk=request.session["customer"]
    )
    tiers = program.tiers.order_by("required_points")
    rewards = program.rewards.filter(active=True, cost__gt=customer.points).order_by("cost")[:NEXT]
    nearest = next(iter(rewards), None)
    return render(
        request,
        "profile.html",
        {
            "style": STYLE,
            "program": program,
            "customer": customer,
            "next_tier": next((tier for tier in tiers if tier.required_points > customer.points), None),
            "rewards": [{"reward": each, "missing": each.cost - customer.points} for each in rewards],
            "nearest": nearest,
            "missing": nearest.cost - customer.points if nearest else 0,
            "percent": customer.points * 100 // nearest.cost if nearest else 100,
            "number": grouped(customer.card_number),
            "qr_svg": svg(customer.card_number, "M"),
            "entries": customer.entries.order_by("-number")[:LATEST],
            "tab": "profile",
            "tabs": [
                ("profile", "Card"),
                ("loyalty/rewards", "Rewards"),
                ("loyalty/earning-flows", "Earn"),
                ("coupons", "Coupons"),
                ("transactions", "Activity"),
            ],
        },
    )


def plain_text(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [path("health/ready", plain_text), path("<slug:slug>/profile", profile)]
