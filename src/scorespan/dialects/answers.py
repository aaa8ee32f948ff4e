"""Answers: responses that no dialect of their own describes, as tables.

Custom services answer as it comes: `{"predictions": [...]}`, `{"output": [{...}]}`, a bare list, an
object of one list per column, a single number.
"""

from __future__ import annotations

from typing import Any

from scorespan.dialects.failures import tells_of
from scorespan.dialects.native import Native
from scorespan.dialects.table import Table, answer_table, has_answer, is_columns
from scorespan.errors import ConversionError

_AROUND = ("predictions", "output", "outputs", "result", "results")
"""Members that hold the whole answer."""
_DATA = "data"
"""The same, where all others only tell of it: `{"status": "ok", "data": [...]}`."""
_SHOWN = 200


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
    return table_of(response.value, native, rows)


def table_of(value: Any, native: Native, rows: int) -> Table:
    """The same, of what stands in the response.

    What is left out is told in a note on the response's body.

    Raises:
        ConversionError: it holds another number of rows.
    """
    response = native.response
    name, beside = _around(value, rows) if isinstance(value, dict) else None, ""
    fields = native.prediction_fields or ()
    if len(fields) > 1 and name in fields and value.keys() >= set(fields):
        name = None  # more of it is wanted than what it is around
    if name is not None:
        beside = ", ".join(other for other in value if other != name)
        value = value[name]
    table = answer_table(value, native.prediction_fields, rows)
    if len(table.rows) != rows:
        raise ConversionError(
            "row_count_mismatch",
            f"response: {len(table.rows)} rows for {rows} rows of the request",
        )
    note = f"response: left out beside {name}: {beside[:_SHOWN]}"
    if response is not None and beside and note not in response.notes:
        response.notes += (note,)
    return table


def is_batch(value: Any, rows: int) -> bool:
    """Whether what stands in a response is a list, or columns, of so many answers."""
    name = _around(value, rows) if isinstance(value, dict) else None
    held = value if name is None else value[name]
    if isinstance(held, dict):
        return is_columns(held, rows)
    return isinstance(held, list) and len(held) == rows


def names_one_row(native: Native) -> bool:
    """Whether the prediction fields are as many as the single values of an answer: one row's."""
    assert native.response is not None  # noqa: S101 - for the type checker; dialects ask before
    value, fields = native.response.value, native.prediction_fields or ()
    name = _around(value, len(fields)) if isinstance(value, dict) else None
    held = value if name is None else value[name]
    return (
        isinstance(held, list)
        and len(held) == len(fields) > 1
        and not any(isinstance(item, (list, dict)) for item in held)
    )


def _around(members: dict[str, Any], rows: int) -> str | None:
    """The member that holds the whole answer; None where they hold it together."""
    for name in _AROUND:
        held = members.get(name)
        if isinstance(held, (list, dict)) or (held is not None and len(members) == 1):
            others = {other: members[other] for other in members if other != name}
            columns = any(isinstance(at, list) and len(at) == rows for at in others.values())
            # An object beside an answer is more of it, or about it.
            part = isinstance(held, dict) and not is_columns(held, rows) and has_answer(others)
            return None if columns or part else name
    # That may be anything, an echo of the request too.
    held = members.get(_DATA)
    if isinstance(held, (list, dict)) and all(tells_of(at) for at in members if at != _DATA):
        return _DATA
    return None
