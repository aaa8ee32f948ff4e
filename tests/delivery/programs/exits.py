"""Scores fifty times, says so, and ends."""

from __future__ import annotations

import sys

import scorespan

scorespan.configure()
for _ in range(50):
    with scorespan.scoring_span('{"fields": ["a"], "values": [[1]]}') as scoring:
        scoring.set_response('{"fields": ["p"], "values": [[1]]}')
    sys.stdout.write(f"{scoring.id}\n")
sys.stdout.write("scored\n")
sys.stdout.flush()
