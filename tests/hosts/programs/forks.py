"""Forks with a spool that is not empty; children end by `os._exit`, `sys.exit`, or fork again."""

from __future__ import annotations

import os
import sys

from scorer import score_many

score_many(50)
children = []
for number in range(6):
    child = os.fork()
    if child == 0:
        score_many(50)
        if number == 0:
            sys.exit(0)  # drains as the parent does
        if number == 1:
            grandchild = os.fork()
            score_many(50)
            if grandchild:
                os.waitpid(grandchild, 0)
        os._exit(0)
    children.append(child)
score_many(50)
for child in children:
    if os.waitpid(child, 0)[1]:
        sys.exit("a child failed")
