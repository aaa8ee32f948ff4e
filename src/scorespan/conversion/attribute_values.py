"""Attribute values of a scoring span, checked: what both readers share.

A reader brings the attributes as plain Python values (an OTLP reader decodes them first), so the
two doors cannot disagree about types, precedence or defaults. This is the caller's thread: the work
goes with the attributes that are there, not with those that might be.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from scorespan import attributes
from scorespan.bodies import encode_value
from scorespan.conversion.span import MAX_BODY, ScoringSpan
from scorespan.telemetry import said

_INT64 = 2**63
_ENCODED = 1024 * 1024
_SHOWN = 200
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16
_PLACE = {name: place for place, name in enumerate(ScoringSpan._fields)}
_OWN_DATA = slice(_PLACE["name"], _PLACE["error_message"] + 1)
_ID, _NOTES, _PROBLEMS = _PLACE["scoring_id"], _PLACE["notes"], _PLACE["problems"]
_FEATURE_NAMES, _DETAILS = _PLACE["feature_names"], _PLACE["details"]
# What `_make` does, in half the time.
_new = functools.partial(tuple.__new__, ScoringSpan)

BODIES = {
    attributes.REQUEST: _PLACE["request"],
    attributes.RESPONSE: _PLACE["response"],
}
_SHARED = {
    attributes.BINDING_ID: _PLACE["binding_id"],
    attributes.SUBSCRIPTION_ID: _PLACE["subscription_id"],
    attributes.DEPLOYMENT_ID: _PLACE["deployment_id"],
}
_TEXTS_OF_RESOURCE = {
    **_SHARED,
    attributes.DIALECT: _PLACE["dialect"],
    attributes.SERVICE_NAME: _PLACE["service_name"],
    attributes.SERVICE_INSTANCE_ID: _PLACE["service_instance_id"],
}
OF_RESOURCE = frozenset(
    {*_TEXTS_OF_RESOURCE, attributes.FEATURE_NAMES, attributes.PREDICTION_FIELDS}
)
"""What is read of a resource."""
TEXTS = {
    **_SHARED,
    attributes.REQUEST_CONTENT_TYPE: _PLACE["request_content_type"],
    attributes.RESPONSE_CONTENT_TYPE: _PLACE["response_content_type"],
    attributes.DIALECT: _PLACE["dialect"],
    attributes.ID: _PLACE["scoring_id"],
    attributes.TIMESTAMP: _PLACE["timestamp"],
    attributes.MODEL_NAME: _PLACE["model_name"],
    attributes.MODEL_VERSION: _PLACE["model_version"],
    attributes.CLIENT_ID: _PLACE["client_id"],
    attributes.PRODUCER_ID: _PLACE["producer_id"],
}
INTEGERS = {
    attributes.RESPONSE_TIME: _PLACE["response_time"],
    attributes.SEQUENCE: _PLACE["sequence"],
}
_LISTS = {
    attributes.FEATURE_NAMES: _FEATURE_NAMES,
    attributes.NOTES: _NOTES,
}
_DETAIL_TEXTS = {
    attributes.REQUEST_ENCODING: "request_encoding",
    attributes.RESPONSE_ENCODING: "response_encoding",
    attributes.REQUEST_ID: "request_id",
    attributes.HOOK: "hook",
    attributes.STACKTRACE: "stacktrace",
}
_DETAIL_INTEGERS = {
    attributes.REQUEST_SIZE: "request_size",
    attributes.RESPONSE_SIZE: "response_size",
    attributes.HTTP_STATUS: "http_status",
    attributes.RESPONSE_CHUNKS: "response_chunks",
    attributes.FIRST_BYTE_TIME: "first_byte_time",
    attributes.DEPENDENCY_COUNT: "dependency_count",
    attributes.DEPENDENCY_TIME: "dependency_time",
    attributes.DEPENDENCY_FAILURES: "dependency_failures",
}
_DETAIL_LISTS = {
    attributes.PREDICTION_FIELDS: "prediction_fields",
    attributes.PRINTS: "prints",
}
DETAILS = {**_DETAIL_TEXTS, **_DETAIL_INTEGERS, **_DETAIL_LISTS}
"""Attributes that few spans have, and their names among `ScoringSpan.details`."""


OwnData: TypeAlias = tuple[str, str, str, int, int, bool, str | None, str | None]
"""What a span says outside its attributes, in the order of ScoringSpan's fields: name, trace id,
span id, start and end in nanoseconds since the epoch, failed, error type, error message."""

NAMES = frozenset({*BODIES, *TEXTS, *INTEGERS, *_LISTS, *DETAILS, attributes.PROBLEM})
"""All attributes that are read."""
MARKS = frozenset({attributes.REQUEST, attributes.RESPONSE, attributes.ID})
"""A span with one of these is a scoring span."""


def resource_values(resource: Mapping[str, Any]) -> list[Any]:
    """What every span of a resource begins with: a list in the order of ScoringSpan's fields.

    An id that is no string is taken as text: left out, its records would go where the settings say.
    """
    values = list(ScoringSpan())
    for name, place in _TEXTS_OF_RESOURCE.items():
        values[place] = text_of(resource.get(name))
    values[_FEATURE_NAMES] = _texts_of(resource.get(attributes.FEATURE_NAMES))
    fields = _texts_of(resource.get(attributes.PREDICTION_FIELDS))
    if fields is not None:
        values[_DETAILS] = {_DETAIL_LISTS[attributes.PREDICTION_FIELDS]: list(fields)}
    return values


def _texts_of(value: object) -> tuple[str, ...] | None:
    """A list on a resource, where the environment can only put one text with commas."""
    held = carried(value)
    if isinstance(held, str):
        return tuple(part.strip() for part in held.split(","))
    return tuple(map(said, held)) if isinstance(held, tuple) else None


def scoring_span(found: Mapping[str, Any], own: OwnData, resource: list[Any]) -> ScoringSpan:
    """The scoring span made of a span's attributes, its own data and its resource's values.

    What is wrong with an attribute is named in `problems`; nothing raises.
    """
    return filled(resource.copy(), found, own)


def filled(values: list[Any], found: Mapping[str, Any], own: OwnData) -> ScoringSpan:
    """The same, of values that already hold the resource's, and attributes in their places.

    Args:
        values: in the order of ScoringSpan's fields; a reader may have put into it what stands in
            `BODIES` as bytes, in `TEXTS` as a string and in `INTEGERS` as 64 bits.
        found: the attributes that are not in `values` yet.
        own: what the span says outside its attributes.
    """
    values[_OWN_DATA] = own
    if found:
        _fill(values, found)
    if not values[_ID]:
        # The id is made of these two: without them all such spans would be one record.
        trace_id, span_id = own[1], own[2]
        if (
            len(trace_id) != 32
            or len(span_id) != 16
            or trace_id == _NO_TRACE
            or span_id == _NO_SPAN
        ):
            problem = f"{attributes.ID}: none, and no trace id and span id to make it of"
            values[_PROBLEMS] = (*(values[_PROBLEMS] or ()), problem)
    return _new(values)


def _fill(values: list[Any], found: Mapping[str, Any]) -> None:
    """Put attributes into their places, and what is wrong with them among the problems."""
    problems: list[str] = []
    for name, value in found.items():
        place = BODIES.get(name)
        if place is not None:
            if type(value) is str and value.isascii() and len(value) <= MAX_BODY:
                values[place] = value.encode("ascii")
            else:
                values[place] = _body(name, value, values, problems)
            continue
        place = TEXTS.get(name)
        if place is not None and type(value) is str:
            values[place] = value
        elif name in INTEGERS and type(value) is int and -_INT64 <= value < _INT64:
            values[INTEGERS[name]] = value
        elif value is not None and name in NAMES:
            _rest(name, carried(value), values, problems)
    if problems:
        values[_PROBLEMS] = tuple(problems)


def _detail(name: str, value: object) -> tuple[Any, str]:
    """A detail as it is kept, and what it had to be where it is something else."""
    if name in _DETAIL_TEXTS:
        return value, "" if type(value) is str else "a string"
    if name in _DETAIL_INTEGERS:
        fits = type(value) is int and -_INT64 <= value < _INT64
        return value, "" if fits else "an integer of 64 bits"
    if isinstance(value, tuple) and all(type(item) is str for item in value):
        return list(value), ""
    return None, "a list of strings"


def nanoseconds(which: str, value: Any, found: dict[str, Any]) -> int:
    """A time that an application gave, as the whole number it should have been.

    What is no time becomes 0, and a problem among the attributes.

    Args:
        which: `start` or `end`.
        value: the time.
        found: the span's attributes.
    """
    try:
        time = int(value or 0)
    except (TypeError, ValueError, OverflowError):
        time = _INT64
    if -_INT64 <= time < _INT64:
        return time
    problem = f"the span's {which} is not a time in nanoseconds of 64 bits"
    told = found.get(attributes.PROBLEM)
    found[attributes.PROBLEM] = f"{told}; {problem}" if isinstance(told, str) else problem
    return 0


def text_of(value: object) -> str | None:
    """A value of any type as text; None for None."""
    return value if value is None or type(value) is str else said(carried(value))


def carried(value: object) -> object:
    """A value as OTLP carries it: of Python's own types, so that both doors say the same of it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, Sequence):
        return tuple(map(carried, value))
    if isinstance(value, Mapping):
        return {str(key): carried(item) for key, item in value.items()}
    return value


def _body(name: str, value: Any, values: list[Any], problems: list[str]) -> bytes | None:
    if value is None:
        return None
    if not isinstance(value, (str, bytes)):
        encoded = encode_value(value, name)
        values[_NOTES] = (*(values[_NOTES] or ()), *encoded.notes) or None
        if encoded.text is None:
            problems.append(encoded.problem or name)
            return None
        value = encoded.text
    # A lone surrogate has no UTF-8; kept as it is, it fails the check behind the put.
    body = value if isinstance(value, bytes) else _utf8(value)
    if len(body) > MAX_BODY:
        problems.append(f"{name}: {len(body)} bytes are more than an entry holds")
        return None
    return body


def _utf8(text: str) -> bytes:
    """A text's UTF-8, made in parts where it is large: an encoder lets no other thread run."""
    parts = range(0, len(text), _ENCODED)
    return b"".join([text[at : at + _ENCODED].encode("utf-8", "surrogatepass") for at in parts])


def _rest(name: str, value: object, values: list[Any], problems: list[str]) -> None:
    """The rare ones: lists of strings, a problem told by the producer, and wrong types."""
    if name in _LISTS:
        if isinstance(value, tuple) and all(type(item) is str for item in value):
            more = (values[_NOTES] or ()) if name == attributes.NOTES else ()
            values[_LISTS[name]] = (*more, *value)
            return
        expected = "a list of strings"
    elif name in DETAILS:
        detail, expected = _detail(name, value)
        if not expected:
            # The resource's are shared by all of its spans.
            values[_DETAILS] = {**(values[_DETAILS] or {}), DETAILS[name]: detail}
            return
    elif name in INTEGERS:
        if type(value) is int and -_INT64 <= value < _INT64:
            values[INTEGERS[name]] = value
            return
        expected = "an integer of 64 bits"
    elif type(value) is str:
        if name == attributes.PROBLEM:
            problems.append(value)
        else:
            values[TEXTS[name]] = value
        return
    else:
        expected = "a string"
    shown = said(value)[:_SHOWN]
    problems.append(f"{name}: {expected} is needed, not {type(value).__name__} {shown}")
    if name in _SHARED:
        values[_SHARED[name]] = None
