"""`python -m bench [name …] [--long]`: measures, and prints each figure beside its bar.

Without names everything but the burst and the week is measured, in some minutes; `--long` adds them and takes three
times the rounds, or ten times the passes. Exits with 1 if a bar is missed. Figures are ratios within one run, since
a machine's own speed says nothing about the program; those without a bar are for orientation.
"""

import argparse
import sys
from collections.abc import Callable

from bench import (
    burst,
    dynamic,
    links,
    live,
    pages,
    passes,
    passkit,
    pushes,
    registrations,
    rendering,
    rollout,
    session_pages,
    week,
)
from bench.bars import Bar

BENCHES: dict[str, Callable[[bool], list[Bar]]] = {
    "passes": passes.measure,
    "rendering": rendering.measure,
    "pages": pages.run,
    "dynamic": dynamic.run,
    "sessions": session_pages.run,
    "history": session_pages.history,
    "links": links.run,
    "registrations": registrations.run,
    "pushes": pushes.run,
    "passkit": passkit.run,
    "rollout": rollout.run,
    "live": live.run,
    "burst": burst.run,
    "week": week.run,
}
# What takes minutes is measured when it is asked for.
LONG = ("burst", "week")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures, and compares with the bars."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHES))
    parser.add_argument("--long", action="store_true", help="more rounds, the burst and the week")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - BENCHES.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(BENCHES)}")
    names = arguments.names or [name for name in BENCHES if arguments.long or name not in LONG]
    missed = 0
    for name in names:
        for bar in BENCHES[name](arguments.long):
            print(bar.row(), flush=True)
            missed += not bar.is_met
    sys.exit(f"{missed} missed" if missed else 0)


if __name__ == "__main__":
    main()
