"""A bar: a figure that must be reached, and whether it was."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """One row of the table. `bar` is None for a figure that is shown for orientation only."""

    work: str
    figure: float
    unit: str = ""
    bar: float | None = None
    wants_more: bool = True

    @property
    def is_met(self) -> bool:
        if self.bar is None:
            return True
        return self.figure >= self.bar if self.wants_more else self.figure < self.bar

    def row(self) -> str:
        sign = "≥" if self.wants_more else "<"
        bar = "" if self.bar is None else f"{sign} {self.bar:g}{self.unit}"
        verdict = "" if self.bar is None else "met" if self.is_met else "MISSED"
        return f"{self.work:<64} {self.figure:>9,.2f}{self.unit:<4} {bar:>10}  {verdict}"


def at_least(work: str, figure: float, bar: float) -> Bar:
    """A ratio that must not be smaller."""
    return Bar(work, figure, bar=bar)


def below(work: str, figure: float, bar: float, unit: str = "") -> Bar:
    """A ratio or a time that must stay under the bar."""
    return Bar(work, figure, unit, bar, wants_more=False)


def shown(work: str, figure: float, unit: str = "") -> Bar:
    """A figure without a bar, for orientation."""
    return Bar(work, figure, unit)
