"""Delimited text: CSV as rows of texts.

A cell may be quoted: separators and line ends within it belong to it, and two quotes are one. What
quotes do not change is the type of a cell. Lines end with LF, CR or both; a blank line is no row.
"""

from __future__ import annotations

import re

from scorespan.dialects.native import NativeBody
from scorespan.dialects.table import number_of
from scorespan.errors import ConversionError

MEDIA_TYPES = frozenset({"text/csv", "application/csv"})
_LINE_END = re.compile(r"\r\n|\r|\n")
_CELL = re.compile(r'(?:"([^"]*(?:""[^"]*)*)"|([^",\r\n][^,\r\n]*|))(,|\r\n|\r|\n|\Z)')
_MARK = "\ufeff"
"""What some programs put in front of UTF-8 text."""


def rows_of(body: NativeBody) -> list[list[str | None]]:
    """The rows of a CSV body, each as wide as it is; empty cells are None.

    Spaces around a number are left out. Takes time in proportion to the body.

    Raises:
        ConversionError: `invalid_csv`; not UTF-8, or a quote that does not fit.
    """
    try:
        text = body.text.decode("utf-8").removeprefix(_MARK)
    except UnicodeDecodeError as error:
        raise ConversionError(
            "invalid_csv", f"{body.side}: UTF-8 is needed, which byte {error.start} is not"
        ) from None
    if '"' not in text:
        lines = [line.split(",") for line in _LINE_END.split(text) if line.strip()]
    else:
        lines = _quoted(text, body.side)
    return [[_cell(cell) for cell in line] for line in lines]


def _quoted(text: str, side: str) -> list[list[str]]:
    """The rows of a text with quotes."""
    rows: list[list[str]] = []
    row: list[str] = []
    place, start = 0, 0
    while place < len(text) or row:
        cell = _CELL.match(text, place)
        if cell is None:
            raise ConversionError(
                "invalid_csv",
                f"{side}: a quote does not fit in row {len(rows)}, cell {len(row)}; "
                "a quoted cell ends with a quote, and quotes within it are doubled",
            )
        quoted, plain, end = cell.groups()
        row.append(plain if quoted is None else quoted.replace('""', '"'))
        place = cell.end()
        if end == ",":
            continue
        if text[start : cell.start(3)].strip():
            rows.append(row)
        row, start = [], place
    return rows


def _cell(text: str) -> str | None:
    bare = text.strip()
    if not bare:
        return None
    if bare != text and not isinstance(number_of(bare), str):
        return bare
    return text
