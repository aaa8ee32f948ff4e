"""The ending: told by signals, and over in time whatever the process does."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from running import clean_environment, started

PROGRAM = """
import sys, threading, time
from scorespan.receiver.ending import Ending

seconds, again_at_once, how = sys.argv[1:]
ending = Ending(float(seconds), again_at_once=bool(int(again_at_once)))
say = lambda: print("told", flush=True)
if how == "late":
    print("begun", flush=True)
    while not ending.asked:
        time.sleep(0.01)
    ending.then(say)
    sys.exit(3)
ending.then(say)
print("begun", flush=True)
if how == "thread":
    threading.Thread(target=threading.Lock().acquire).start()
held = threading.Lock()
held.acquire()
held.acquire()
"""


def program(*, seconds, again_at_once=True, how="hangs"):
    """A process that has an ending, and hangs."""
    arguments = [str(seconds), str(int(again_at_once)), how]
    return started(
        [sys.executable, "-c", PROGRAM, *arguments], clean_environment(), stdout=subprocess.PIPE
    )


@pytest.mark.parametrize("how", ["hangs", "thread"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_hangs_ends_in_time(number, how):
    """It is told, and ends with 0 when the time is up."""
    with program(seconds=0.2, how=how) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        assert process.stdout.readline() == "told\n"
        assert process.wait(60) == 0


def test_a_second_signal_ends_at_once():
    """The exit code says by which."""
    with program(seconds=3600) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 128 + signal.SIGINT


def test_a_worker_is_told_once():
    """Its parent tells it what a service manager has told it already: that changes nothing."""
    with program(seconds=1, again_at_once=False) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stdout.read() == ""


def test_who_asks_late_is_told_at_once():
    """A signal during the start is not lost."""
    with program(seconds=3600, how="late") as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "told\n"
        assert process.wait(60) == 3
