"""The uvicorn exit: it ends by the signal that it was sent, and `atexit` never runs."""

from __future__ import annotations

import asyncio
import functools
from contextlib import suppress
from types import ModuleType
from typing import Any

from scorespan.instrumentation import switch
from scorespan.instrumentation.guard import swallowed
from scorespan.threads import native

_LOOK_SECONDS = 0.1


def instrument(module: ModuleType) -> None:
    """Deliver what was scored when a server has shut down, before its process ends."""
    original = module.Server.shutdown

    @functools.wraps(original)
    async def shutdown(self: Any, sockets: Any = None) -> None:
        try:
            await original(self, sockets)
        finally:
            with swallowed("uvicorn"):
                await _drained(self)

    module.Server.shutdown = shutdown


async def _drained(server: Any) -> None:
    """Return when all is delivered, or its time is over, or the server is to end at once."""
    if not switch.owes():
        return
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def drain() -> None:
        switch.drain()
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(done.set)

    # A thread of our own: a pool's would be waited for even by a server that ends at once.
    native.Thread(target=drain, daemon=True).start()
    waiting = loop.create_task(done.wait())
    try:
        while not done.is_set() and not getattr(server, "force_exit", False):
            await asyncio.wait({waiting}, timeout=_LOOK_SECONDS)
    finally:
        waiting.cancel()
