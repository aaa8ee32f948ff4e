"""The teed input: a WSGI request's body, which shows what the service reads of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

_INTO = frozenset({"readinto", "readinto1"})
_READERS = frozenset({"read1", "readall"})


class TeedInput:
    """A `wsgi.input` in place of another, to which it leaves everything.

    Attributes:
        ended: whether the service has read to the end, as far as can be seen.

    Args:
        original: the server's.
        took: called with whatever the service has read; does not raise.
    """

    __slots__ = ("_original", "_took", "ended")

    def __init__(self, original: Any, took: Callable[[bytes], None]) -> None:
        self._original = original
        self._took = took
        self.ended = False

    def read(self, *size: Any) -> bytes:
        """The original's `read`."""
        part: bytes = self._original.read(*size)
        self._see(part, all_of_it=not size or size[0] is None or size[0] == -1)
        return part

    def readline(self, *size: Any) -> bytes:
        """The original's `readline`."""
        line: bytes = self._original.readline(*size)
        self._see(line, all_of_it=not line and size != (0,))
        return line

    def readlines(self, *hint: Any) -> list[bytes]:
        """The original's `readlines`."""
        lines: list[bytes] = self._original.readlines(*hint)
        for line in lines:
            self._took(line)
        self.ended = self.ended or not hint
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._original:
            self._took(line)
            yield line
        self.ended = True

    def __next__(self) -> bytes:
        line: bytes = next(self._original)
        self._took(line)
        return line

    def __getattr__(self, name: str) -> Any:
        held = getattr(self._original, name)
        if name in _INTO:
            return functools.partial(self._read_into, held)
        if name in _READERS:
            return functools.partial(self._read_with, held)
        return held

    def _read_with(self, reader: Callable[..., bytes], *size: Any) -> bytes:
        part = reader(*size)
        self._see(part, all_of_it=not size)
        return part

    def _read_into(self, reader: Callable[..., int], buffer: Any) -> int:
        count = reader(buffer)
        if count:
            self._took(memoryview(buffer).cast("B")[:count].tobytes())
        elif len(buffer):
            self.ended = True
        return count

    def _see(self, part: bytes, *, all_of_it: bool) -> None:
        if part:
            self._took(part)
        elif part is not None:
            all_of_it = True
        self.ended = self.ended or all_of_it
