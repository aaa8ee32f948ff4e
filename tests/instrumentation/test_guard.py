"""The guard: an error of ours is counted and said, and goes no further."""

from __future__ import annotations

import logging

import pytest

from scorespan.instrumentation.guard import counted, failed, guarded, swallowed


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Nothing was counted before."""
    counted.clear()


@guarded("part")
def divide(first: int, second: int) -> float:
    """A function that fails for some arguments."""
    return first / second


def test_a_guarded_function_returns_what_it_returns():
    """Where nothing is wrong the guard is not seen."""
    assert divide(1, 2) == 0.5
    assert not counted


def test_an_error_becomes_none_and_is_counted():
    """What raises returns None, and the part has one more error."""
    assert divide(1, 0) is None
    assert divide(1, 0) is None
    assert counted == {"part": 2}


def test_an_error_inside_a_block_stays_there():
    """A block is guarded as a function is."""
    with swallowed("block"):
        raise ValueError("secret")
    assert counted == {"block": 1}


def test_it_is_said_once_a_minute_and_without_its_text(caplog):
    """The line names the part and the type; the text may hold a payload value."""
    caplog.set_level(logging.WARNING, "scorespan")
    for _ in range(3):
        with swallowed("loud"):
            raise ValueError("a payload value")
    (line,) = caplog.messages
    assert line == "capture (loud) had an error: ValueError"


def test_the_alarm_of_the_service_passes():
    """A TimeoutError is the service's own: nothing of ours waits."""
    with pytest.raises(TimeoutError), swallowed("block"):
        raise TimeoutError
    assert not counted


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_is_no_error_passes(kind):
    """The end of a worker is not ours to stop."""
    with pytest.raises(kind), swallowed("block"):
        raise kind


def test_a_broken_handler_of_the_application_changes_nothing():
    """Saying it may fail, too."""

    class Broken(logging.Handler):
        def emit(self, record):  # noqa: ARG002 - the interface's
            raise OSError

    handler = Broken()
    logger = logging.getLogger("scorespan")
    logger.addHandler(handler)
    try:
        failed("part", ValueError())
    finally:
        logger.removeHandler(handler)
    assert counted == {"part": 1}
