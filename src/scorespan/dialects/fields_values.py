"""The fields/values dialect: `{"fields": ["a"], "values": [[1], [2]], "meta"?: {...}}`.

Row i of the response belongs to row i of the request. A flat `values` list is one row, as hosted
data marts take it. The text of a body in this form is never changed. Other forms are taken too, of
each body for itself: the wrappers `{"input_data": [{fields, values}]}` and `{"predictions": ...}`,
a response of any form that `answers` reads, and `values` without `fields`: images and texts in one
column, or rows of several scalars under the feature names, which must be as many.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import orjson

from scorespan.dialects.answers import answer
from scorespan.dialects.bodies import DialectBodies
from scorespan.dialects.native import Native, NativeBody, json_fault
from scorespan.dialects.table import (
    PREDICTION,
    SCORING_INPUT,
    encoded,
    named_rows,
    wrong_fields,
)
from scorespan.errors import ConversionError

NAME = "fields_values"
KEEPS_TEXT = True
_TEXT = {str}
_WRAPPERS = {"request": "input_data", "response": "predictions"}
_AROUND = {
    side: re.compile(rb'\s*\{\s*"' + name.encode() + rb'"\s*:\s*\[\s*')
    for side, name in _WRAPPERS.items()
}
_SPACE = b" \t\r\n"


def exact(request: bytes, response: bytes | None) -> DialectBodies | ConversionError:
    """Bodies that are in fields/values form already, checked; their text is kept."""
    rows = _rows(request, "request")
    if isinstance(rows, ConversionError):
        return rows
    if response is not None:
        answers = _rows(response, "response")
        if isinstance(answers, ConversionError):
            return answers
        if answers != rows:
            return _uneven(answers, rows)
    return DialectBodies(request, response, rows)


def recognises(native: Native) -> bool:
    """Whether the request has `fields`, a list of `values`, or the wrapper around both."""
    if not native.request.is_json:
        return False
    document = native.request.document
    if not isinstance(document, dict):
        return False
    if "fields" in document or isinstance(document.get("values"), list):
        return True
    return _elements(document, "request") is not None


def read(native: Native) -> DialectBodies | ConversionError:
    """Check both bodies, and put them into form where need be; see `scorespan.dialects.read`."""
    request = _inner(native.request, native.feature_names)
    rows = _rows(request, "request")
    if isinstance(rows, ConversionError):
        return rows
    if native.response is None:
        return DialectBodies(request, None, rows, native.notes)
    notes: tuple[str, ...] = ()
    document = native.response.value
    tables = isinstance(document, dict) and (
        "fields" in document
        or _elements(document, "response") is not None
        or (document.keys() == {"values"} and isinstance(document["values"], list))
    )
    if tables:
        response = _inner(native.response, native.prediction_fields)
    else:
        table = answer(native, rows)
        response, notes = table.text, table.notes
    answers = _rows(response, "response")
    if isinstance(answers, ConversionError):
        return answers
    if answers != rows:
        return _uneven(answers, rows)
    return DialectBodies(request, response, rows, native.notes + notes)


def _uneven(answers: int, rows: int) -> ConversionError:
    return ConversionError(
        "row_count_mismatch", f"response.values: {answers} rows for {rows} rows of the request"
    )


def _elements(document: dict[str, Any], side: str) -> list[dict[str, Any]] | None:
    """What a wrapper holds; None where there is none."""
    elements = document.get(_WRAPPERS[side])
    if not isinstance(elements, list) or not elements or "fields" in document:
        return None
    wrapped = all(isinstance(item, dict) and "values" in item for item in elements)
    return elements if wrapped else None


def _inner(body: NativeBody, names: Sequence[str] | None) -> bytes:
    """The fields/values text within a body; its own text, where that is all that it is."""
    try:
        document = body.document
    except ConversionError:
        return body.text
    if isinstance(document, dict):
        elements = _elements(document, body.side)
        if elements is not None:
            return _slice(body) or _joined(
                [_with_fields(element, body.side, names) for element in elements], body.side
            )
        if "fields" not in document and isinstance(document.get("values"), list):
            return encoded(_with_fields(document, body.side, names))
    return body.json_text


def _slice(body: NativeBody) -> bytes | None:
    """The text of the one element within a wrapper that holds nothing else."""
    text = body.json_text
    start = _AROUND[body.side].match(text)
    end = text.rstrip(_SPACE).removesuffix(b"}").rstrip(_SPACE).removesuffix(b"]").rstrip(_SPACE)
    if start is None or not end.endswith(b"}"):
        return None
    inner = end[start.end() :]
    try:
        element = orjson.loads(inner)
    except orjson.JSONDecodeError:
        return None
    return inner if isinstance(element, dict) and "fields" in element else None


def _with_fields(element: dict[str, Any], side: str, names: Sequence[str] | None) -> dict[str, Any]:
    """A table with columns: those of the settings for rows of their width, else one.

    Raises:
        ConversionError: `row_width_mismatch`; rows of several scalars are not of that width.
            `wrong_prediction_fields`; likewise of a response.
    """
    values = element["values"]
    if "fields" in element or not isinstance(values, list):
        return element
    wide = [isinstance(row, list) and len(row) == len(names or ()) for row in values]
    if names is not None and (all(wide) or (len(values) == len(names) and not any(wide))):
        return {**element, "fields": list(names)}
    if side == "request" and len(names or ()) > 1 and values and all(map(_is_row, values)):
        named_rows(values, names, f"{side}.values")
    fields = [SCORING_INPUT if side == "request" else PREDICTION]
    if side == "response" and names is not None:
        if len(names) > 1:
            raise wrong_fields(f"{len(names)} names for rows of another width without names")
        fields = list(names)
    single = all(isinstance(row, list) and len(row) == 1 for row in values)
    return {
        **element,
        "fields": fields,
        "values": values if single else [[value] for value in values],
    }


def _is_row(value: Any) -> bool:
    """Whether a value is a row of several scalars, rather than one value or an array."""
    return isinstance(value, list) and len(value) > 1 and list not in set(map(type, value))


def _joined(elements: list[dict[str, Any]], side: str) -> bytes:
    """The rows of all elements of a wrapper as one table; they must have the same columns."""
    first, *others = elements
    if not others:
        return encoded(first)
    for element in elements:
        rows = _rows(encoded(element), side)
        if isinstance(rows, ConversionError):
            raise rows
    alike = all(
        element["fields"] == first["fields"] and _meta_fields(element) == _meta_fields(first)
        for element in others
    )
    if not alike:
        raise ConversionError(
            "several_tables",
            f"{side}.{_WRAPPERS[side]}: {len(elements)} elements whose fields are not the same",
        )
    joined = {**first, "values": [row for element in elements for row in _row_list(element)]}
    if _meta_fields(first) is not None:
        meta = [row for element in elements for row in _row_list(element["meta"])]
        joined["meta"] = {**first["meta"], "values": meta}
    return encoded(joined)


def _meta_fields(element: dict[str, Any]) -> Any:
    meta = element.get("meta")
    return meta.get("fields") if isinstance(meta, dict) and "values" in meta else None


def _row_list(table: dict[str, Any]) -> list[Any]:
    """The rows of a table that was checked; a flat list is one."""
    values, width = table["values"], len(table["fields"])
    rows = all(isinstance(row, list) and len(row) == width for row in values)
    return values if rows else [values]


def _rows(text: bytes, name: str) -> int | ConversionError:
    """How many rows a body has, or what is wrong with it."""
    try:
        body = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return ConversionError("invalid_json", f"{name}: {json_fault(error)}")
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
