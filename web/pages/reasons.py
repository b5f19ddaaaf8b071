"""Why points came, or did not, in the reader's own language."""

from collections.abc import Iterable
from datetime import datetime

from web.loyalty.earning_rules import Trace
from web.loyalty.earning_why import why
from web.pages.member import Member


def because(member: Member, traces: Iterable[Trace]) -> list[str]:
    """The sentences of some rule traces, each said once."""
    reader = _Reader(member)
    return list(dict.fromkeys(sentence for trace in traces for sentence in why(trace, reader)))


class _Reader:
    """How this member reads: `earning_why.Words`."""

    def __init__(self, member: Member) -> None:
        self._member = member
        self._settings = member.program.settings
        self._formats = member.site.renderer.catalogues.find(member.language).formats

    def text(self, message: str, /, **values: object) -> str:
        return self._member.site.renderer.text(self._member.language, message, **values)

    def points(self, minor: int) -> str:
        name = self._settings.texts_in(self._member.language).points_name
        return f"{self._member.visitor.amount(minor)} {name}".strip()

    def money(self, minor: int) -> str:
        return self._member.visitor.money(minor)

    def day(self, moment: datetime) -> str:
        return self._formats.date(moment, "long", self._settings.timezone)

    def number(self, value: float) -> str:
        return self._formats.number(value)

    def say(self, texts: dict[str, str]) -> str:
        return self._settings.say(texts, self._member.language)

    def tier(self, level: int) -> str:
        tiers = (self.say(each.name) for each in self._member.program.tiers if each.level == level)
        return next(tiers, str(level))
