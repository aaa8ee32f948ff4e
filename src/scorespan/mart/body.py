"""A body: the request or the response of a payload record, read as fields and values."""

from __future__ import annotations

import re
from typing import Any, NamedTuple, cast

import msgspec
import orjson

from scorespan.mart.faults import Fault, fault
from scorespan.mart.layout import Layout, column_kinds

DEEPEST = 1000
"""Deepest nesting of a whole request document."""

WRAPPERS = {"request": "input_data", "response": "predictions"}
"""The member that some engines put around a body, as a list of one."""

_PARSER_LIMIT = 1024
"""The nesting at which orjson refuses a document, by its documentation."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


class Body(NamedTuple):
    """What the table needs to know of a body."""

    layout: Layout
    rows: int


class Frame(NamedTuple):
    """Fields and rows. A flat list of values has become one row."""

    fields: list[str]
    rows: list[list[Any]]


class BodyError(Exception):
    """A body is not fields and values; carries the fault, which lacks the record's index."""

    def __init__(self, found: Fault) -> None:
        super().__init__(found["message"])
        self.fault = found


def read_body(text: bytes, side: str) -> Body:
    """Read a body of any accepted form.

    Args:
        text: the body, part of a document that is valid JSON.
        side: `request` or `response`; faults name their field below it.

    Raises:
        BodyError: the body is not fields and values.
    """
    try:
        document = msgspec.json.decode(text)
    except RecursionError as error:
        raise BodyError(too_deep(side)) from error
    except msgspec.DecodeError as error:
        message = "a number is beyond the range of a double"
        raise BodyError(fault("number_out_of_range", message, field=side)) from error
    inner = _unwrapped(document, side)
    frame = read_frame(inner, side)
    meta = inner.get("meta") if side == "request" else None
    kinds = column_kinds(len(frame.fields), frame.rows)
    if meta is None:
        return Body(Layout(tuple(frame.fields), kinds), len(frame.rows))
    path = f"{side}.meta"
    if type(meta) is not dict:
        raise BodyError(fault("wrong_type", "meta must be an object", field=path))
    beside = read_frame(meta, path)
    check_pairing(len(frame.rows), len(beside.rows), f"{path}.values")
    meta_kinds = column_kinds(len(beside.fields), beside.rows)
    layout = Layout(tuple(frame.fields), kinds, tuple(beside.fields), meta_kinds)
    return Body(layout, len(frame.rows))


def _unwrapped(document: object, side: str) -> dict[str, Any]:
    if type(document) is not dict:
        raise BodyError(fault("wrong_type", f"{side} must be an object", field=side))
    wrapper = WRAPPERS[side]
    if wrapper not in document or "fields" in document or "values" in document:
        return document
    path = f"{side}.{wrapper}"
    elements = document[wrapper]
    if type(elements) is not list or not all(type(element) is dict for element in elements):
        raise BodyError(fault("wrong_type", f"{wrapper} must be a list of objects", field=path))
    if len(elements) != 1:
        message = f"{wrapper} must hold one element; send the others as records of their own"
        raise BodyError(fault("several_bodies", message, field=path))
    return cast("dict[str, Any]", elements[0])


def read_frame(document: dict[str, Any], path: str) -> Frame:
    """The fields and rows of one object; every row as wide as the fields.

    Raises:
        BodyError: something is missing, of another type, or of another width.
    """
    for name in ("fields", "values"):
        if name not in document:
            message = f"{path} has no {name}"
            raise BodyError(fault(f"missing_{name}", message, field=f"{path}.{name}"))
    fields, values = document["fields"], document["values"]
    if type(fields) is not list or not all(type(name) is str for name in fields):
        message = "fields must be a list of strings"
        raise BodyError(fault("wrong_type", message, field=f"{path}.fields"))
    if type(values) is not list:
        raise BodyError(fault("wrong_type", "values must be a list", field=f"{path}.values"))
    rows = values
    if not all(type(row) is list for row in values):
        rows = [values]
        odd = next((at for at, row in enumerate(values) if type(row) is dict), None)
        if odd is not None:
            message = "a row must be a list of values"
            raise BodyError(fault("wrong_type", message, field=f"{path}.values", row=odd))
    width = len(fields)
    for at, row in enumerate(rows):
        if len(row) != width:
            message = f"the row has {len(row)} values for {width} fields"
            raise BodyError(fault("row_width_mismatch", message, field=f"{path}.values", row=at))
    return Frame(fields, rows)


def check_pairing(expected: int, found: int, field: str) -> None:
    """Each row needs its partner in the request.

    Raises:
        BodyError: the counts differ; names the first row that stands alone.
    """
    if expected != found:
        message = f"{found} rows stand against {expected} rows of the request"
        raise BodyError(fault("row_count_mismatch", message, field=field, row=min(expected, found)))


def too_deep(field: str | None = None, index: int | None = None) -> Fault:
    """The fault of a document nested deeper than `DEEPEST`."""
    message = f"the document is nested deeper than {DEEPEST} levels"
    return fault("nested_too_deep", message, field=field, index=index)


def nested_deeper(text: bytes, limit: int) -> bool:
    """Whether a valid JSON text nests deeper than `limit`, which is at most `DEEPEST`."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    around = _PARSER_LIMIT - limit
    try:
        orjson.loads(b"[" * around + text + b"]" * around)
    except orjson.JSONDecodeError:
        # Too deep, or a number that this parser refuses: count.
        return _depth_exceeds(text, limit)
    return False


def _depth_exceeds(text: bytes, limit: int) -> bool:
    depth = 0
    for token in _TOKEN.finditer(text):
        first = text[token.start()]
        if first in b"[{":
            depth += 1
            if depth > limit:
                return True
        elif first in b"]}":
            depth -= 1
    return False
