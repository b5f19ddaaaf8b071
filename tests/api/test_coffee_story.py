"""The coffee story of PassEntry's document, told by a program of its own against a real server."""

import subprocess
import sys

from tests.api.conftest import new_key
from tests.support.serving import ROOT, Server


def test_earn_threshold_message_redeem_and_reset(server: Server) -> None:
    command = [sys.executable, "-m", "e2e.coffee_story", server.url, new_key(server)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    lines = [line for line in told.stdout.splitlines() if "A card for" not in line and "Scanned" not in line]
    assert [line for line in lines if "Redeemed" not in line] == [
        "Added to the phone",
        "Paid £20: 2 points",
        "  “Thank you for your order. You've earned 2 points!” queued",
        "  and the phone says so",
        "Paid £20: 4 points",
        "  “Thank you for your order. You've earned 2 points!” queued",
        "  and the phone says so",
        "Paid £10: 5 points",
        "  “Congratulations! You've got £5 off on your next order!” queued",
        "  and the phone says so",
        "The discount is gone: 5 points",
        "  “You've used your £5 off discount!” queued",
        "  and the phone says so",
        "Reset: 0 points",
    ]
