"""The places for messages that are being read: what a message needs before its size is known.

The library says nothing of a message until it is there as a whole, and keeps the bytes of those
that are coming: of as many as are read at a time, and no more.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """So many places, some of them for one sender at most. All in one event loop.

    Args:
        total: how many messages are read at a time.
        each: how many of one sender, so that one that stands still leaves places to the others.
    """

    def __init__(self, total: int, each: int) -> None:
        self._free = total
        self._each = each
        self._taken: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def place(self, sender: str) -> AsyncIterator[None]:
        """One place while the block runs; waits for it in order, for as long as it takes."""
        if self._may(sender):
            self._take(sender)
        else:
            await self._turn(sender)
        try:
            yield
        finally:
            self._leave(sender)

    async def _turn(self, sender: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((sender, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._waiting.remove((sender, turn))
            else:  # it was given in the same moment
                self._leave(sender)
            raise

    def _may(self, sender: str) -> bool:
        return self._free > 0 and self._taken[sender] < self._each

    def _take(self, sender: str) -> None:
        self._free -= 1
        self._taken[sender] += 1

    def _leave(self, sender: str) -> None:
        self._free += 1
        self._taken[sender] -= 1
        if not self._taken[sender]:
            del self._taken[sender]
        for waiting in [one for one in self._waiting if not one[1].done()]:
            if self._may(waiting[0]):
                self._take(waiting[0])
                self._waiting.remove(waiting)
                waiting[1].set_result(None)
