"""The numbered span: a scoring span that gets its number when its entry is written.

Given earlier, the number would be missing for ever where the process is killed before the write.
"""

from __future__ import annotations

from scorespan.conversion.span import ScoringSpan, encode
from scorespan.producer import Producer

_META_BYTES = 512
"""About what an entry takes beside its bodies."""


class NumberedSpan:
    """A span on its way into the spool. The number that it brings, or is given, stays.

    Args:
        span: the span.
        producer: gives the number where the span brings none.
    """

    __slots__ = ("_number", "_producer", "_span")

    def __init__(self, span: ScoringSpan, producer: Producer) -> None:
        self._span = span
        self._producer = producer
        self._number: tuple[str, int] | None = None

    @property
    def size(self) -> int:
        """About how many bytes the entry takes."""
        request, response = self._span.request, self._span.response
        return _META_BYTES + len(request or b"") + len(response or b"")

    def encode(self) -> list[bytes]:
        """The entry, in pieces. To be called under the lock of the write."""
        return encode(self._span, self._given())

    def named(self) -> ScoringSpan:
        """The span with its number."""
        number = self._given()
        if number is None:
            return self._span
        return self._span._replace(producer_id=number[0], sequence=number[1])

    def _given(self) -> tuple[str, int] | None:
        """Producer and number, where the span has none of its own."""
        span = self._span
        if self._number is None and (span.sequence is None or span.producer_id is None):
            self._number = self._producer.next_number()
        return self._number
