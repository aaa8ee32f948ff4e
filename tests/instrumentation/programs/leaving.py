"""A service that ends in the way of its argument, and says what is delivered at its end."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time

CASE = sys.argv[1]

if CASE == "gevent":
    from gevent import monkey

    monkey.patch_all()
if CASE == "eventlet":
    import eventlet

    eventlet.monkey_patch()

from scorespan import producer
from scorespan.instrumentation import exits, gate, switch
from scorespan.instrumentation.importing import after_import
from scorespan.settings import Settings

# A shell that starts the tests in its background has it ignored, and so would this process.
signal.signal(signal.SIGINT, signal.default_int_handler)

lock = threading.Lock()
returned = threading.Event()


def say(line: str) -> None:
    """Tell the test; in one write, as several threads may."""
    os.write(1, f"{line}\n".encode())


def drain(seconds: float) -> None:
    """What delivers: it says so, and where the case wants it, takes its time."""
    if CASE == "second":
        say("draining")
        time.sleep(1000)
    if CASE == "returns":
        returned.wait(60)
    with lock:
        say(f"drained {seconds > 0}")


def score() -> None:
    """One scoring, as far as the exits see it."""
    switch.ready()
    gate.scores()
    producer.current().next_number()


def compute() -> None:
    """Be in C for hours."""
    signal.alarm(100)  # longer than a test waits; no process is left behind
    say("ready")
    sum(range(10**15))


def chained(number: int, frame: object) -> None:
    """A handler of the service's own that calls the one before, and ends the process well."""
    before(number, frame)
    say("theirs")
    sys.exit(0)


class Exchange:
    """One that is answering."""


class Call:
    """One whose answer its caller has left open."""

    def finish(self, *, unread_rest: bool) -> None:
        """Make the record."""
        score()
        say(f"recorded {unread_rest}")


def theirs(*_: object) -> None:
    """A handler of the service's own."""
    say("theirs")
    os._exit(7)


def wait() -> None:
    """Go on for ever, as a server does."""
    time.sleep(0.01)  # gevent has its hub then, as in a service that has scored
    say("ready")
    while True:
        time.sleep(0.05)


seconds = 3 if CASE == "stays" else 60
switch.install(Settings.load({"shutdown_seconds": seconds}, {}), lambda: None, drain)
if CASE == "handled":
    signal.signal(signal.SIGTERM, theirs)
if CASE == "thread":
    thread = threading.Thread(target=exits.install)
    thread.start()
    thread.join()
else:
    exits.install()
after_import("multiprocessing.util", exits.instrument)

if CASE in {"term", "second", "handled", "gevent", "eventlet"}:
    score()
    wait()
elif CASE == "thread":
    thread = threading.Thread(target=score)
    thread.start()
    thread.join()
    wait()
elif CASE == "computes":
    compute()
elif CASE == "chained":
    score()
    before = signal.signal(signal.SIGTERM, chained)
    atexit.register(say, "at exit")
    wait()
elif CASE == "first":
    score()
    say(f"{os.getpid()} {signal.getsignal(signal.SIGTERM) == signal.SIG_DFL}")
elif CASE == "idle":
    switch.ready()
    wait()
elif CASE == "returns":
    score()
    signal.raise_signal(signal.SIGTERM)
    say("returned")
    returned.set()
elif CASE == "locked":
    score()
    with lock:
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.2)
        say("unlocking")
    wait()
elif CASE == "answering":
    score()
    exchange = Exchange()
    gate.answering.add(exchange)
    signal.raise_signal(signal.SIGTERM)
    time.sleep(0.2)
    say("answered")
    gate.answering.discard(exchange)
    wait()
elif CASE == "stays":
    score()
    exchange = Exchange()
    gate.answering.add(exchange)
    wait()
elif CASE == "unread":
    from scorespan.instrumentation import unread

    switch.ready()
    gate.scores()
    call = Call()
    unread.watch(call)
    wait()
elif CASE == "later":
    score()
    before = signal.signal(signal.SIGTERM, lambda *_: say("theirs"))
    signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)
    signal.raise_signal(signal.SIGTERM)
    wait()
elif CASE == "fork":
    score()
    if os.fork() == 0:
        score()
        wait()
    say("parent")
    status = os.wait()[1]
    say(f"child ended by {os.WTERMSIG(status)}")
    os.kill(os.getpid(), signal.SIGTERM)
    wait()
elif CASE == "pool":
    score()
    child_id = os.fork()
    if child_id == 0:
        compute()
    os.kill(child_id, signal.SIGTERM)
    say(f"child ended by {os.WTERMSIG(os.waitpid(child_id, 0)[1])}")
elif CASE in {"multiprocessing", "idle child"}:
    import multiprocessing

    if CASE == "multiprocessing":
        child = multiprocessing.get_context("fork").Process(target=score)
    else:
        score()
        child = multiprocessing.get_context("fork").Process(target=switch.ready)
    child.start()
    child.join()
    say(f"child {child.exitcode}")
