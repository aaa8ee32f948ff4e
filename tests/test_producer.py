"""The producer: one id per process, and numbers without a gap."""

from __future__ import annotations

import subprocess
import sys
import threading

from scorespan import producer


def test_numbers_follow_one_another():
    """Each number is the one after the last, of the same producer."""
    first_id, first = producer.current().next_number()
    assert producer.current().next_number() == (first_id, first + 1)
    assert (producer.current().id, producer.current().last) == (first_id, first + 1)


def test_threads_share_the_numbers():
    """No two threads get the same number, and none is left out."""
    _, start = producer.current().next_number()
    taken: list[int] = []

    def take():
        taken.extend([producer.current().next_number()[1] for _ in range(500)])

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(start + 1, start + 4001))
    assert producer.current().last == start + 4000


FORKING = """
import os
from scorespan import producer

own_id, _ = producer.current().next_number()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    found = (producer.current().id, producer.current().last, *producer.current().next_number())
    os.write(writing, " ".join(map(str, found)).encode())
    os._exit(0)
os.close(writing)
os.waitpid(child, 0)
before_id, before, child_id, first = os.fdopen(reading).read().split()
assert before_id == child_id != own_id
assert (before, first) == ("0", "1")
assert producer.current().next_number() == (own_id, 2)
"""


def test_a_forked_child_is_a_producer_of_its_own():
    """A child counts from 1 under another id; the parent's numbers go on."""
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
