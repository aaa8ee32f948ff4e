"""The failure: what is kept of an exception, and how much of it."""

from __future__ import annotations

import traceback

import pytest

import scorespan
from conftest import Recorded
from scorespan.failure import MOST, Failure
from scorespan.instrumentation.exchange import Exchange
from scorespan.settings import Settings

HUGE = 30_000_000
ROOM = MOST + 200
"""With the mark of what was left out."""


def raised(error: BaseException) -> BaseException:
    """The same, after it was raised here."""
    try:
        raise error  # noqa: TRY301 - for its traceback
    except BaseException as caught:  # noqa: BLE001 - whatever it is
        return caught


def test_it_is_what_python_says():
    """Class, text and traceback, with the causes."""
    error = raised(ValueError("bad row"))
    error.__cause__ = raised(KeyError("a"))
    failure = Failure.of(error)
    assert failure[:2] == ("ValueError", "bad row")
    assert failure.stacktrace == "".join(traceback.format_exception(error))


def test_a_long_text_is_cut_and_its_frames_are_kept():
    """The stack trace has where it was raised; both say how much is gone."""
    failure = Failure.of(raised(ValueError("x" * HUGE)))
    assert failure.message == "x" * MOST + f"... ({HUGE - MOST} characters left out)"
    assert failure.stacktrace is not None
    assert len(failure.stacktrace) <= ROOM
    assert "in raised" in failure.stacktrace
    assert failure.stacktrace.endswith("characters left out)\n")


def test_a_long_stack_is_kept_from_its_end():
    """Where it was raised is there, and how much is not."""
    error = raised(ValueError("last"))
    for number in range(2000):
        cause = raised(ValueError(f"cause {number}"))
        cause.__cause__ = error.__cause__
        error.__cause__ = cause
    stacktrace = Failure.of(error).stacktrace
    assert stacktrace is not None
    assert len(stacktrace) <= ROOM
    assert stacktrace.endswith("ValueError: last\n")
    assert stacktrace.partition(" characters left out) ...")[0][1:].isdigit()


def test_a_secret_is_in_no_part():
    """Not in the text, and not where it is cut."""
    failure = Failure.of(raised(OSError("x" * (MOST - 3) + "secret")), secret="secret")
    assert "sec" not in failure.message + str(failure.stacktrace).partition("OSError")[2]


@pytest.mark.parametrize("way", ["model", "service"])
def test_a_failed_scoring_is_bounded_whatever_failed(recorded: Recorded, way: str):
    """By model code or in a service: message, stack trace and status."""
    error = raised(ValueError("x" * HUGE))
    if way == "model":
        with scorespan.scoring_span("{}") as scoring:
            scoring.set_error(error)
    else:
        exchange = Exchange("hook", Settings.load({}, {}), {})
        exchange.fail(error)
        exchange.end()
    (span,) = recorded.spans()
    (event,) = span.events
    texts = [span.status.description, *event.attributes.values()]
    assert len(texts) == 4
    assert max(map(len, texts)) <= ROOM
