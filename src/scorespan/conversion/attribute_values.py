"""Attribute values of a scoring span, checked: what both readers share.

A reader brings the attributes as plain Python values (an OTLP reader decodes them first), so the
two doors cannot disagree about types, precedence or defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scorespan import attributes
from scorespan.bodies import encode_value
from scorespan.conversion.span import MAX_BODY, ScoringSpan

_INT64 = 2**63
_SHOWN = 200


class AttributeReader:
    """Reads one span's attributes; collects what is wrong with them instead of raising."""

    __slots__ = ("_found", "_notes", "_problems", "_resource")

    def __init__(self, found: Mapping[str, Any], resource: Mapping[str, Any]) -> None:
        self._found = found
        self._resource = resource
        self._notes: tuple[str, ...] = ()
        self._problems: tuple[str, ...] = ()

    def scoring_span(  # noqa: PLR0913 - the span's own data; the attributes are read here
        self,
        *,
        name: str,
        trace_id: str,
        span_id: str,
        start_time: int,
        end_time: int,
        failed: bool,
        error_type: str | None,
        error_message: str | None,
    ) -> ScoringSpan:
        """The scoring span made of these attributes and the span's own data."""
        request = self._body(attributes.REQUEST)
        response = self._body(attributes.RESPONSE)
        text = self._text
        shared = self._text_or_resource
        self._notes += self._texts(attributes.NOTES) or ()
        problem = text(attributes.PROBLEM)
        if problem is not None:
            self._problems += (problem,)
        # Positional, in the order of ScoringSpan's fields: keywords cost twice as much, and this
        # is the caller's thread. The two lists that collect come last.
        return ScoringSpan(
            request,
            response,
            name,
            trace_id,
            span_id,
            start_time,
            end_time,
            failed,
            error_type,
            error_message,
            text(attributes.REQUEST_CONTENT_TYPE),
            text(attributes.RESPONSE_CONTENT_TYPE),
            text(attributes.DIALECT),
            text(attributes.ID),
            shared(attributes.BINDING_ID),
            shared(attributes.SUBSCRIPTION_ID),
            shared(attributes.DEPLOYMENT_ID),
            self._texts(attributes.FEATURE_NAMES),
            self._integer(attributes.RESPONSE_TIME),
            text(attributes.TIMESTAMP),
            text(attributes.MODEL_NAME),
            text(attributes.MODEL_VERSION),
            text(attributes.CLIENT_ID),
            text(attributes.PRODUCER_ID),
            self._integer(attributes.SEQUENCE),
            self._of_resource(attributes.SERVICE_NAME),
            self._of_resource(attributes.SERVICE_INSTANCE_ID),
            self._notes or None,
            self._problems or None,
        )

    def _body(self, name: str) -> bytes | None:
        value = self._found.get(name)
        if value is None:
            return None
        if isinstance(value, bytes):
            body = value
        else:
            if not isinstance(value, str):
                encoded = encode_value(value, name)
                self._notes += encoded.notes
                if encoded.text is None:
                    self._problems += (encoded.problem or name,)
                    return None
                value = encoded.text
            # A lone surrogate has no UTF-8; kept as it is, it fails the check behind the put.
            body = value.encode("utf-8", "surrogatepass")
        if len(body) > MAX_BODY:
            self._problems += (f"{name}: {len(body)} bytes are more than an entry holds",)
            return None
        return body

    def _text(self, name: str) -> str | None:
        value = self._found.get(name)
        if value is None or type(value) is str:
            return value
        self._wrong(name, "a string", value)
        return None

    def _of_resource(self, name: str) -> str | None:
        value = self._resource.get(name)
        return value if type(value) is str else None

    def _text_or_resource(self, name: str) -> str | None:
        return self._text(name) if name in self._found else self._of_resource(name)

    def _texts(self, name: str) -> tuple[str, ...] | None:
        value = self._found.get(name)
        if value is None:
            return None
        if isinstance(value, (list, tuple)) and all(type(item) is str for item in value):
            return tuple(value)
        self._wrong(name, "a list of strings", value)
        return None

    def _integer(self, name: str) -> int | None:
        value = self._found.get(name)
        if value is None or (type(value) is int and -_INT64 <= value < _INT64):
            return value
        self._wrong(name, "an integer of 64 bits", value)
        return None

    def _wrong(self, name: str, expected: str, value: object) -> None:
        shown = repr(value)[:_SHOWN]
        self._problems += (f"{name}: {expected} is needed, not {type(value).__name__} {shown}",)
