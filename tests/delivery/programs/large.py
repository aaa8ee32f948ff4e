"""Scores once with a body of so many bytes; prints what that cost: memory and the longest stall.

`large.py URL SPOOL_DIR BYTES WORD` prints a JSON object, all in bytes and seconds.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from pathlib import Path

import scorespan

STATUS = Path("/proc/self/status")


def peak() -> int:
    """The most memory that this process has had since the last reset."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def reset_peak() -> None:
    """Forget the peak."""
    Path("/proc/self/clear_refs").write_text("5")


def main(url: str, spool_dir: str, size: int, word: str) -> None:
    """Score."""
    scorespan.configure(
        data_mart_url=url,
        data_mart_id="large",
        data_mart_kind="scorespan",
        token="token",
        subscription_id="large",
        spool_dir=spool_dir,
    )
    response = '{"fields": ["p"], "values": [[0]]}'
    with scorespan.scoring_span('{"fields": ["a"], "values": [[1]]}') as scoring:
        scoring.set_response(response)
    scorespan.flush(60)
    gc.collect()
    reset_peak()
    before = peak()
    row = f'["less_0", 4, "all \\"credits\\"", "{word}"]'
    request = '{"fields": ["a", "b", "c", "d"], "values": ['
    request = "".join([request, ", ".join([row] * ((size - 60) // (len(row) + 2))), "]}"])
    gc.collect()
    reset_peak()
    own = peak()
    ended = threading.Event()
    gaps = []

    def tick() -> None:
        last = time.monotonic(), time.process_time()
        while not ended.is_set():
            time.sleep(0.001)
            now = time.monotonic(), time.process_time()
            # Only while this process computes can its own threads be what held this one up; the
            # rest of the wait is other processes'.
            gaps.append(min(now[0] - last[0], now[1] - last[1]))
            last = now

    ticking = threading.Thread(target=tick)
    started = time.monotonic()
    ticking.start()
    with scorespan.scoring_span(request) as scoring:
        scoring.set_response(response)
    caller = time.monotonic() - started
    flushed = scorespan.flush(100)
    took = time.monotonic() - started
    ended.set()
    ticking.join()
    known = {
        "body": len(request),
        "flushed": flushed,
        "application": own - before,
        "growth": peak() - own,
        "worst_gap": max(gaps),
        "caller": caller,
        "took": took,
    }
    sys.stdout.write(json.dumps(known))
    scorespan.shutdown()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
