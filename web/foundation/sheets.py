"""Lines of CSV (RFC 4180) that a spreadsheet opens as they are meant."""

import csv
import io
import re
from collections.abc import Iterable

# What makes a spreadsheet take a cell for a formula, in the wide spelling of East Asian keyboards too.
_FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# A telephone number or an amount does nothing when it is worked out.
_HARMLESS = re.compile(r"[+-]\d+(\.\d+)?")


def csv_line(values: Iterable[object]) -> str:
    """One line with its end (CRLF). A text that would run as a formula gets an apostrophe in front."""
    line = io.StringIO()
    csv.writer(line).writerow([_defused("" if value is None else str(value)) for value in values])
    return line.getvalue()


def _defused(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) and not _HARMLESS.fullmatch(text) else text
