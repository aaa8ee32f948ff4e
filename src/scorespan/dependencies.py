"""Dependencies: calls that go out during a scoring, counted by the client spans of a provider.

Where our processor is attached to the application's own provider it sees their spans, too. A
client span counts for a scoring span below which it stands, and for one that is its sibling, or the
like, under the same parent: what model code calls is below the span that is active, and a scoring
span is not. Two scorings that run at once under one parent both count its calls.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import Any, NamedTuple

from opentelemetry.trace import SpanKind, StatusCode

from scorespan.conversion.span import ScoringSpan

_MOST_OPEN = 4096
"""Spans that are open at once; the oldest are given up, such as those that never end."""
_MOST_CALLS = 1000
"""Calls that one span remembers, the last ones; more than these are not counted."""
_DEEPEST = 100
_COUNT, _TIME, _FAILURES = "dependency_count", "dependency_time", "dependency_failures"


class _Call(NamedTuple):
    ended: int
    elapsed: int
    failed: bool


class _Open:
    """A span that has not ended: what it stands below, and what was called below it."""

    __slots__ = ("above", "calls", "is_client")

    def __init__(self, above: _Open | None, *, is_client: bool) -> None:
        self.above = above
        self.is_client = is_client
        self.calls: deque[_Call] | None = None


class Dependencies:
    """What the spans of one provider tell of calls; any thread, without a lock. Nothing raises."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}

    def started(self, span: Any) -> None:
        """A span of the SDK has started."""
        with contextlib.suppress(Exception):  # another version of it, or others at the same place
            above = None if span.parent is None else self._open.get(span.parent.span_id)
            self._open[span.context.span_id] = _Open(above, is_client=span.kind is SpanKind.CLIENT)
            if len(self._open) > _MOST_OPEN:
                self._open.pop(next(iter(self._open)), None)

    def ended(self, span: Any, scoring_span: ScoringSpan | None) -> ScoringSpan | None:
        """A span has ended; returns its scoring span, with its dependencies, where it is one.

        Where the scoring span brings a number of its own the larger one counts: they saw the same
        calls.
        """
        with contextlib.suppress(Exception):  # as above
            entry = self._open.pop(span.context.span_id, None)
            if entry is None:
                return scoring_span
            above, entry.above = entry.above, None  # else spans in a row would hold each other
            if scoring_span is not None:
                # What is below it is below its parent as well.
                calls = _copy(entry.calls if above is None else above.calls)
                within = [call for call in calls if call.ended >= span.start_time]
                return _counted(scoring_span, within)
            if entry.is_client:
                failed = span.status.status_code is StatusCode.ERROR
                _add(above, _Call(span.end_time, span.end_time - span.start_time, failed))
        return scoring_span


def _add(above: _Open | None, call: _Call) -> None:
    """Tell a call to everything that it stands below, unless it is part of another call."""
    found: list[_Open] = []
    while above is not None and len(found) < _DEEPEST:
        if above.is_client:
            return
        found.append(above)
        above = above.above
    for entry in found:
        if entry.calls is None:
            entry.calls = deque(maxlen=_MOST_CALLS)
        entry.calls.append(call)


def _copy(calls: deque[_Call] | None) -> list[_Call]:
    while calls is not None:
        try:
            return list(calls)
        except RuntimeError:  # another thread has added one meanwhile
            continue
    return []


def _counted(scoring_span: ScoringSpan, calls: list[_Call]) -> ScoringSpan:
    details = scoring_span.details or {}
    if len(calls) <= details.get(_COUNT, 0):
        return scoring_span
    took = sum(call.elapsed for call in calls)
    counted = {
        _COUNT: len(calls),
        _TIME: (took + 500_000) // 1_000_000,
        _FAILURES: sum(call.failed for call in calls),
    }
    return scoring_span._replace(details={**details, **counted})
