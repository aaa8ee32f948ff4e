"""The lingering transport: closes when its owner says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scorespan.transport import JoinedTransport


class LingeringTransport(JoinedTransport):
    """A transport that is told to close, and stays until its owner closes it.

    Args:
        transport: what it stands before.
        leave: called at the first `close`, to close with `close_now` when it is time.
    """

    def __init__(self, transport: asyncio.Transport, leave: Callable[[], None]) -> None:
        super().__init__(transport)
        self._leave = leave
        self._closing = False

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        """Write out, then leave it to the owner; once."""
        if not self.is_closing():
            self._closing = True
            self._flush()
            self._leave()

    def close_now(self) -> None:
        """Close as the transport does: what is written goes out first."""
        self._closing = True
        super().close()
