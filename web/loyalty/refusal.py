"""Why somebody does not get what they asked for, as a rule's name and in words that say what to do next."""

from typing import Any, ClassVar


class Refusal(Exception):
    """Refused by a rule, with nothing changed. `code` names the rule, `advice` says what to do, `facts` its figures."""

    code: ClassVar[str]
    advice: ClassVar[str]

    def __init__(self, **facts: Any) -> None:
        super().__init__(self.advice)
        self.facts = facts
