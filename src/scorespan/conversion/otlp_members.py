"""Members of OTLP's JSON: what they must hold, and what they then are in Python."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import Any

from scorespan.conversion.otlp_reading import WrongError

_INT64, _UINT64 = 2**63, 2**64
_MAX_DEPTH = 100
_SPELT: dict[str, tuple[str, ...]] = {
    "resourceSpans": ("resource_spans",),
    "scopeSpans": (
        "scope_spans",
        "instrumentationLibrarySpans",
        "instrumentation_library_spans",
    ),
    "traceId": ("trace_id",),
    "spanId": ("span_id",),
    "startTimeUnixNano": ("start_time_unix_nano",),
    "endTimeUnixNano": ("end_time_unix_nano",),
}
"""What else a member may be called: by protobuf's own name, or an older one."""
_NONFINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def object_of(value: Any, what: str) -> dict[str, Any]:
    """An object; an empty one where there is none."""
    if value is None:
        return {}
    if type(value) is not dict:
        raise WrongError(f"{what} is no JSON object")
    return value


def _member(holder: dict[str, Any], name: str) -> Any:
    """What a member holds, however its name is spelt; None where there is none."""
    value = holder.get(name)
    if value is None and name in _SPELT:
        return next((held for each in _SPELT[name] if (held := holder.get(each)) is not None), None)
    return value


def list_of(holder: dict[str, Any], member: str) -> list[Any]:
    """A list in a member; an empty one where there is none."""
    value = _member(holder, member)
    if value is None:
        return []
    if type(value) is not list:
        raise WrongError(f"{member} is no JSON list")
    return value


def string_of(holder: dict[str, Any], member: str) -> str:
    """A text in a member; an empty one where there is none."""
    value = _member(holder, member)
    if value is None:
        return ""
    if type(value) is not str:
        raise WrongError(f"{member} is no JSON string")
    return value


def time_of(span: dict[str, Any], member: str) -> int:
    """A time in a member; 0 where there is none."""
    try:
        time = _integer(_member(span, member) or 0)
    except (ValueError, TypeError, OverflowError):
        time = -1
    if not 0 <= time < _UINT64:
        raise WrongError(f"{member} is no time in nanoseconds")
    return time


def hex_of(holder: dict[str, Any], member: str) -> str:
    """An id in hex; empty where there is none."""
    try:
        return bytes.fromhex(string_of(holder, member)).hex()
    except ValueError:
        raise WrongError(f"{member} is not in hex") from None


def value_of(value: Any, depth: int) -> Any:
    """An AnyValue in Python's own types, as the SDK has it; `depth` is 0 for the outermost."""
    if depth > _MAX_DEPTH:
        raise WrongError(f"a value is nested deeper than {_MAX_DEPTH}")
    for member, held in object_of(value, "a value").items():
        if held is None:
            continue
        if member in {"arrayValue", "array_value"}:
            items = list_of(object_of(held, member), "values")
            return tuple([value_of(item, depth + 1) for item in items])
        if member in {"kvlistValue", "kvlist_value"}:
            pairs = [
                object_of(pair, "a member") for pair in list_of(object_of(held, member), "values")
            ]
            return {
                string_of(pair, "key"): value_of(pair.get("value"), depth + 1) for pair in pairs
            }
        if member in _PLAIN:
            try:
                return _PLAIN[member](held)
            except (ValueError, TypeError, OverflowError):
                raise WrongError(f"{member} is of another type") from None
    return None


def _string(held: Any) -> str:
    if type(held) is not str:
        raise TypeError
    return held


def _flag(held: Any) -> bool:
    if type(held) is not bool:
        raise TypeError
    return held


def _integer(held: Any) -> int:
    """A whole number, which JSON may have as a string: its numbers end at 53 bits elsewhere."""
    if type(held) is bool or not isinstance(held, (int, float, str)):
        raise TypeError
    number = int(held)
    if type(held) is float and number != held:
        raise ValueError
    return number


def _int64(held: Any) -> int:
    number = _integer(held)
    if not -_INT64 <= number < _INT64:
        raise ValueError
    return number


def _double(held: Any) -> float:
    if type(held) is str:
        return _NONFINITE[held] if held in _NONFINITE else float(held)
    if type(held) not in {int, float}:
        raise TypeError
    return float(held)


def _bytes(held: Any) -> bytes:
    """Base64 of either alphabet, padded or not."""
    plain = _string(held).replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "stringValue": _string,
    "boolValue": _flag,
    "intValue": _int64,
    "doubleValue": _double,
    "bytesValue": _bytes,
    "string_value": _string,
    "bool_value": _flag,
    "int_value": _int64,
    "double_value": _double,
    "bytes_value": _bytes,
}
