"""The MLflow dialect: `{"dataframe_split": ...}`, `{"dataframe_records": ...}`, CSV with a header.

===============================================  ===================================================
request                                          rows
===============================================  ===================================================
`{"dataframe_split": {"columns", "data"}}`       `data`; an index is left out
`{"input_data": ...}`, as Azure ML has it        the same, or as `inputs`
`{"columns", "data"}`                            the same, as servers before 2.0 take it
`{"dataframe_records": [{...}, ...]}`            one for each object
`{"instances": ...}`, `{"inputs": ...}`          as in the KServe dialect
CSV                                              all lines but the first, which has the columns
===============================================  ===================================================

The answer is `{"predictions": ...}`, or what stands there alone: scalars and lists are one column,
objects and columns are columns. Requests with `instances` or `inputs` do not say whose they are:
they are detected as KServe's and become the same tables. So does CSV say nothing: it is MLflow's
where the first line can be a header, and the answer has as many bare `predictions` as there are
lines after it; of a failed scoring, where a number stands below the header.
"""

from __future__ import annotations

from typing import Any

from scorespan.dialects import delimited
from scorespan.dialects.answers import answer
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.instances import left_out, table_of
from scorespan.dialects.native import Native
from scorespan.dialects.table import Table, named_rows, number_of, numbers_from_text, paired
from scorespan.errors import ConversionError

NAME = "mlflow"
KEEPS_TEXT = False
_SPLIT, _RECORDS, _AZURE = "dataframe_split", "dataframe_records", "input_data"
_ROWS_IN = (_SPLIT, _RECORDS, _AZURE, "instances", "inputs")
_COLUMNS, _ROWS = "columns", "data"
_INDEX = "index"


def recognises(native: Native) -> bool:
    """Whether the request is a data frame, or CSV that is answered as MLflow does."""
    body = native.request
    if body.media_type in delimited.MEDIA_TYPES:
        return _has_header(native)
    if not body.is_json:
        return False
    document = body.document
    if not isinstance(document, dict):
        return False
    if _SPLIT in document or _RECORDS in document:
        return True
    return _is_split(document) or bool(document.get(_AZURE))


def read(native: Native) -> DialectBodies | ConversionError:
    """Both bodies; see `scorespan.dialects.read`."""
    if native.request.media_type in delimited.MEDIA_TYPES:
        request, notes = _of_csv(native)
    else:
        request, notes = _of_document(native.request.document, native.feature_names)
    response = None if native.response is None else answer(native, len(request.rows))
    return paired(NAME, native, request, response, notes)


def _of_document(document: Any, names: tuple[str, ...] | None) -> tuple[Table, tuple[str, ...]]:
    if not isinstance(document, dict):
        raise ConversionError(
            "wrong_type",
            f"request: an object is needed with one of: {', '.join(_ROWS_IN)}",
        )
    if _is_split(document):
        return _of_split(document, names, "request")
    name = next((name for name in _ROWS_IN if name in document), None)
    if name is None:
        raise ConversionError("missing_member", f"request: one is needed of: {', '.join(_ROWS_IN)}")
    where, notes = f"request.{name}", left_out(document, {name}, "request")
    if name == _SPLIT or _is_split(document[name]):
        table, more = _of_split(document[name], names, where)
        return table, more + notes
    return table_of(document[name], names, where), notes


def _is_split(document: Any) -> bool:
    return (
        isinstance(document, dict)
        and isinstance(document.get(_COLUMNS), list)
        and isinstance(document.get(_ROWS), list)
    )


def _of_split(
    split: Any, names: tuple[str, ...] | None, where: str
) -> tuple[Table, tuple[str, ...]]:
    """Rows under their columns; a frame without columns has the names of the settings."""
    if not isinstance(split, dict) or not isinstance(split.get(_ROWS), list):
        raise ConversionError("wrong_type", f"{where}: an object with a list `data` is needed")
    rows, columns = split[_ROWS], split.get(_COLUMNS)
    for position, row in enumerate(rows):
        if not isinstance(row, list):
            raise ConversionError("wrong_type", f"{where}.data[{position}]: a list is needed")
    notes = left_out(split, {_COLUMNS, _ROWS, _INDEX}, where)
    if _INDEX in split and split[_INDEX] != list(range(len(rows))):
        notes += (f"{where}: left out: index",)
    if columns is None:
        return named_rows(rows, names, f"{where}.data"), notes
    if not isinstance(columns, list) or not all(isinstance(name, (str, int)) for name in columns):
        raise ConversionError("wrong_type", f"{where}.columns: a list of names is needed")
    fields = [str(name) for name in columns]
    for position, row in enumerate(rows):
        if len(row) != len(fields):
            raise ConversionError(
                "row_width_mismatch",
                f"{where}.data[{position}]: {len(row)} values for {len(fields)} columns",
            )
    return Table(fields, rows), notes


def _of_csv(native: Native) -> tuple[Table, tuple[str, ...]]:
    lines = delimited.rows_of(native.request)
    header = lines[0] if lines else []
    if not _names_columns(header):
        raise ConversionError(
            "no_header", "request: the first line must have the columns, all named and no numbers"
        )
    table = named_rows(lines[1:], [str(name) for name in header], "request, below the header")
    return numbers_from_text(table, "request")


def _has_header(native: Native) -> bool:
    """Whether CSV has a header, as far as that can be told; see the module."""
    answers = None
    if native.response is not None:
        if native.response.media_type in delimited.MEDIA_TYPES:
            return False
        document = native.response.document
        answers = document.get("predictions") if isinstance(document, dict) else None
        if not isinstance(answers, list):
            return False
    lines = delimited.rows_of(native.request)
    if len(lines) < 2 or not _names_columns(lines[0]):
        return False
    if answers is not None:
        return len(answers) == len(lines) - 1
    return any(cell is not None and not isinstance(number_of(cell), str) for cell in lines[1])


def _names_columns(header: list[str | None]) -> bool:
    names = [name for name in header if name is not None and isinstance(number_of(name), str)]
    return len(names) == len(header) == len(set(names)) > 0
