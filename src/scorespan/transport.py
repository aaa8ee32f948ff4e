"""The transport of a server: what is written within one turn leaves in one write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


class JoinedTransport:
    """A transport whose answers leave in one write; all else is the transport's own.

    Order is kept, and closing writes out first. Written apart, the body of an answer may wait for
    the other side's delayed acknowledgement of its headers.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._pending: list[bytes] = []

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

    def close(self) -> None:
        """Close as the transport does: what is written goes out first."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pending:
            joined = b"".join(self._pending)
            self._pending.clear()
            self._transport.write(joined)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
