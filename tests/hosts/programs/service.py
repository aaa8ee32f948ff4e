"""Scores, says so, and waits for a signal; arguments: how many, and how SIGTERM is taken."""

from __future__ import annotations

import signal
import sys

from scorer import score_many

if sys.argv[2] == "exit":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
score_many(int(sys.argv[1]))
print("scored", flush=True)
while True:
    signal.pause()
