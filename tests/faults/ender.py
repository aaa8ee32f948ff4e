"""A program that scores from threads and from asyncio, and ends as its last argument says.

Arguments: accepted log, settings as JSON, `exit` or `SIGTERM` (then it waits for that signal).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading

import scorespan

accepted = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
scorespan.configure(**json.loads(sys.argv[2]))


def score(number: int) -> None:
    """One scoring, noted when it has returned."""
    with scorespan.scoring_span({"fields": ["n"], "values": [[number]]}) as scoring:
        scoring.set_response({"fields": ["p"], "values": [[0]]})
    os.write(accepted, scoring.id.encode() + b"\n")


async def tasks() -> None:
    """500 scorings from tasks."""

    async def one(number: int) -> None:
        await asyncio.sleep(0)
        score(number)

    await asyncio.gather(*(one(number) for number in range(500)))


threads = [
    threading.Thread(target=lambda: [score(number) for number in range(125)]) for _ in range(4)
]
for thread in threads:
    thread.start()
asyncio.run(tasks())
for thread in threads:
    thread.join()
if sys.argv[3] == "SIGTERM":
    signal.pause()
