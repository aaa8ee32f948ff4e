"""The objects dialect: `[{"a": 1, "b": "x"}, ...]`, or one flat object for one row.

Columns are the keys of all objects in the order in which they are first seen; where an object lacks
one, the cell is null. Values may be any JSON. A list of lists or of single values is taken as well,
and so are the forms of custom services that the number of answers tells apart from one row:
`{"rows": [{...}, {...}]}` under any name, and an object of columns, `{"a": [1, 2], "b": [3, 4]}`,
of one row too where the answer is a list or columns. Rows without keys that are not as wide as the
feature names are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scorespan.dialects.answers import answer, is_batch
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native
from scorespan.dialects.table import Table, named_rows, object_rows, paired
from scorespan.errors import ConversionError

NAME = "objects"
KEEPS_TEXT = False


def recognises(native: Native) -> bool:
    """Whether the request is a list of objects or of rows, or an object with members."""
    if not native.request.is_json:
        return False
    document = native.request.document
    if isinstance(document, dict):
        return bool(document)
    return isinstance(document, list) and bool(document)


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies as tables; see `scorespan.dialects.read`."""
    document = native.request.document
    if not isinstance(document, dict):
        rows = document if isinstance(document, list) else [document]
        return read_rows(NAME, rows, native, "request")
    for rows, where in _within(document, native):
        response = None
        try:
            if native.response is not None:
                response = answer(native, len(rows))
        except ConversionError:
            continue
        try:
            return paired(NAME, native, rows_table(rows, native, where), response)
        except ConversionError:
            if len(native.feature_names or ()) > 1:
                raise
            # Lists of any length: sequences, images.
    return read_rows(NAME, [document], native, "request")


def _within(document: dict[str, Any], native: Native) -> Iterator[tuple[list[Any], str]]:
    """The rows that an object may hold, and their place: under its only name, or as columns."""
    columns = list(document.values())
    lengths = {len(column) if isinstance(column, list) else 0 for column in columns}
    if len(columns) == 1 and isinstance(columns[0], list) and columns[0]:
        kinds = set(map(type, columns[0]))
        if kinds in ({dict}, {list}):
            yield columns[0], f"request.{next(iter(document))}"
    response = native.response
    # One list of one value is a column where a batch of one is answered.
    single = lengths == {1} and response is not None and not is_batch(response.value, 1)
    if len(lengths) == 1 and max(lengths) > 0 and not single:
        rows = zip(*columns, strict=True)
        yield [dict(zip(document, row, strict=True)) for row in rows], "request"


def read_rows(
    dialect: str, rows: list[Any], native: Native, where: str
) -> DialectBodies | ConversionError:
    """Rows of a request, and whatever was answered, as the dialect's bodies.

    A list of single values that is no column of as many answers is one row; so it is of a failed
    scoring, which has none.

    Args:
        dialect: its name.
        rows: what the request has for its rows.
        native: the scoring.
        where: the place of the rows in the request, for reasons.
    """
    single = native.feature_names is None and not any(isinstance(row, (list, dict)) for row in rows)
    if native.response is None and single:
        rows = [rows]
    request = rows_table(rows, native, where)
    if native.response is None:
        return paired(dialect, native, request, None)
    try:
        response = answer(native, len(request.rows))
    except ConversionError as error:
        if error.code != "row_count_mismatch" or not single:
            return error
        request = rows_table([rows], native, where)
        response = answer(native, 1)
    return paired(dialect, native, request, response)


def rows_table(rows: list[Any], native: Native, where: str) -> Table:
    """The table of rows that may be objects, lists or single values, all of one kind.

    One list of single values is one row where the settings name several columns.

    Raises:
        ConversionError: `wrong_type`, `row_width_mismatch` or `too_sparse`.
    """
    if all(isinstance(row, dict) for row in rows):
        return object_rows(rows)
    names = native.feature_names
    if all(isinstance(row, list) for row in rows):
        return named_rows(rows, names, where)
    if any(isinstance(row, (list, dict)) for row in rows):
        raise ConversionError("wrong_type", f"{where}: rows of one kind are needed")
    if names is not None and len(names) > 1 and len(rows) > 1:
        return named_rows([rows], names, where)
    return named_rows([[row] for row in rows], names, where)
