"""Native threads: of the operating system, whatever the application has patched."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from running import clean_environment
from scorespan.threads import Bell, native, wait_apart

EARLY = """
import gevent.monkey
gevent.monkey.patch_all()
from scorespan.threads import native, wait_apart
"""
LATE = """
from scorespan.threads import native, wait_apart
import gevent.monkey
gevent.monkey.patch_all()
"""
EVENTLET = """
import eventlet
eventlet.monkey_patch()
from scorespan.threads import native
"""
COMPUTING = """
import time
seen = []
first, second = native.Event(), native.Event()
def step():
    first.set()
    seen.append(native.get_native_id())
    second.set()
native.Thread(target=step, daemon=True).start()
deadline = time.monotonic() + 50
while not second.is_set() and time.monotonic() < deadline:
    pass  # a greenlet that computes lets no other greenlet run
assert second.is_set() and first.is_set()
assert seen != [native.get_native_id()]
"""


def run(program: str) -> str:
    """What a program prints in a process of its own, which must end well and without a word."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_without_gevent_it_is_the_standard_module():
    """Debuggers, coverage and `threading.enumerate` know our threads where nothing is patched."""
    assert native.Thread is threading.Thread
    assert native.Condition is threading.Condition
    assert wait_apart(threading.get_ident) == threading.get_ident()
    with pytest.raises(AttributeError, match="Thraed"):
        _ = native.Thraed


@pytest.mark.parametrize("patched", [EARLY, LATE, EVENTLET], ids=["early", "late", "eventlet"])
def test_a_native_thread_runs_beside_a_greenlet_that_computes(patched):
    """A greenlet that never yields does not stop it: in gunicorn the patch comes after us."""
    run(patched + COMPUTING)


LOCKS = """
import _thread
original = gevent.monkey.get_original("_thread", "allocate_lock")
assert type(native.Lock()) is type(original())
held, free, lock = native.Event(), native.Event(), native.RLock()
def hold():
    with lock:
        held.set()
        free.wait(50)
thread = native.Thread(target=hold)
thread.start()
assert held.wait(50) and not lock.acquire(timeout=0.01)
free.set()
thread.join(50)
assert lock.acquire(timeout=50) and not thread.is_alive()

condition, ready = native.Condition(), []
def answer():
    with condition:
        ready.append(1)
        condition.notify_all()
native.Thread(target=answer).start()
with condition:
    assert condition.wait_for(lambda: ready, 50)
"""


@pytest.mark.parametrize("patched", [EARLY, LATE], ids=["early", "late"])
def test_locks_events_and_conditions_hold_between_native_threads(patched):
    """A greenlet's thread and a native one wait for each other, and are told."""
    run(patched + LOCKS)


SENTINEL = """
import threading
def first_use():
    native.Thread(target=int).start()
    pool_threads.append(native.get_ident())
pool_threads = []
for _ in range(3):
    gevent.get_hub().threadpool.apply(first_use)
thread = threading.Thread(target=int)
thread.start()
thread.join(50)
assert not thread.is_alive() and threading.main_thread().is_alive()
print(threading.active_count())
"""


def test_the_application_keeps_its_own_threads():
    """The copy takes nothing from the standard module: its threads end, and only its are listed."""
    assert run(EARLY + SENTINEL) == "1\n"


SOCKETS = """
import os, socket
server = socket.create_server(("127.0.0.1", 0))
port = server.getsockname()[1]
def call():
    assert socket.getaddrinfo("localhost", port)
    socket.create_connection(("127.0.0.1", port), timeout=50).close()
def calls(count):
    for _ in range(count):
        thread = native.Thread(target=call)
        thread.start()
        thread.join(50)
        assert not thread.is_alive()
        server.accept()[0].close()
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
calls(3)
before = sum(calls(1))
# The last thread's own may still be on their way out.
assert sum(calls(40)) <= before + 10, before
"""


def test_sockets_of_a_native_thread_leave_nothing_behind():
    """A thread's patched sockets wait on a hub of its own, and the hub goes with the thread."""
    run(EARLY + SOCKETS)


WAITING = """
import time
release = native.Event()
ticks = []
def tick():
    for _ in range(20):
        ticks.append(1)
        gevent.sleep(0)
    release.set()
ticking = gevent.spawn(tick)
assert wait_apart(lambda: release.wait(50)) is True
print(len(ticks))
"""


def test_other_greenlets_run_while_one_waits_apart():
    """A flush in one request does not stop the others."""
    assert run(EARLY + WAITING) == "20\n"


def test_a_wait_apart_without_gevent_is_the_wait_itself():
    """Nothing is started where there are no greenlets to let run."""
    before = threading.active_count()
    assert wait_apart(threading.active_count) == before
    assert wait_apart(time.monotonic) > 0


def test_a_bell_lets_all_who_wait_go_on():
    """It stays set until it is cleared; a wait has its bound."""
    bell = Bell()
    assert not bell.is_set()
    assert not bell.wait(0.01)
    waiting = [threading.Thread(target=bell.wait) for _ in range(3)]
    for thread in waiting:
        thread.start()
    bell.set()
    bell.set()
    for thread in waiting:
        thread.join(30)
        assert not thread.is_alive()
    assert bell.wait(0)
    assert bell.is_set()
    bell.clear()
    bell.clear()
    assert not bell.is_set()


def test_a_bell_outlives_the_exceptions_of_a_signal_handler():
    """Wherever one comes, who sets it next is not held up, and who waits goes on."""
    code = """
import signal
from scorespan.threads import Bell

def interrupt(*_):
    global armed
    if armed:
        armed = False
        raise TimeoutError

armed = False
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
bell, interrupted = Bell(), 0
while interrupted < 1000:
    try:
        armed = True
        bell.set()
        bell.clear()
        armed = False
    except TimeoutError:
        interrupted += 1
signal.setitimer(signal.ITIMER_REAL, 0)
bell.set()
print(bell.wait(10))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "True\n"
