"""The lingering transport: joins what is written in a turn, and closes when its owner says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any


class LingeringTransport:
    """A transport whose answers leave in one write; all else is the transport's own.

    Order is kept, and closing writes out first. Written apart, the body of an answer may wait for
    the other side's delayed acknowledgement of its headers.

    Args:
        transport: what it stands before.
        leave: called at the first `close`, to close with `close_now` when it is time.
    """

    def __init__(self, transport: asyncio.Transport, leave: Callable[[], None]) -> None:
        self._transport = transport
        self._leave = leave
        self._pending: list[bytes] = []
        self._closing = False

    def write(self, data: bytes) -> None:
        """Write with whatever else is written in this turn."""
        if not data:
            return
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """Write all of these."""
        for part in parts:
            self.write(part)

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
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pending:
            joined = b"".join(self._pending)
            self._pending.clear()
            self._transport.write(joined)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
