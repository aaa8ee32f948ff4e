"""The fields/values dialect: `{"fields": ["a"], "values": [[1], [2]], "meta"?: {...}}`.

Row i of the response belongs to row i of the request. A flat `values` list is one row, as hosted
data marts take it. The text of a body is never changed.
"""

from __future__ import annotations

from typing import Any

import orjson

from scorespan.dialects.bodies import DialectBodies
from scorespan.errors import ConversionError

NAME = "fields_values"
KEEPS_TEXT = True
_TEXT = {str}


def read(request: bytes, response: bytes | None) -> DialectBodies | ConversionError:
    """Check both bodies; see `scorespan.dialects.read`."""
    rows = _rows(request, "request")
    if isinstance(rows, ConversionError):
        return rows
    if response is not None:
        answers = _rows(response, "response")
        if isinstance(answers, ConversionError):
            return answers
        if answers != rows:
            return ConversionError(
                "row_count_mismatch",
                f"response.values: {answers} rows for {rows} rows of the request",
            )
    return DialectBodies(request, response, rows)


def _rows(text: bytes, name: str) -> int | ConversionError:
    """How many rows a body has, or what is wrong with it."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = ""
        # Of a text that is not UTF-8, orjson shows nothing.
        if error.doc and error.pos >= len(error.doc):
            hint = "; it ends too early, as a text does that a length limit has cut"
        return ConversionError("invalid_json", f"{name}: not valid JSON: {error}{hint}")
    rows = _table_rows(body, name)
    meta = body.get("meta") if isinstance(rows, int) else None
    if isinstance(meta, dict) and "values" in meta:
        meta_rows = _table_rows(meta, f"{name}.meta")
        if meta_rows != rows:
            if isinstance(meta_rows, ConversionError):
                return meta_rows
            return ConversionError(
                "row_count_mismatch", f"{name}.meta.values: {meta_rows} rows for {rows} rows"
            )
    return rows


def _table_rows(table: Any, name: str) -> int | ConversionError:
    """How many rows a table has. What is wrong with it is looked for only where something is."""
    if type(table) is not dict:
        return _fault(table, name)
    fields, values = table.get("fields"), table.get("values")
    if (
        type(fields) is not list
        or type(values) is not list
        or not _TEXT.issuperset(map(type, fields))
    ):
        return _fault(table, name)
    width = len(fields)
    for row in values:
        if type(row) is not list or len(row) != width:
            flat = len(values) == width and not all(type(cell) is list for cell in values)
            return 1 if flat else _fault(table, name)
    return len(values)


def _fault(table: Any, name: str) -> ConversionError:
    if not isinstance(table, dict) or "fields" not in table or "values" not in table:
        return ConversionError(
            "no_fields_values", f"{name}: an object with `fields` and `values` is needed"
        )
    fields, values = table["fields"], table["values"]
    if not isinstance(fields, list) or not _TEXT.issuperset(map(type, fields)):
        return ConversionError("wrong_type", f"{name}.fields: a list of strings is needed")
    if not isinstance(values, list):
        return ConversionError("wrong_type", f"{name}.values: a list of rows is needed")
    if list not in set(map(type, values)):
        return ConversionError(
            "row_width_mismatch", f"{name}.values: {len(values)} values for {len(fields)} fields"
        )
    position, row = next(
        (position, row)
        for position, row in enumerate(values)
        if not isinstance(row, list) or len(row) != len(fields)
    )
    place = f"{name}.values[{position}]"
    if not isinstance(row, list):
        return ConversionError("wrong_type", f"{place}: a list is needed")
    return ConversionError(
        "row_width_mismatch", f"{place}: {len(row)} values for {len(fields)} fields"
    )
