"""Native bodies for tests: what an engine was sent, what it answered, and what becomes of it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

from scorespan import dialects
from scorespan.dialects import Native, NativeBody
from scorespan.errors import ConversionError

JSON, CSV, LINES = "application/json", "text/csv", "application/jsonlines"


class Read(NamedTuple):
    """Both bodies as they stand in the record."""

    request: Any
    response: Any
    notes: tuple[str, ...]
    dialect: str


def native(  # noqa: PLR0913 - each is one attribute of a scoring span
    request: Any,
    response: Any = None,
    *,
    sent: str | None = JSON,
    answered: str | None = JSON,
    names: tuple[str, ...] | None = None,
    fields: tuple[str, ...] | None = None,
) -> Native:
    """A scoring; bodies are text, bytes, or values that are written as JSON; None: no answer."""
    answer = None if response is None else NativeBody(as_bytes(response), answered, "response")
    return Native(NativeBody(as_bytes(request), sent, "request"), answer, names, fields)


def as_bytes(body: Any) -> bytes:
    """A body's bytes."""
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body)).encode()


def read(name: str | None, scoring: Native) -> Read:
    """What a dialect makes of a scoring: the bodies parsed, numbers with all their digits."""
    bodies = dialects.read(name, scoring)
    assert not isinstance(bodies, ConversionError), bodies
    return Read(parsed(bodies.request), parsed(bodies.response), bodies.notes, bodies.dialect)


def refused(name: str | None, scoring: Native) -> ConversionError:
    """Why a dialect refuses a scoring."""
    error = dialects.read(name, scoring)
    assert isinstance(error, ConversionError), error
    return error


def parsed(body: bytes | memoryview | None) -> Any:
    """A body's fields/values; numbers that a double would change are their text, marked."""
    if body is None:
        return None
    return json.loads(bytes(body), parse_float=exact)


def exact(digits: str) -> Any:
    """A number as it is written, where a double would say something else."""
    number = float(digits)
    return number if Decimal(repr(number)) == Decimal(digits) else f"number {digits}"


def table(fields: list[str], *rows: list[Any]) -> dict[str, Any]:
    """The fields/values form."""
    return {"fields": fields, "values": list(rows)}
