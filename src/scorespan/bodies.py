"""Bodies: values of model code as JSON text.

What becomes of a value:

===========================  ======================================================================
value                        JSON
===========================  ======================================================================
mapping, e.g. fields/values  as it is
DataFrame                    fields: the columns; values: the rows
array or list of rows        fields: the feature names, else `f0`, `f1`, ...; values: the rows
one-dimensional, a request   one row
one-dimensional, a result    one column `prediction`
empty                        the columns and no row
a single number or flag      one row, one column (`f0`; a result: `prediction`)
text, bytes                  kept: it is a body already (bytes must be UTF-8)
date, time, datetime64       RFC 3339 text
UUID, Enum, dataclass        text; its value; an object
Decimal, any integer         a number, with all its digits
NaN, infinity, NaT, NA       null, with a note on the record (JSON has no such numbers)
===========================  ======================================================================

Anything else cannot be a body: the outcome has a `problem` and no text. So has what can be read
only once, such as a generator: reading it here would leave the model nothing. Nothing here raises,
and nothing changes the value.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from scorespan.telemetry import said

PREDICTION = "prediction"
_MAX_DEPTH = 200
_PLAIN = frozenset({str, int, bool, type(None)})
_MISSING = frozenset({"NaTType", "NAType", "datetime64", "timedelta64"})
"""Types of pandas and numpy that hold, or may hold, a value that is missing."""


class EncodedBody(NamedTuple):
    """A body as JSON text, or the problem that kept it from becoming one.

    `notes` say what was changed on the way.
    """

    text: str | None
    notes: tuple[str, ...] = ()
    problem: str | None = None


def encode_request(value: object, feature_names: Sequence[str] | None = None) -> EncodedBody:
    """The request of a scoring as JSON text; see the module's table."""
    return _encode(value, "request", feature_names)


def encode_response(value: object) -> EncodedBody:
    """The result of a scoring as JSON text; see the module's table."""
    return _encode(value, "response", None)


def encode_value(value: object, name: str) -> EncodedBody:
    """Any value as JSON text, its shape unchanged: for bodies that arrive as maps or arrays."""
    return _encode(value, name, None, shape=False)


def _encode(
    value: object, name: str, feature_names: Sequence[str] | None, *, shape: bool = True
) -> EncodedBody:
    try:
        if isinstance(value, str):
            return EncodedBody(str.__str__(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return EncodedBody(bytes(value).decode())
        shaped = _fields_values(value, name, feature_names) if shape else value
        return _dump(shaped, name)
    except UnicodeDecodeError:
        return EncodedBody(None, (), f"{name}: bytes that are not UTF-8")
    except Exception as error:  # noqa: BLE001 - foreign types run code of their own; the record says so
        kind = type(value).__name__
        return EncodedBody(None, (), f"{name}: {kind} has no JSON form ({said(error)})")


def _dump(value: object, name: str) -> EncodedBody:
    notes = _Notes(name)
    try:
        text = orjson.dumps(value, default=_listed, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
        # orjson writes NaN as null without a word; only a look at the value tells them apart.
        if b"null" not in text or not _has_nonfinite(value):
            return EncodedBody(text.decode())
    except TypeError:
        pass  # something orjson does not know; the slow way below knows more, or names it
    plain = _plain(value, notes, 0)
    return EncodedBody(orjson.dumps(plain).decode(), notes.lines())


def _fields_values(value: object, name: str, feature_names: Sequence[str] | None) -> object:
    """Tables and arrays as fields/values; anything else unchanged."""
    if hasattr(value, "iloc"):
        if hasattr(value, "columns"):
            return _of_frame(value)
        names = [str(label) for label in value.index] if name == "request" else None  # type: ignore[attr-defined]
        return _of_cells(_listed(value), name, names or feature_names)
    if hasattr(value, "tolist"):
        listed = _listed(value)
        if not isinstance(listed, list):
            return _of_cells([value], name, feature_names)
        shape: Any = getattr(value, "shape", ())
        if len(shape) == 2 and not listed:
            return {"fields": _names(shape[1], feature_names), "values": []}
        value = listed
    if isinstance(value, (list, tuple)):
        return _of_list(value, name, feature_names)
    if isinstance(value, (int, float, Decimal)):
        return _of_cells([value], name, feature_names)
    return value


def _listed(value: Any) -> Any:
    """An array as lists, a numpy scalar as Python's own; orjson's hook for what it does not know.

    numpy's `tolist` would make bare numbers of nanoseconds.
    """
    kind = type(value).__name__
    if kind in {"datetime64", "timedelta64"}:
        text = str(value)
        if text == "NaT":
            return None
        if kind == "datetime64":
            return text.rstrip("0").rstrip(".") if "." in text else text
    elif kind == "ndarray" and value.dtype.kind in "Mm":
        return list(value) if value.shape else value[()]
    elif hasattr(value, "tolist"):
        plain = value.tolist()
        if type(plain) is not type(value):
            return plain
    raise TypeError(f"a value of type {kind}")


def _of_frame(frame: Any) -> dict[str, object]:
    columns = [frame.iloc[:, position].tolist() for position in range(frame.shape[1])]
    rows = zip(*columns, strict=True) if columns else ([] for _ in range(frame.shape[0]))
    return {"fields": [str(label) for label in frame.columns], "values": list(rows)}


def _of_list(items: Sequence[Any], name: str, feature_names: Sequence[str] | None) -> object:
    if not items:
        columns = list(map(str, feature_names or ())) if name == "request" else [PREDICTION]
        return {"fields": columns, "values": []}
    if all(isinstance(item, (list, tuple)) or _is_vector(item) for item in items):
        rows = [_listed(item) if _is_vector(item) else item for item in items]
        return {"fields": _names(len(rows[0]), feature_names), "values": rows}
    if not any(isinstance(item, (Mapping, list, tuple)) for item in items):
        return _of_cells(items, name, feature_names)
    return items


def _is_vector(item: object) -> bool:
    return len(getattr(item, "shape", ())) > 0


def _of_cells(
    cells: Sequence[Any], name: str, feature_names: Sequence[str] | None
) -> dict[str, object]:
    if name == "request":
        return {"fields": _names(len(cells), feature_names), "values": [cells]}
    return {"fields": [PREDICTION], "values": [[cell] for cell in cells]}


def _names(width: int, given: Sequence[str] | None) -> list[str]:
    if given is not None and len(given) == width:
        return [str(name) for name in given]
    return [f"f{position}" for position in range(width)]


def _has_nonfinite(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_has_nonfinite, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_nonfinite, value))
    return type(value) not in _PLAIN


class _Notes:
    """Counts what had to be changed, by kind."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts: dict[str, int] = {}

    def add(self, change: str) -> None:
        self._counts[change] = self._counts.get(change, 0) + 1

    def lines(self) -> tuple[str, ...]:
        return tuple(f"{self._name}: {count} x {change}" for change, count in self._counts.items())


def _plain(value: Any, notes: _Notes, depth: int) -> object:  # noqa: C901, PLR0912 - one branch for each kind of value reads best in one place
    """The value with everything orjson cannot write turned into what JSON can hold."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH}")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, notes, depth + 1)
    if isinstance(value, int):
        return orjson.Fragment(str(int(value)))
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        notes.add(f"{value} became null")
        return None
    if isinstance(value, str):
        return _plain_text(value)
    if isinstance(value, Decimal):
        if value.is_finite():
            # Never written out: an exponent can stand for gigabytes of zeros.
            return orjson.Fragment(str(Decimal(value)))
        notes.add(f"{value} became null")
        return None
    if isinstance(value, Mapping):
        members = {_plain_key(key): _plain(item, notes, depth + 1) for key, item in value.items()}
        if len(members) != len(value):
            raise ValueError("two keys have the same text")
        return members
    if type(value).__name__ in _MISSING and str(value) in {"NaT", "<NA>"}:
        notes.add(f"{value} became null")
        return None
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, (bytes, bytearray)):
        return _plain_text(value.decode())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, notes, depth + 1) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name[0] != "_"]
        return {name: _plain(getattr(value, name), notes, depth + 1) for name in names}
    if isinstance(value, Iterator):
        raise TypeError("it can be read only once")
    return _plain(_listed(value), notes, depth + 1)


def _plain_text(value: str) -> object:
    try:
        value.encode()
    except UnicodeEncodeError:
        # Kept as an escape: the reader refuses it, and the dead letter holds what was there.
        return orjson.Fragment(json.dumps(value))
    return str.__str__(value)


def _plain_key(key: Any) -> str:
    if isinstance(key, Enum):
        return _plain_key(key.value)
    if isinstance(key, str):
        key.encode()
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    if isinstance(key, (int, float, dt.date, UUID)):
        return str(key)
    if hasattr(key, "tolist"):
        return _plain_key(_listed(key))
    raise TypeError(f"a key of type {type(key).__name__}")
