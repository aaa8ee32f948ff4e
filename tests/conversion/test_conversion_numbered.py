"""The numbered span: a number comes with the write, once."""

from __future__ import annotations

import pytest

from scorespan.conversion.numbered import PART_BYTES, NumberedSpan, NumberedSpans
from scorespan.conversion.span import Ids, ScoringSpan, decode
from scorespan.producer import Producer

SPAN = ScoringSpan(request=b"{}", response=b"{}", trace_id="t")


def test_a_span_that_is_not_written_takes_no_number():
    """Whatever ends before the write leaves no gap."""
    producer = Producer()
    assert NumberedSpan(SPAN, producer, Ids()).size >= len(b"{}{}")
    assert producer.last == 0


def test_a_number_stays():
    """Written again, or refused after all, a span keeps the number that it was given."""
    producer = Producer()
    numbered = NumberedSpan(SPAN, producer, Ids())
    first, second = (decode(b"".join(numbered.encode())) for _ in range(2))
    assert first == second == numbered.named()
    assert (first.producer_id, first.sequence) == (producer.id, 1)
    assert producer.last == 1


def test_a_number_that_the_span_brings_is_kept():
    """Another producer's numbers are its own."""
    producer = Producer()
    brought = SPAN._replace(producer_id="other", sequence=7)
    numbered = NumberedSpan(brought, producer, Ids())
    assert decode(b"".join(numbered.encode())) == numbered.named() == brought
    assert producer.last == 0


def test_half_a_name_is_none():
    """A number without a producer, or a producer without a number, names nothing."""
    producer = Producer()
    for half in (SPAN._replace(sequence=7), SPAN._replace(producer_id="other")):
        assert NumberedSpan(half, producer, Ids()).named().producer_id == producer.id


IDS = Ids("binding", "subscription", "deployment")


def written(spans: NumberedSpans) -> list[ScoringSpan]:
    """What the entries of all parts hold."""
    return [decode(b"".join(entry)) for part in spans.parts() for entry in part.encode()]


def test_ids_fill_what_a_span_leaves_open():
    """Alone or with others, written or named; what the span says stays."""
    producer = Producer()
    own = Ids("its", "own", "there")
    for span in (SPAN, SPAN._replace(**own._asdict())):
        numbered = NumberedSpan(span, producer, IDS)
        (found,) = written(NumberedSpans([span], producer, IDS))
        assert found._replace(sequence=None) == numbered.named()._replace(sequence=None)
        assert decode(b"".join(numbered.encode())) == numbered.named()
        expected = IDS if span is SPAN else own
        assert (found.binding_id, found.subscription_id, found.deployment_id) == expected


def test_spans_are_numbered_in_order_where_they_bring_no_number():
    """Those that bring one keep it, in their places between the others."""
    producer = Producer()
    spans = [SPAN, SPAN._replace(producer_id="other", sequence=7), SPAN._replace(sequence=3), SPAN]
    numbered = NumberedSpans(spans, producer, IDS)
    found = written(numbered)
    assert [(span.producer_id, span.sequence) for span in found] == [
        (producer.id, 1),
        ("other", 7),
        (producer.id, 2),
        (producer.id, 3),
    ]
    assert list(numbered.named()) == [found[0], found[2], found[3]]


def test_numbers_of_what_was_not_written_are_given_again():
    """So that they are missing nowhere."""
    producer = Producer()
    numbered = NumberedSpans([SPAN, SPAN], producer, IDS)
    for part in numbered.parts():
        part.encode()
        part.take_back()
    assert producer.last == 0
    assert list(numbered.named()) == []


@pytest.mark.parametrize(("times", "numbers"), [([1], [1, 3]), ([2], [1, 2]), ([1, 1, 2], [1, 4])])
def test_a_number_that_another_has_is_not_given_again(times: list[int], numbers: list[int]):
    """As one that a signal handler takes in the middle of the write, or before it has failed."""

    class Interrupted(Producer):
        """Gives numbers to a handler, too, each time behind so many of the write."""

        given = 0

        def next_number(self) -> tuple[str, int]:
            number = super().next_number()
            self.given += 1
            for _ in range(times.count(self.given)):
                next(self.numbers)
            return number

    producer = Interrupted()
    numbered = NumberedSpans([SPAN, SPAN], producer, IDS)
    for part in numbered.parts():
        part.encode()
        part.take_back()
    assert producer.last == 2 + len(times)
    assert [span.sequence for span in numbered.named()] == numbers


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([], []),
        ([1], [1]),
        ([PART_BYTES * 2], [1]),
        ([1, PART_BYTES * 2, 1], [1, 1, 1]),
        ([PART_BYTES // 2] * 5, [1] * 5),
        ([PART_BYTES // 3] * 5, [2, 2, 1]),
    ],
)
def test_parts_are_of_a_size(sizes: list[int], parts: list[int]):
    """In order, none empty, and one alone where it is too large for any."""
    spans = [SPAN._replace(request=b"x" * size, span_id=str(size)) for size in sizes]
    numbered = NumberedSpans(spans, Producer(), IDS)
    assert numbered.size >= sum(sizes)
    found = [part.encode() for part in numbered.parts()]
    assert [len(part) for part in found] == parts
    assert [decode(b"".join(entry)).span_id for part in found for entry in part] == [
        span.span_id for span in spans
    ]
