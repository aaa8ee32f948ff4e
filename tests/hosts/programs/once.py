"""Scores, says so, and ends; argument 1: how many."""

from __future__ import annotations

import sys

from scorer import score_many

score_many(int(sys.argv[1]))
print("scored", flush=True)
