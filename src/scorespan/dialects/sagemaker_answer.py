"""The answer of a SageMaker endpoint: JSON, JSON lines or CSV, whatever the request was in.

The columns have a fixed order. An answer that names them has them in different orders from run to
run; one that does not has as many as it has cells in a row:

===============================  ===================================================================
predictions                      columns, where the settings name none
===============================  ===================================================================
objects                          `predicted_label`, `score` (those that are there), others by name
one cell                         `score`; `predicted_label` for text
CSV of two cells                 `predicted_label`, `score`
several cells                    `score`, one array
===============================  ===================================================================
"""

from __future__ import annotations

from typing import Any

from scorespan.dialects import delimited, lines
from scorespan.dialects.native import NativeBody
from scorespan.dialects.table import Table, answer_table, numbers_from_text
from scorespan.errors import ConversionError

LABEL, SCORE = "predicted_label", "score"
_KNOWN = (LABEL, SCORE)
_PREDICTIONS = "predictions"


def answer_of(
    body: NativeBody, fields: tuple[str, ...] | None, rows: int
) -> tuple[Table, tuple[str, ...]]:
    """The table of an answer, and notes about what was changed.

    Args:
        body: the answer.
        fields: `Native.prediction_fields`.
        rows: how many rows the request has.

    Raises:
        ConversionError: `invalid_json`, `invalid_csv`, `row_width_mismatch` or
            `row_count_mismatch`.
    """
    if _is_csv(body):
        return _of_csv(delimited.rows_of(body), fields, rows)
    return _of_items(_predictions(body), fields, rows), ()


def count_of(body: NativeBody) -> int | None:
    """How many predictions an answer has; None where it is no list of them."""
    try:
        predictions = delimited.rows_of(body) if _is_csv(body) else _predictions(body)
    except ConversionError:
        return None
    return len(predictions) if isinstance(predictions, list) else None


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


def _predictions(body: NativeBody) -> Any:
    """What stands in an answer, JSON or JSON lines, for the predictions."""
    if body.media_type in lines.MEDIA_TYPES:
        return _of_documents(lines.documents_of(body))
    try:
        document = body.document
    except ConversionError:
        if body.is_json or len(body.text.splitlines()) < 2:
            raise
        return _of_documents(lines.documents_of(body))
    return _unwrapped(document)


def _of_documents(documents: list[Any]) -> Any:
    """One line may hold all predictions."""
    return _unwrapped(documents[0]) if len(documents) == 1 else documents


def _unwrapped(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    if _PREDICTIONS in document:
        return document[_PREDICTIONS]
    if len(document) == 1:  # algorithms without labels: `scores`, `projections`
        [inner] = document.values()
        if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
            return inner
    return document


def _of_items(predictions: Any, fields: tuple[str, ...] | None, rows: int) -> Table:
    items = predictions if isinstance(predictions, list) else [predictions]
    if fields is not None or not items or not all(isinstance(item, dict) for item in items):
        return answer_table(predictions, fields or _name_of(items), rows)
    table = answer_table(predictions, None, rows)
    order = sorted(range(len(table.fields)), key=lambda place: _order_of(table.fields[place]))
    return Table(
        [table.fields[place] for place in order],
        [[row[place] for place in order] for row in table.rows],
    )


def _order_of(name: str) -> tuple[int, str]:
    return (_KNOWN.index(name) if name in _KNOWN else len(_KNOWN), name)


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
    if len(cells) != rows:
        raise ConversionError(
            "row_count_mismatch", f"response: {len(cells)} rows for {rows} rows of the request"
        )
    table, changed = numbers_from_text(Table([SCORE] * width, cells), "response")
    if width == 1:
        answers = [row[0] for row in table.rows]
        return answer_table(answers, fields or _name_of(answers), rows), notes + changed
    names = _KNOWN if width == len(_KNOWN) else (SCORE,)
    return answer_table([list(row) for row in table.rows], fields or names, rows), notes + changed
