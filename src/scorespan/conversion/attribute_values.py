"""Attribute values of a scoring span, checked: what both readers share.

A reader brings the attributes as plain Python values (an OTLP reader decodes them first), so the
two doors cannot disagree about types, precedence or defaults. This is the caller's thread: the work
goes with the attributes that are there, not with those that might be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from scorespan import attributes
from scorespan.bodies import encode_value
from scorespan.conversion.span import MAX_BODY, ScoringSpan
from scorespan.telemetry import said

_INT64 = 2**63
_ENCODED = 1024 * 1024
_SHOWN = 200
_PLACE = {name: place for place, name in enumerate(ScoringSpan._fields)}
_OWN_DATA = slice(_PLACE["name"], _PLACE["error_message"] + 1)
_NOTES, _PROBLEMS = _PLACE["notes"], _PLACE["problems"]

_BODIES = {
    attributes.REQUEST: _PLACE["request"],
    attributes.RESPONSE: _PLACE["response"],
}
_SHARED = {
    attributes.BINDING_ID: _PLACE["binding_id"],
    attributes.SUBSCRIPTION_ID: _PLACE["subscription_id"],
    attributes.DEPLOYMENT_ID: _PLACE["deployment_id"],
}
_OF_RESOURCE = {
    **_SHARED,
    attributes.SERVICE_NAME: _PLACE["service_name"],
    attributes.SERVICE_INSTANCE_ID: _PLACE["service_instance_id"],
}
_TEXTS = {
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
_INTEGERS = {
    attributes.RESPONSE_TIME: _PLACE["response_time"],
    attributes.SEQUENCE: _PLACE["sequence"],
}
_LISTS = {
    attributes.FEATURE_NAMES: _PLACE["feature_names"],
    attributes.NOTES: _NOTES,
}


class OwnData(NamedTuple):
    """What a span says outside its attributes, in the order of ScoringSpan's fields."""

    name: str
    trace_id: str
    span_id: str
    start_time: int
    end_time: int
    failed: bool
    error_type: str | None
    error_message: str | None


def resource_values(resource: Mapping[str, Any]) -> list[Any]:
    """What every span of a resource begins with: a list in the order of ScoringSpan's fields.

    An id that is no string is taken as text: left out, its records would go where the settings say.
    """
    values = list(ScoringSpan())
    for name, place in _OF_RESOURCE.items():
        value = resource.get(name)
        if value is not None:
            values[place] = said(value)
    return values


def scoring_span(found: Mapping[str, Any], own: OwnData, resource: list[Any]) -> ScoringSpan:
    """The scoring span made of a span's attributes, its own data and its resource's values.

    What is wrong with an attribute is named in `problems`; nothing raises.
    """
    values = resource.copy()
    values[_OWN_DATA] = own
    problems: list[str] = []
    for name, value in found.items():
        place = _BODIES.get(name)
        if place is not None:
            if type(value) is str and value.isascii() and len(value) <= MAX_BODY:
                values[place] = value.encode("ascii")
            else:
                values[place] = _body(name, value, values, problems)
            continue
        place = _TEXTS.get(name)
        if place is not None and type(value) is str:
            values[place] = value
        elif name in _INTEGERS and type(value) is int and -_INT64 <= value < _INT64:
            values[_INTEGERS[name]] = value
        elif value is not None:
            _rest(name, value, values, problems)
    if problems:
        values[_PROBLEMS] = tuple(problems)
    return ScoringSpan._make(values)


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
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            values[_LISTS[name]] = (*(values[_LISTS[name]] or ()), *value)
            return
        expected = "a list of strings"
    elif name == attributes.PROBLEM and isinstance(value, str):
        problems.append(value)
        return
    elif name in _TEXTS and isinstance(value, str):
        values[_TEXTS[name]] = str.__str__(value)
        return
    elif name in _TEXTS or name == attributes.PROBLEM:
        expected = "a string"
    elif name in _INTEGERS:
        expected = "an integer of 64 bits"
    else:
        return
    shown = said(value)[:_SHOWN]
    problems.append(f"{name}: {expected} is needed, not {type(value).__name__} {shown}")
    if name in _SHARED:
        values[_SHARED[name]] = None
