"""The numbered span: a number comes with the write, once."""

from __future__ import annotations

from scorespan import producer
from scorespan.conversion.numbered import NumberedSpan
from scorespan.conversion.span import ScoringSpan, decode

SPAN = ScoringSpan(request=b"{}", response=b"{}", trace_id="t")


def test_a_span_that_is_not_written_takes_no_number():
    """Whatever ends before the write leaves no gap."""
    before = producer.given()
    assert NumberedSpan(SPAN).size >= len(b"{}{}")
    assert producer.given() == before


def test_a_number_stays():
    """Written again, or refused after all, a span keeps the number that it was given."""
    numbered = NumberedSpan(SPAN)
    before = producer.given()
    first, second = (decode(b"".join(numbered.encode())) for _ in range(2))
    assert first == second == numbered.named()
    assert (first.producer_id, first.sequence) == (producer.current().id, producer.current().last)
    assert producer.given() == before + 1


def test_a_number_that_the_span_brings_is_kept():
    """Another producer's numbers are its own."""
    before = producer.given()
    brought = SPAN._replace(producer_id="other", sequence=7)
    numbered = NumberedSpan(brought)
    assert decode(b"".join(numbered.encode())) == numbered.named() == brought
    assert producer.given() == before


def test_half_a_name_is_none():
    """A number without a producer, or a producer without a number, names nothing."""
    for half in (SPAN._replace(sequence=7), SPAN._replace(producer_id="other")):
        assert NumberedSpan(half).named().producer_id == producer.current().id
