"""An event loop whose coroutines score; prints the loop's worst gap between two ticks, in seconds.

Argument 1: `with` or `without` payload logging.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

if sys.argv[1] == "with":
    from scorer import score
else:

    def score(number: int) -> str:
        """What a service does with its bodies anyhow."""
        return json.dumps({"fields": ["number"], "values": [[number]]})


gaps = []


async def tick() -> None:
    """Measure for as long as the loop runs."""
    before = time.perf_counter()
    while True:
        await asyncio.sleep(0)
        now = time.perf_counter()
        gaps.append(now - before)
        before = now


async def requests(count: int) -> None:
    """Requests of one client, one after the other."""
    for number in range(count):
        score(number)
        await asyncio.sleep(0)


async def main() -> None:
    """Twenty clients at once."""
    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(requests(100) for _ in range(20)))
    ticking.cancel()


asyncio.run(main())
print(max(gaps))
