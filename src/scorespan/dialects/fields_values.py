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
                "row_count", f"response.values: {answers} rows for {rows} rows of the request"
            )
    return DialectBodies(request, response, rows)


def _rows(text: bytes, name: str) -> int | ConversionError:
    """How many rows a body has, or what is wrong with it."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        hint = ""
        if error.pos >= len(error.doc):
            hint = "; it ends too early, as a text does that a length limit has cut"
        return ConversionError("invalid_json", f"{name}: not valid JSON: {error}{hint}")
    if not isinstance(body, dict) or not {"fields", "values"} <= body.keys():
        return ConversionError(
            "no_fields_values", f"{name}: an object with `fields` and `values` is needed"
        )
    meta = body.get("meta")
    rows = _table_rows(body, name)
    if isinstance(meta, dict) and "values" in meta and not isinstance(rows, ConversionError):
        meta_rows = _table_rows(meta, f"{name}.meta")
        if isinstance(meta_rows, ConversionError):
            return meta_rows
        if meta_rows != rows:
            return ConversionError(
                "row_count", f"{name}.meta.values: {meta_rows} rows for {rows} rows"
            )
    return rows


def _table_rows(table: dict[str, Any], name: str) -> int | ConversionError:
    fields, values = table.get("fields"), table["values"]
    if not isinstance(fields, list) or not all(type(field) is str for field in fields):
        return ConversionError("wrong_type", f"{name}.fields: a list of strings is needed")
    if not isinstance(values, list):
        return ConversionError("wrong_type", f"{name}.values: a list of rows is needed")
    width = len(fields)
    if values and not any(isinstance(row, list) for row in values):
        values = [values]
    for position, row in enumerate(values):
        if not isinstance(row, list):
            return ConversionError("wrong_type", f"{name}.values[{position}]: a list is needed")
        if len(row) != width:
            return ConversionError(
                "row_width",
                f"{name}.values[{position}]: {len(row)} values for {width} fields",
            )
    return len(values)
