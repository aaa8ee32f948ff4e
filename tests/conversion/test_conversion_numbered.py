"""The numbered span: a number comes with the write, once."""

from __future__ import annotations

from scorespan.conversion.numbered import NumberedSpan
from scorespan.conversion.span import ScoringSpan, decode
from scorespan.producer import Producer

SPAN = ScoringSpan(request=b"{}", response=b"{}", trace_id="t")


def test_a_span_that_is_not_written_takes_no_number():
    """Whatever ends before the write leaves no gap."""
    producer = Producer()
    assert NumberedSpan(SPAN, producer).size >= len(b"{}{}")
    assert producer.last == 0


def test_a_number_stays():
    """Written again, or refused after all, a span keeps the number that it was given."""
    producer = Producer()
    numbered = NumberedSpan(SPAN, producer)
    first, second = (decode(b"".join(numbered.encode())) for _ in range(2))
    assert first == second == numbered.named()
    assert (first.producer_id, first.sequence) == (producer.id, 1)
    assert producer.last == 1


def test_a_number_that_the_span_brings_is_kept():
    """Another producer's numbers are its own."""
    producer = Producer()
    brought = SPAN._replace(producer_id="other", sequence=7)
    numbered = NumberedSpan(brought, producer)
    assert decode(b"".join(numbered.encode())) == numbered.named() == brought
    assert producer.last == 0


def test_half_a_name_is_none():
    """A number without a producer, or a producer without a number, names nothing."""
    producer = Producer()
    for half in (SPAN._replace(sequence=7), SPAN._replace(producer_id="other")):
        assert NumberedSpan(half, producer).named().producer_id == producer.id
