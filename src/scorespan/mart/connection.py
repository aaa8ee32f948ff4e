"""A connection whose answers leave in one write."""

from __future__ import annotations

import asyncio
from typing import cast

from uvicorn.protocols.http.h11_impl import H11Protocol

from scorespan.transport import JoinedTransport


class JoinedProtocol(H11Protocol):
    """HTTP/1.1 with headers and body of an answer in one segment."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection."""
        joined = JoinedTransport(transport)
        super().connection_made(cast("asyncio.Transport", joined))
