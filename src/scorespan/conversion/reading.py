"""Reading of a span's bodies: undone, then read by the dialect; too large ones never parsed."""

from __future__ import annotations

from typing import Any, NamedTuple

from scorespan import dialects
from scorespan.conversion.native import Kept, kept_bodies
from scorespan.conversion.span import OPAQUE_BYTES, ScoringSpan
from scorespan.dialects.native import is_vague, says_json
from scorespan.errors import ConversionError

NOT_PLAIN = frozenset({"request_encoding", "response_encoding", "request_size", "response_size"})
"""Details of spans whose bodies are not what their attributes hold."""


class ReadBodies(NamedTuple):
    """The bodies of a span as they go into the record.

    `answer` is the response as it was, undone; `facts` say of each side how it came.
    """

    bodies: dialects.DialectBodies | ConversionError
    answer: bytes | memoryview | None
    facts: dict[str, Any] | None


def read_bodies(span: ScoringSpan) -> ReadBodies:
    """The bodies of a span that has a request; the answer of a failed one is no response.

    Bodies of more than `OPAQUE_BYTES` together are never parsed. Never raises.
    """
    request, answer = kept_bodies(span)
    response = None if span.failed else answer
    bodies: dialects.DialectBodies | ConversionError
    if len(request.text) + (len(response.text) if response else 0) > OPAQUE_BYTES:
        bodies = dialects.read_opaque(
            span.dialect,
            memoryview(request.text),
            None if response is None else memoryview(response.text),
            tables=_may_be_table(request) and (response is None or _may_be_table(response)),
        )
    else:
        fields = (span.details or {}).get("prediction_fields")
        native = dialects.Native(
            _native(request, "request"),
            None if response is None else _native(response, "response"),
            span.feature_names,
            tuple(fields) if fields else None,
        )
        bodies = dialects.read(span.dialect, native)
    if isinstance(bodies, dialects.DialectBodies):
        notes = request.notes + (answer.notes if answer else ())
        bodies = bodies._replace(notes=notes + bodies.notes)
    facts = {"request": _facts(request), "response": _facts(answer) if answer else None}
    told = {side: fact for side, fact in facts.items() if fact}
    return ReadBodies(bodies, None if answer is None else answer.text, told or None)


def plain_facts(span: ScoringSpan) -> dict[str, Any] | None:
    """What is to be said of bodies that are what the attributes hold: a type that is not JSON."""
    if says_json(span.request_content_type) and says_json(span.response_content_type):
        return None
    types = {"request": span.request_content_type, "response": span.response_content_type}
    told = {
        side: {"content_type": content_type}
        for side, content_type in types.items()
        if content_type and not says_json(content_type)
    }
    return told or None


def _facts(body: Kept) -> dict[str, Any]:
    facts = dict(body.facts or {})
    if body.content_type and not says_json(body.content_type):
        facts["content_type"] = body.content_type
    return facts


def _native(body: Kept, side: str) -> dialects.NativeBody:
    return dialects.NativeBody(bytes(body.text), body.content_type, side, whole=body.whole)


def _may_be_table(body: Kept) -> bool:
    """Whether a body that is not parsed may be fields/values."""
    return body.whole and (says_json(body.content_type) or is_vague(body.content_type))
