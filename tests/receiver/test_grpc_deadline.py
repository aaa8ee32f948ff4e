"""The deadline ends what takes too long, and only that."""

from __future__ import annotations

import threading

from scorespan.receiver.grpc_deadline import Deadline

TIMEOUT = 60


def test_what_takes_too_long_is_ended():
    """Each of several, one after the other or at the same time."""
    deadline = Deadline(0.01)
    for _ in range(3):
        first, second = threading.Event(), threading.Event()
        with deadline.watching(first.set), deadline.watching(second.set):
            assert first.wait(TIMEOUT)
            assert second.wait(TIMEOUT)
    deadline.close()


def test_what_ends_in_time_is_left_alone():
    """Neither those that have come and gone are ended, nor does who still runs go with them."""
    deadline = Deadline(TIMEOUT)
    ended: list[int] = []
    for number in range(100):
        with deadline.watching(lambda number=number: ended.append(number)):
            pass
    deadline.close()
    assert ended == []
    deadline = Deadline(0.05)
    late = threading.Event()
    with deadline.watching(late.set):
        for _ in range(100):
            with deadline.watching(lambda: None):
                pass
        assert late.wait(TIMEOUT)
    deadline.close()


def test_many_threads_may_be_watched():
    """Whoever is too slow is ended, whichever thread came first."""
    deadline = Deadline(0.05)
    ended = threading.Semaphore(0)

    def slow() -> None:
        over = threading.Event()
        with deadline.watching(over.set):
            if over.wait(TIMEOUT):
                ended.release()

    threads = [threading.Thread(target=slow) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
        assert ended.acquire(blocking=False)
    deadline.close()


def test_a_close_ends_the_thread():
    """Nothing is left behind, whether something was watched or not."""
    before = set(threading.enumerate())
    unused, used, waiting = Deadline(60), Deadline(60), Deadline(60)
    with used.watching(lambda: None):
        pass
    with waiting.watching(lambda: None):
        for deadline in (unused, used, waiting):
            deadline.close()
        for thread in set(threading.enumerate()) - before:
            thread.join(TIMEOUT)
            assert not thread.is_alive()
