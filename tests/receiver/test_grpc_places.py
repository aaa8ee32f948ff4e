"""The places for messages that are read: so many in all, fewer for one sender."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from running import wait_until
from scorespan.errors import ReceiverError
from scorespan.receiver.grpc_places import Places

LONG = 60.0


def test_there_are_so_many_places_and_no_more():
    """Who finds none in time may come again; what is left is free for the next."""
    places = Places(2, 2)
    with ExitStack() as stack:
        stack.enter_context(places.place("a", LONG))
        stack.enter_context(places.place("b", LONG))
        with pytest.raises(ReceiverError) as caught, places.place("c", 0.01):
            pytest.fail("there was a third place")
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
    with places.place("c", 0), places.place("c", 0):
        pass


def test_one_sender_has_some_of_them_at_most():
    """The others are for the others, as soon as one is free and as often as one fails in it."""
    places = Places(3, 1)
    for _ in range(3):
        with (
            pytest.raises(ZeroDivisionError),
            places.place("a", 0),
            places.place("b", 0),
        ):
            raise ZeroDivisionError
    with places.place("a", 0):
        with pytest.raises(ReceiverError), places.place("a", 0.01):
            pytest.fail("one sender had two places")
        with places.place("b", 0), places.place("c", 0):
            pass


def test_who_waits_gets_the_place_that_is_left():
    """A place that is given back goes to one who waits for it."""
    places = Places(1, 1)
    got = threading.Semaphore(0)

    def wait() -> None:
        with places.place("b", LONG):
            got.release()

    threads = [threading.Thread(target=wait) for _ in range(5)]
    with places.place("a", LONG):
        for thread in threads:
            thread.start()
        assert not got.acquire(blocking=False)
    for thread in threads:
        assert got.acquire(timeout=LONG)
        thread.join(LONG)


def test_a_close_ends_all_waiting():
    """Who waits, and who comes later, may come again: to another process."""
    places = Places(1, 1)
    told: list[ReceiverError] = []

    def wait() -> None:
        try:
            with places.place("b", LONG):
                pytest.fail("there was a place")
        except ReceiverError as error:
            told.append(error)

    with places.place("a", LONG):
        thread = threading.Thread(target=wait)
        thread.start()
        places.close()
        thread.join(LONG)
        wait_until(lambda: len(told) == 1, "it is told")
    with pytest.raises(ReceiverError), places.place("c", LONG):
        pytest.fail("there was a place")
    assert told[0].retry_after == 1
