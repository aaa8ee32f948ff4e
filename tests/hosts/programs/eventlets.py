"""eventlet: green threads that score."""

from __future__ import annotations

import eventlet

eventlet.monkey_patch()

import sys

from scorer import score_many

import scorespan

scoring = [eventlet.spawn(score_many, 20) for _ in range(50)]
for one in scoring:
    one.wait()
if not eventlet.spawn(scorespan.flush, 50).wait():
    sys.exit("a flush from a green thread failed")
score_many(10)
