"""The answer of a SageMaker endpoint: JSON, JSON lines or CSV, whatever the request was in.

JSON is read as in every other dialect, see `answers`; only the order of the columns is fixed,
because the same endpoint gives the members of an object in different orders from run to run:
`predicted_label`, `score`, others by name. CSV has no names, and gets those of SageMaker's own:

===============================  ===================================================================
CSV                              columns, where the settings name none
===============================  ===================================================================
one cell                         `score`; `predicted_label` for text
two cells                        `predicted_label`, `score`
several cells                    `score`, one array
arrays, `[0.1, 0.9]`             `score`
===============================  ===================================================================
"""

from __future__ import annotations

from typing import Any

from scorespan.dialects import answers, delimited, lines
from scorespan.dialects.native import Native, NativeBody
from scorespan.dialects.table import Table, answer_table, numbers_from_text
from scorespan.errors import ConversionError

LABEL, SCORE = "predicted_label", "score"
_KNOWN = (LABEL, SCORE)


def answer_of(native: Native, rows: int) -> tuple[Table, tuple[str, ...]]:
    """The table of an answer, and notes about what was changed.

    Args:
        native: the scoring; it has a response.
        rows: how many rows the request has.

    Raises:
        ConversionError: `invalid_json`, `invalid_csv`, `row_width_mismatch` or
            `row_count_mismatch`.
    """
    body, fields = native.response, native.prediction_fields
    assert body is not None  # noqa: S101 - for the type checker; dialects ask before
    if not _is_csv(body):
        table = answers.table_of(_value(body), native, rows)
        return table if fields is not None else _ordered(table), ()
    arrays = _arrays(body)
    if arrays is not None:
        _check_count(len(arrays), rows)
        return answer_table(arrays, fields or (SCORE,), rows), ()
    return _of_csv(delimited.rows_of(body), fields, rows)


def is_batch(body: NativeBody, rows: int) -> bool:
    """Whether an answer holds so many predictions, rather than one of as many cells."""
    try:
        if _is_csv(body):
            return len(_arrays(body) or delimited.rows_of(body)) == rows
        return answers.is_batch(_value(body), rows)
    except ConversionError:
        return False


def _is_csv(body: NativeBody) -> bool:
    """Whether an answer is CSV: by its content type, else by how it begins.

    Services of one's own often say neither.
    """
    if body.media_type in delimited.MEDIA_TYPES:
        return True
    if body.media_type in lines.MEDIA_TYPES or (body.content_type is not None and body.is_json):
        return False
    first = body.text.lstrip()[:1]
    if first != b'"':
        return first not in {b"{", b"["}
    try:
        return not body.document
    except ConversionError:  # a quoted cell
        return True


def _value(body: NativeBody) -> Any:
    """What stands in an answer, JSON or JSON lines, of which one may hold all predictions."""
    if body.media_type in lines.MEDIA_TYPES:
        documents = lines.documents_of(body)
    else:
        try:
            documents = [body.document]
        except ConversionError:
            if body.is_json or len(body.text.splitlines()) < 2:
                raise
            documents = lines.documents_of(body)
    return _unwrapped(documents[0]) if len(documents) == 1 else documents


def _unwrapped(document: Any) -> Any:
    """The rows of algorithms without labels: `scores`, `projections`."""
    if isinstance(document, dict) and len(document) == 1:
        [inner] = document.values()
        if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
            return inner
    return document


def _ordered(table: Table) -> Table:
    """The table with its columns in the fixed order."""
    order = sorted(range(len(table.fields)), key=lambda place: _order_of(table.fields[place]))
    return Table(
        [table.fields[place] for place in order],
        [[row[place] for place in order] for row in table.rows],
    )


def _order_of(name: str) -> tuple[int, str]:
    return (_KNOWN.index(name) if name in _KNOWN else len(_KNOWN), name)


def _arrays(body: NativeBody) -> list[Any] | None:
    """The rows of what is called CSV, where each is an array as Python writes it: XGBoost's."""
    rows = [line.strip().rstrip(b",") for line in body.text.splitlines() if line.strip()]
    if not rows or not all(row.startswith(b"[") and row.endswith(b"]") for row in rows):
        return None
    together = NativeBody(b"[" + b",".join(rows) + b"]", None, body.side)
    try:
        arrays: list[Any] = together.document
    except ConversionError:
        return None
    body.notes = together.notes
    return arrays


def _check_count(found: int, rows: int) -> None:
    if found != rows:
        raise ConversionError(
            "row_count_mismatch", f"response: {found} rows for {rows} rows of the request"
        )


def _name_of(answers: list[Any]) -> tuple[str, ...]:
    """The one column of answers that are no objects."""
    return (LABEL,) if any(isinstance(answer, str) for answer in answers) else (SCORE,)


def _of_csv(
    cells: list[list[str | None]], fields: tuple[str, ...] | None, rows: int
) -> tuple[Table, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    if fields is not None and cells and tuple(cells[0]) == fields:
        cells = cells[1:]
        notes = ("response: header left out",)
    if len(cells) == 1 and rows > 1 and len(cells[0]) == rows:
        cells = [[cell] for cell in cells[0]]
    width = len(cells[0]) if cells else 0
    for position, line in enumerate(cells):
        if len(line) != width:
            raise ConversionError(
                "row_width_mismatch",
                f"response, row {position}: {len(line)} cells for {width} in the first row",
            )
    _check_count(len(cells), rows)
    table, changed = numbers_from_text(Table([SCORE] * width, cells), "response")
    if width == 1:
        answers = [row[0] for row in table.rows]
        return answer_table(answers, fields or _name_of(answers), rows), notes + changed
    names = _KNOWN if width == len(_KNOWN) else (SCORE,)
    return answer_table([list(row) for row in table.rows], fields or names, rows), notes + changed
