"""Header fields that list choices with weights (RFC 9110, 12.4.2): Accept-Language and Accept-Encoding."""

from functools import lru_cache

# Real fields stay far below these; what lies beyond is an attempt to make us work.
LONGEST = 400
MOST_CHOICES = 20


@lru_cache(maxsize=1024)
def weights(field: str) -> tuple[tuple[str, float], ...]:
    """Each choice of `field` in lower case with its weight from 0 to 1, in the order they were written.

    A choice with an unreadable weight is left out; only the first `LONGEST` characters and `MOST_CHOICES`
    choices are read.
    """
    choices = []
    for part in field[:LONGEST].split(",")[:MOST_CHOICES]:
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = _weight(parameters)
        if name and weight is not None:
            choices.append((name, weight))
    return tuple(choices)


def _weight(parameters: list[str]) -> float | None:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return None
            return weight if 0 <= weight <= 1 else None
    return 1.0
