"""The objects dialect: `[{"a": 1, "b": "x"}, ...]`, or one flat object for one row.

Columns are the keys of all objects in the order in which they are first seen; where an object lacks
one, the cell is null. Values may be any JSON. A list of lists or of single values is taken as well,
and so are the forms of custom services that hold rows within an object:

==========================================  ========================================================
object                                      rows, where as many are answered
==========================================  ========================================================
`{"rows": [{...}, {...}]}`, any one name    the objects, or lists
`{"rows": [...], "model": "m"}`             the same, beside single values, which are left out
`{"a": [1, 2], "b": [3, 4]}`                one for each place in the lists
`{"a": {"0": 1, "1": 2}, "b": {...}}`       the same, as data frames are written by default
==========================================  ========================================================

Else the object is one row. A batch of one is told by its answer, a list or columns. Rows without
keys that are not as wide as the feature names are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from scorespan.dialects.answers import answer, is_batch, names_one_row
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.instances import left_out
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
    failed = native.response is None
    wrong: list[ConversionError] = []
    for rows, where, notes in _within(document, native):
        try:
            request = rows_table(rows, native, where)
        except ConversionError:
            if len(native.feature_names or ()) > 1 and (
                failed or _answer(native, len(rows), wrong)
            ):
                raise
            continue  # lists of any length: sequences, images
        response = None if failed else _answer(native, len(request.rows), wrong)
        if failed or response is not None:
            return paired(NAME, native, request, response, notes)
    # Rows were found then, and only the names did not fit, unless they are one row's.
    if wrong and not names_one_row(native):
        return wrong[0]
    return read_rows(NAME, [document], native, "request")


class _Rows(NamedTuple):
    """What may be the rows within an object."""

    rows: list[Any]
    where: str = "request"
    notes: tuple[str, ...] = ()


def _within(document: dict[str, Any], native: Native) -> Iterator[_Rows]:
    """What may be the rows within an object, the likeliest first."""
    lists = [name for name, value in document.items() if isinstance(value, list) and value]
    if len(lists) == 1:
        [name] = lists
        rows, where = document[name], f"request.{name}"
        if set(map(type, rows)) in ({dict}, {list}):
            if len(document) == 1:
                yield _Rows(rows, where)
            elif _are_beside(document, name) and _is_batch(native, len(rows)):
                yield _Rows(rows, where, left_out(document, {name}, "request"))
        elif len(document) == 1 and len(native.feature_names or ()) == len(rows) > 1:
            yield _Rows(rows, where)
    columns = list(map(_column, document.values()))
    lengths = set(map(len, columns))
    # One list of one value is a column where a batch of one is answered.
    if len(lengths) == 1 and (max(lengths) > 1 or (lengths == {1} and _is_batch(native, 1))):
        cells = zip(*columns, strict=True)
        yield _Rows([dict(zip(document, row, strict=True)) for row in cells])


def _are_beside(document: dict[str, Any], name: str) -> bool:
    """Whether all members but one are single values."""
    return not any(
        isinstance(value, (list, dict)) for other, value in document.items() if other != name
    )


def _column(value: Any) -> list[Any]:
    """The cells of what may be a column; none where it is something else."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict) and list(value) == list(map(str, range(len(value)))):
        return list(value.values())
    return []


def _is_batch(native: Native, rows: int) -> bool:
    """Whether as many answers are given; a failed scoring has none to tell by."""
    return native.response is None or is_batch(native.response.value, rows)


def _answer(native: Native, rows: int, wrong: list[ConversionError]) -> Table | None:
    """The answers to so many rows; None where they are not that many.

    Where only the prediction fields do not fit them, the reason is put with what is `wrong`.
    """
    try:
        return answer(native, rows)
    except ConversionError as error:
        if error.code == "wrong_prediction_fields":
            wrong.append(error)
        return None


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
        if error.code not in {"row_count_mismatch", "wrong_prediction_fields"} or not single:
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
