"""Eight threads that score as fast as they can; argument 1 is the log of accepted scoring ids.

A scoring is accepted when the decorated function has returned: from then on its record may not be
lost, whatever happens to this process. With a second argument it scores once and drains.
"""

from __future__ import annotations

import os
import sys
import threading

import scorespan

scorespan.configure()
accepted = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def score(number: int) -> None:
    """One scoring, then its id in the log, in one write."""
    with scorespan.scoring_span({"fields": ["number"], "values": [[number]]}) as scoring:
        scoring.set_response({"fields": ["double"], "values": [[2 * number]]})
    os.write(accepted, scoring.id.encode() + b"\n")


def hammer() -> None:
    """Score until killed."""
    number = 0
    while True:
        number += 1
        score(number)


if len(sys.argv) > 2:
    # The first scoring opens the spool and so adopts what the dead have left.
    score(0)
    sys.exit(0 if scorespan.flush(timeout=80) else 1)
for _ in range(8):
    threading.Thread(target=hammer).start()
