"""The numbered span: a scoring span that gets its number when its entry is written.

Given earlier, the number would be missing for ever where the process is killed before the write.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scorespan.conversion.span import Ids, ScoringSpan, encode
from scorespan.producer import Producer

_META_BYTES = 512
"""About what an entry takes beside its bodies."""
PART_BYTES = 4 * 1024 * 1024
"""About how many bytes of entries are written at once; one that is larger comes alone."""


class NumberedSpan:
    """A span on its way into the spool. The number that it brings, or is given, stays.

    Args:
        span: the span.
        producer: gives the number where the span brings none.
        ids: where the record belongs, as far as the span does not say it.
    """

    __slots__ = ("_ids", "_number", "_producer", "_span")

    def __init__(self, span: ScoringSpan, producer: Producer, ids: Ids) -> None:
        self._span = span
        self._producer = producer
        self._ids = ids
        self._number: tuple[str, int] | None = None

    @property
    def size(self) -> int:
        """About how many bytes the entry takes."""
        return _META_BYTES + body_bytes(self._span)

    def encode(self) -> list[bytes]:
        """The entry, in pieces. To be called under the lock of the write."""
        return encode(self._span, self._given(), self._ids)

    def named(self) -> ScoringSpan:
        """The span with its number and ids."""
        return self._ids.completed(self._span, self._given())

    def _given(self) -> tuple[str, int] | None:
        """Producer and number, where the span has none of its own."""
        if self._number is None and not is_named(self._span):
            self._number = self._producer.next_number()
        return self._number


class NumberedSpans:
    """Spans on their way into the spool together, in parts. Numbers that they bring stay.

    Args:
        spans: the spans.
        producer: gives numbers where spans bring none, under the lock of the write only: those of
            a write that fails are given again.
        ids: where the records belong, as far as the spans do not say it.
    """

    def __init__(self, spans: Sequence[ScoringSpan], producer: Producer, ids: Ids) -> None:
        self._spans = spans
        self._producer = producer
        self._ids = ids
        self._sizes = [_META_BYTES + body_bytes(span) for span in spans]
        self._parts: list[NumberedPart] = []

    @property
    def size(self) -> int:
        """About how many bytes the entries take."""
        return sum(self._sizes)

    def parts(self) -> Iterator[NumberedPart]:
        """The spans in order, in parts of at most `PART_BYTES` of entries, or of one span."""
        start = size = 0
        for place, more in enumerate(self._sizes):
            if size + more > PART_BYTES and place > start:
                yield self._part(start, place)
                start, size = place, 0
            size += more
        if start < len(self._spans):
            yield self._part(start, len(self._spans))

    def named(self) -> Iterator[ScoringSpan]:
        """Those that were given a number, with it; without those that it was taken back from."""
        for part in self._parts:
            for span, number in part.given:
                yield self._ids.completed(span, number)

    def _part(self, start: int, end: int) -> NumberedPart:
        part = NumberedPart(self._spans[start:end], self._producer, self._ids)
        self._parts.append(part)
        return part


class NumberedPart:
    """Spans that are written at once. Those that bring their number are encoded beforehand.

    Args:
        spans: the spans.
        producer: as `NumberedSpans` has it.
        ids: likewise.

    Attributes:
        given: spans that were given a number, and the number.
    """

    def __init__(self, spans: Sequence[ScoringSpan], producer: Producer, ids: Ids) -> None:
        self._spans = spans
        self._producer = producer
        self._ids = ids
        self._encoded = [encode(span, None, ids) if is_named(span) else None for span in spans]
        self.given: list[tuple[ScoringSpan, tuple[str, int]]] = []

    def encode(self) -> list[list[bytes]]:
        """The entries, each in pieces. To be called once, under the lock of the write."""
        encoded, self._encoded = self._encoded, []
        return [
            self._numbered(span) if entry is None else entry
            for span, entry in zip(self._spans, encoded, strict=True)
        ]

    def take_back(self) -> None:
        """None of these was written: the next ones get the numbers. Under the same lock."""
        if not self.given:
            return
        before = self.given[0][1][1] - 1
        # A signal handler may have scored in the middle, and has one of the numbers.
        if self._producer.last - before == len(self.given):
            self._producer.give_again(before + 1)
            self.given = []

    def _numbered(self, span: ScoringSpan) -> list[bytes]:
        number = self._producer.next_number()
        self.given.append((span, number))
        return encode(span, number, self._ids)


def is_named(span: ScoringSpan) -> bool:
    """Whether the span brings producer and number; half a name is none."""
    return span.sequence is not None and span.producer_id is not None


def body_bytes(span: ScoringSpan) -> int:
    """How many bytes the bodies of a span have."""
    return len(span.request or b"") + len(span.response or b"")
