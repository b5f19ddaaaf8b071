"""CSV lines: read back as they were written, and never run as a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.foundation.sheets import csv_line


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1))
def test_what_is_no_formula_is_read_back_as_it_was(cells: list[str]) -> None:
    read = next(csv.reader(io.StringIO(csv_line(cells), newline="")))
    assert [cell.removeprefix("'") for cell in read] == [cell.removeprefix("'") for cell in cells]
    assert not any(cell[:1] in tuple("=@\t\r\n") for cell in read if cell)


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"])
def test_a_formula_becomes_a_text(cell: str) -> None:
    assert next(csv.reader(io.StringIO(csv_line([cell]), newline="")))[0] == f"'{cell}"


def test_numbers_of_telephones_and_nothing_at_all_stay_as_they_are() -> None:
    assert csv_line(["+34600123456", "-12.50", None, 'a "b", c', "Zoë"]) == (
        '+34600123456,-12.50,,"a ""b"", c",Zoë\r\n'
    )
