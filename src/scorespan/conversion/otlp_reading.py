"""The reading of one OTLP request: what both of its formats come to."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

from scorespan.conversion.attribute_values import MARKS, resource_values
from scorespan.conversion.span import ScoringSpan
from scorespan.errors import ConversionError

NO_RESOURCE = resource_values({})
"""What a span begins with that has no resource."""
_MARKS = tuple(sorted(name.encode() for name in MARKS))
_ID_DIGITS = 40


class Read(NamedTuple):
    """What a request holds.

    Attributes:
        spans: every scoring span, in order; also those that cannot be read, whose `problems` say
            why and whose request is what came in their place.
        others: how many spans are no scorings.
        unreadable: how many of `spans` could not be read.
        why: why the first of those could not; it repeats no value of theirs.
    """

    spans: list[ScoringSpan]
    others: int
    unreadable: int
    why: str | None


class WrongError(Exception):
    """A part of a request is not what it must be; says in what, without any value."""


class Reading:
    """What has been read of a request so far. One damaged span never costs the others.

    Args:
        content_type: of the bytes that are kept where a span cannot be read.
    """

    def __init__(self, content_type: str) -> None:
        self._spans: list[ScoringSpan] = []
        self._others = 0
        self._content_type = content_type
        self._unreadable = 0
        self._why: str | None = None

    def add(self, span: ScoringSpan | None, resource_why: str | None) -> None:
        """Add what a span was read as: a scoring span, or None.

        Args:
            span: the scoring span.
            resource_why: why its resource cannot be read, if it cannot.
        """
        if span is None:
            self._others += 1
        elif resource_why is None:
            self._spans.append(span)
        else:
            self._spans.append(span._replace(problems=(*(span.problems or ()), resource_why)))

    def keep(self, raw: bytes, error: Exception, resource: list[Any] = NO_RESOURCE) -> None:
        """Keep what cannot be read, where it names a scoring; anything else is no scoring span.

        Args:
            raw: the bytes of a span, or of a part of the request that should hold spans.
            error: why it cannot be read.
            resource: its resource's values, where they could be read.
        """
        if not any(mark in raw for mark in _MARKS):
            self._others += 1
            return
        why = why_of(error)
        self._unreadable += 1
        self._why = self._why or why
        # The same bytes have the same id each time they come: once in the account, not once a try.
        digest = hashlib.sha256(raw).hexdigest()[:_ID_DIGITS]
        self._spans.append(
            ScoringSpan._make(resource)._replace(
                request=raw,
                request_content_type=self._content_type,
                scoring_id=f"unreadable-{digest}",
                problems=(why,),
            )
        )

    def done(self, body: bytes) -> Read:
        """What the whole request holds.

        Args:
            body: the request. It is kept where it names a scoring and no span at all was found.
        """
        if not self._spans and not self._others and any(mark in body for mark in _MARKS):
            self.keep(body, WrongError("no spans where OTLP has them"))
        return Read(self._spans, self._others, self._unreadable, self._why)


def why_of(error: Exception) -> str:
    """The reason that an error gives, without any value of what was read."""
    return str(error) if isinstance(error, WrongError) else f"damaged ({type(error).__name__})"


def no_request(why: str) -> ConversionError:
    """The error of a body that is no request at all."""
    return ConversionError("otlp_request", f"the body is no ExportTraceServiceRequest: {why}")
