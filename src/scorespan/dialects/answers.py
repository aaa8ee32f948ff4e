"""Answers: responses that no dialect of their own describes, as tables.

Custom services answer as it comes: `{"predictions": [...]}`, `{"output": [{...}]}`, a bare list, an
object of one list per column, a single number.
"""

from __future__ import annotations

from scorespan.dialects.native import Native
from scorespan.dialects.table import Table, answer_table
from scorespan.errors import ConversionError

_AROUND = ("predictions", "output", "outputs", "result", "results")
"""Members that hold the whole answer."""


def answer(native: Native, rows: int) -> Table:
    """The table of a response.

    Args:
        native: the scoring; it has a response.
        rows: how many rows the request has.

    Raises:
        ConversionError: the response is no JSON and should be, or holds another number of rows.
    """
    response = native.response
    assert response is not None  # noqa: S101 - for the type checker; dialects ask before
    value = response.value
    if isinstance(value, dict):
        inner = next((value[name] for name in _AROUND if value.get(name) is not None), None)
        value = value if inner is None else inner
    table = answer_table(value, native.prediction_fields, rows)
    if len(table.rows) != rows:
        raise ConversionError(
            "row_count_mismatch",
            f"response: {len(table.rows)} rows for {rows} rows of the request",
        )
    return table
