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
a single number or flag      one row, one column (`f0`; a result: `prediction`)
text, bytes                  kept: it is a body already (bytes must be UTF-8)
date, time, UUID, Enum       RFC 3339 text; text; its value
Decimal, any integer         a number, with all its digits
NaN, infinity, NaT, NA       null, with a note on the record (JSON has no such numbers)
===========================  ======================================================================

Anything else cannot be a body: the outcome has a `problem` and no text. Nothing here raises.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

PREDICTION = "prediction"
_MAX_DEPTH = 200
_FAST = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_PASSTHROUGH_SUBCLASS
_PLAIN = frozenset({str, int, bool, type(None)})


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
            return EncodedBody(str(value))
        if isinstance(value, (bytes, bytearray, memoryview)):
            return EncodedBody(bytes(value).decode())
        shaped = _fields_values(value, name, feature_names) if shape else value
        return _dump(shaped, name)
    except UnicodeDecodeError:
        return EncodedBody(None, (), f"{name}: bytes that are not UTF-8")
    except Exception as error:  # noqa: BLE001 - foreign types run code of their own; the record says so
        return EncodedBody(None, (), f"{name}: {type(value).__name__} has no JSON form ({error})")


def _dump(value: object, name: str) -> EncodedBody:
    notes = _Notes(name)
    try:
        text = orjson.dumps(value, option=_FAST)
        # orjson writes NaN as null without a word; only a look at the value tells them apart.
        if b"null" not in text or not _has_nonfinite(value):
            return EncodedBody(text.decode())
    except TypeError:
        pass  # something orjson does not know; the slow way below knows more, or names it
    plain = _plain(value, notes, 0)
    return EncodedBody(orjson.dumps(plain).decode(), notes.lines())


def _fields_values(value: object, name: str, feature_names: Sequence[str] | None) -> object:
    """Tables and arrays as fields/values; anything else unchanged."""
    kind = type(value).__name__
    if kind == "DataFrame" and hasattr(value, "iloc"):
        return _of_frame(value)
    if kind == "Series" and hasattr(value, "index"):
        names = [str(label) for label in value.index] if name == "request" else None
        return _of_cells(value.tolist(), name, names or feature_names)  # type: ignore[attr-defined]
    if hasattr(value, "shape") and hasattr(value, "tolist"):
        value = value.tolist()
        if not isinstance(value, list):
            return _of_cells([value], name, feature_names)
        return _of_list(value, name, feature_names)
    if isinstance(value, (list, tuple)):
        return _of_list(value, name, feature_names)
    if isinstance(value, (int, float, Decimal)):
        return _of_cells([value], name, feature_names)
    return value


def _of_frame(frame: Any) -> dict[str, object]:
    columns = [frame.iloc[:, position].tolist() for position in range(frame.shape[1])]
    rows = zip(*columns, strict=True) if columns else ([] for _ in range(frame.shape[0]))
    return {"fields": [str(label) for label in frame.columns], "values": list(rows)}


def _of_list(items: Sequence[Any], name: str, feature_names: Sequence[str] | None) -> object:
    if items and all(isinstance(item, (list, tuple)) or _is_vector(item) for item in items):
        rows = [item.tolist() if _is_vector(item) else item for item in items]
        width = len(rows[0])
        prefix = feature_names if name == "request" else None
        return {"fields": _names(width, prefix), "values": rows}
    if items and not any(isinstance(item, (Mapping, list, tuple)) for item in items):
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
            return orjson.Fragment(format(value, "f") if value.adjusted() < 400 else str(value))
        notes.add(f"{value} became null")
        return None
    if isinstance(value, Mapping):
        return {_plain_key(key): _plain(item, notes, depth + 1) for key, item in value.items()}
    if type(value).__name__ in {"NaTType", "NAType"}:
        notes.add(f"{value} became null")
        return None
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return _plain_text(value.decode())
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), notes, depth + 1)
    if isinstance(value, (list, tuple, set, frozenset)) or hasattr(value, "__next__"):
        items: Iterable[object] = value
        return [_plain(item, notes, depth + 1) for item in items]
    if hasattr(value, "value") and hasattr(value, "name"):
        return _plain(value.value, notes, depth + 1)
    # Dataclasses and UUIDs: orjson's own forms. It raises for the rest, which names the type.
    return orjson.loads(orjson.dumps(value))


def _plain_text(value: str) -> object:
    try:
        value.encode()
    except UnicodeEncodeError:
        # Kept as an escape: the reader refuses it, and the dead letter holds what was there.
        return orjson.Fragment(json.dumps(value))
    return str(value)


def _plain_key(key: object) -> str:
    if isinstance(key, str):
        key.encode()
        return str(key)
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    if isinstance(key, (int, float, dt.date)):
        return str(key)
    raise TypeError(f"a key of type {type(key).__name__}")
