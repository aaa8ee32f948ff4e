"""gevent, and a data mart that never answers: a flush in one greenlet, and the end."""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import sys

import gevent
from scorer import score_many

import scorespan

ticks = []


def tick() -> None:
    """What other requests would do meanwhile."""
    while True:
        ticks.append(1)
        gevent.sleep(0.01)


score_many(int(sys.argv[1]))
gevent.spawn(tick)
if scorespan.flush(2):
    sys.exit("there was nobody to deliver to")
if len(ticks) < 5:
    sys.exit("a flush held up the other greenlets")
print("scored", flush=True)
