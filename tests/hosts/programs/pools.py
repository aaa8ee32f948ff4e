"""Pools of processes; arguments: start method, `pool` or `executor`, and the number of tasks."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

from scorer import score

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    tasks = range(int(sys.argv[3]))
    score()
    if sys.argv[2] == "pool":
        with context.Pool(4, maxtasksperchild=1) as pool:
            found = list(pool.imap_unordered(score, tasks))
    else:
        with ProcessPoolExecutor(4, mp_context=context) as executor:
            found = list(executor.map(score, tasks))
    print(len(set(found)))
