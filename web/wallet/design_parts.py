"""What of a programme its cards show, part by part, as fingerprints: by these a change is noticed."""

from hashlib import sha256
from typing import Any

import msgspec

from web.loyalty.program import Program
from web.wallet.card import Design

# Grows when this program itself begins to lay cards out in another way, so that the phones hear of it.
LAYOUT = 1


def parts_of(program: Program, design: Design) -> dict[str, str]:
    """A fingerprint for each part of what a programme's cards have in common. Everything that a card shows and
    that is not its holder's own belongs into one of them."""
    settings = program.settings
    return {
        name: _fingerprint(part)
        for name, part in {
            "layout": LAYOUT,
            "colours": (design.background, design.foreground, design.label),
            "pictures": {kind: sum_ for kind, sum_ in program.images.items() if kind != "mark"},
            "texts": (
                design.organization,
                design.name,
                design.description,
                design.logo_text,
                design.labels,
                design.texts,
                design.back,
            ),
            "fields": (design.places, design.barcode),
            "locations": (
                [(shop.latitude, shop.longitude, shop.nearby_text or shop.name) for shop in program.shops],
                design.beacons,
                design.max_distance,
            ),
            "tiers": [(tier.id, tier.name, tier.required_points, tier.active) for tier in program.tiers],
            "rewards": [
                (reward.id, reward.title, reward.cost, reward.active, reward.stock == 0)
                for reward in program.rewards
            ],
            "rules": (settings.scale, settings.currency, settings.languages, design.slug, design.base_url),
        }.items()
    }


def _fingerprint(part: Any) -> str:
    return sha256(msgspec.json.encode(part, order="deterministic")).hexdigest()[:16]
