"""Ranges: whole numbers as few stretches, such as those that a producer gave."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """A set of whole numbers, kept as stretches that neither overlap nor touch.

    Adding at the end is cheap; a set of n stretches takes memory for n of them.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, stretches: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in stretches:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add the numbers from `first` to `last`."""
        if last < first:
            raise ValueError("a stretch ends before it begins")
        start = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        if start < end:
            first = min(first, self._firsts[start])
            last = max(last, self._lasts[end - 1])
        self._firsts[start:end] = [first]
        self._lasts[start:end] = [last]

    def remove(self, number: int) -> None:
        """Take one number out, if it is there."""
        if number not in self:
            return
        place = bisect_left(self._lasts, number)
        first, last = self._firsts[place], self._lasts[place]
        left = [(first, number - 1)] if first < number else []
        right = [(number + 1, last)] if number < last else []
        self._firsts[place : place + 1] = [one for one, _ in left + right]
        self._lasts[place : place + 1] = [one for _, one in left + right]

    def missing(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Stretches between `first` and `last` of what is not in the set, in order."""
        expected = first
        for place in range(bisect_left(self._lasts, first), len(self._firsts)):
            start, end = self._firsts[place], self._lasts[place]
            if start > last:
                break
            if start > expected:
                yield expected, start - 1
            expected = end + 1
        if expected <= last:
            yield expected, last

    def has_any(self, first: int, last: int) -> bool:
        """Whether any number from `first` to `last` is in the set."""
        place = bisect_left(self._lasts, first)
        return place < len(self._firsts) and self._firsts[place] <= last

    def among(self, others: Ranges) -> Iterator[int]:
        """The numbers that are in both, in order."""
        for first, last in others:
            place = bisect_left(self._lasts, first)
            while place < len(self._firsts) and self._firsts[place] <= last:
                yield from range(max(first, self._firsts[place]), min(last, self._lasts[place]) + 1)
                place += 1

    @property
    def highest(self) -> int:
        """The highest number; 0 where there is none."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def count(self) -> int:
        """How many numbers."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __contains__(self, number: int) -> bool:
        place = bisect_left(self._lasts, number)
        return place < len(self._firsts) and self._firsts[place] <= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._lasts, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)
