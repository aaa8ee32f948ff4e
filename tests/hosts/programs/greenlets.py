"""gevent: greenlets and its thread pool score, flush and configure, while a greenlet computes.

Argument 1: the spool root.
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import json
import sys
import time
from pathlib import Path

import gevent
from scorer import score, score_many

import scorespan


def stored() -> int:
    """How many records this process has delivered, as it says itself."""
    found = [json.loads(path.read_text()) for path in Path(sys.argv[1]).glob("w-*/status.json")]
    return sum(status["outcomes"]["stored"] for status in found)


# Nothing is delivered on the application's hub, which has no turn here.
score()
deadline = time.monotonic() + 50
while not stored():
    if time.monotonic() > deadline:
        sys.exit("a greenlet that computes holds up delivery")

pool = gevent.get_hub().threadpool
scoring = [gevent.spawn(score_many, 20) for _ in range(100)]
apart = [pool.spawn(score_many, 20) for _ in range(10)]
flushing = [gevent.spawn(scorespan.flush, 50) for _ in range(5)]
gevent.joinall(scoring)
for one in apart:
    one.get()
gevent.joinall(flushing)
if [one.value for one in flushing] != [True] * 5:
    sys.exit("a flush from a greenlet failed")
again = gevent.spawn(scorespan.configure)
more = [gevent.spawn(score_many, 20) for _ in range(10)]
gevent.joinall([again, *more])
again.get()
score()
