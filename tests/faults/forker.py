"""A program that forks while records wait: arguments: accepted log, settings as JSON, a count.

The parent scores so many, forks three children that score as many each, and ends itself; one child
ends by `os._exit`, one by a normal exit, one is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import scorespan

accepted = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
scorespan.configure(**json.loads(sys.argv[2]))


def score(count: int) -> None:
    """So many scorings, each noted when it has returned."""
    for number in range(count):
        with scorespan.scoring_span({"fields": ["n"], "values": [[number]]}) as scoring:
            scoring.set_response({"fields": ["p"], "values": [[0]]})
        os.write(accepted, scoring.id.encode() + b"\n")


count = int(sys.argv[3])
score(count)
children = []
for place in range(3):
    child = os.fork()
    if child == 0:
        score(count)
        if place == 0:
            os._exit(0)
        if place == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        sys.exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
