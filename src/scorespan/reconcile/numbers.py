"""Numbers: for each number of a producer one small value, in a few bytes.

Numbers mostly come without holes, so they are kept in blocks, however they lie: a number far off
costs one block. A block is as long as what is in it: many producers have given few numbers.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

_BITS = 8
_SIZE = 1 << _BITS
_MASK = _SIZE - 1
_SHORTEST = 16


class Numbers:
    """Whole numbers, each with a value of so many bits; 0 stands for a number that is not there.

    Args:
        code: the type of a value, as in `array`.
    """

    __slots__ = ("_blocks", "_code")

    def __init__(self, code: str) -> None:
        self._code = code
        self._blocks: dict[int, array[int]] = {}

    def get(self, number: int) -> int:
        """The value of a number."""
        block = self._blocks.get(number >> _BITS)
        offset = number & _MASK
        return 0 if block is None or offset >= len(block) else block[offset]

    def set(self, number: int, value: int) -> None:
        """Give a number its value.

        Raises:
            TypeError: this is no whole number.
        """
        block = self._blocks.get(number >> _BITS)
        if block is None:
            block = self._blocks[number >> _BITS] = array(self._code)
        offset = number & _MASK
        if offset >= len(block):
            length = min(_SIZE, max(_SHORTEST, offset + 1, 2 * len(block)))
            block.frombytes(bytes((length - len(block)) * block.itemsize))
        block[offset] = value

    def from_the_end(self) -> Iterator[tuple[int, int]]:
        """Every number that is there, with its value, the highest first."""
        for place in sorted(self._blocks, reverse=True):
            block = self._blocks[place]
            for offset in reversed(range(len(block))):
                if block[offset]:
                    yield (place << _BITS) + offset, block[offset]

    def items(self) -> Iterator[tuple[int, int]]:
        """Every number that is there, with its value, in order."""
        for place in sorted(self._blocks):
            first = place << _BITS
            for offset, value in enumerate(self._blocks[place]):
                if value:
                    yield first + offset, value
