"""Prints during a scoring are read along; `print` itself is as it was."""

# ruff: noqa: T201 - printing is what is tested

from __future__ import annotations

import builtins
import contextlib
import gc
import io
import random
import signal
import sys
import threading
from types import ModuleType

import pytest

from scorespan import attributes
from scorespan.instrumentation import prints
from scorespan.instrumentation.exchange import Exchange, running
from scorespan.settings import Settings

SERVER = ModuleType("a_server")


@pytest.fixture(autouse=True)
def _reading():
    """`print` is read along during the test, and its own again after it."""
    original, left = builtins.print, prints._left
    prints._left = False
    prints.instrument(SERVER)
    yield
    builtins.print, prints._left = original, left


@pytest.fixture
def score(recorded):
    """Scores once: calls a function while an exchange runs, and answers the attributes."""

    def call(function, *, answer=b"[1]", **settings):
        exchange = Exchange("test", Settings.load(settings), {})
        exchange.request.add(b'{"data": [1]}')
        token = running.set(exchange)
        try:
            function()
        finally:
            running.reset(token)
        exchange.response.add(answer)
        exchange.answered(200)
        exchange.end()
        return dict(recorded.spans()[-1].attributes)

    return call


class Shy:
    """A value that can be printed once."""

    def __init__(self, error):
        self.error = error
        self.told = False

    def __str__(self):
        if self.told:
            raise self.error
        self.told = True
        return "once"


class Raising:
    """A value that cannot be printed."""

    def __str__(self):
        raise LookupError("no text")


@pytest.mark.parametrize(
    ("values", "options", "written"),
    [
        (("a line",), {}, "a line\n"),
        ((), {}, "\n"),
        (("one", 2, None), {}, "one 2 None\n"),
        (("a", "b"), {"sep": ", ", "end": ".\n"}, "a, b.\n"),
        (("a", "b"), {"sep": None, "end": None, "file": None, "flush": True}, "a b\n"),
        (("two\nlines",), {}, "two\nlines\n"),
        (("no end",), {"end": ""}, "no end"),
    ],
)
def test_a_print_is_written_as_ever_and_kept(score, capsys, values, options, written):
    """What reaches standard output is what `print` writes, and the record has it as a line."""
    found = score(lambda: builtins.print(*values, **options))
    assert capsys.readouterr().out == written
    assert found[attributes.PRINTS] == (written.removesuffix("\n"),)


def test_a_line_in_parts_is_one_line(score):
    """Prints that do not end their line are one with the next that does."""

    def model():
        builtins.print("loss", end=": ")
        builtins.print(0.5, end=", ")
        builtins.print("fine")
        builtins.print("done")

    assert score(model)[attributes.PRINTS] == ("loss: 0.5, fine", "done")


def test_prints_elsewhere_belong_to_no_record(score, tmp_path, capsys):
    """Standard error, files, other threads, and what is printed outside of a scoring."""

    def model():
        builtins.print("error", file=sys.stderr)
        with (tmp_path / "file").open("w") as file:
            builtins.print("file", file=file)
        thread = threading.Thread(target=builtins.print, args=("thread",))
        thread.start()
        thread.join()

    builtins.print("model initialized")
    found = score(model)
    builtins.print("after")
    assert attributes.PRINTS not in found
    assert capsys.readouterr() == ("model initialized\nthread\nafter\n", "error\n")
    assert (tmp_path / "file").read_text() == "file\n"


def test_a_context_that_outlives_its_scoring_keeps_nothing(score):
    """A task that a scoring has left behind prints for nobody."""
    kept = []
    score(lambda: kept.append(running.get()))
    token = running.set(kept[0])
    builtins.print("late")
    running.reset(token)
    assert kept[0].ended
    assert "late" not in str(score(lambda: builtins.print("in time")))


def test_prints_are_not_kept_where_the_setting_says_so(score):
    """`keep_prints=0` leaves them out of the record."""
    found = score(lambda: builtins.print("a line"), keep_prints=0)
    assert attributes.PRINTS not in found


def test_what_print_raises_is_raised(score):
    """A wrong option is the caller's error, and no line."""

    def model():
        with pytest.raises(TypeError, match="sep must be None or a string"):
            builtins.print("a", "b", sep=1)

    assert attributes.PRINTS not in score(model)


def test_a_value_is_converted_once(score, capsys):
    """It may cost something, or say something else the second time."""
    found = score(lambda: builtins.print(Shy(ValueError("no more")), 1))
    assert capsys.readouterr().out == "once 1\n"
    assert found[attributes.PRINTS] == ("once 1",)


def test_what_a_value_raises_is_raised_in_its_turn(score, capsys):
    """What stands before it is written by then, as without us; a record's line it is not."""

    def model():
        with pytest.raises(LookupError, match="no text"):
            builtins.print(1, Raising(), Shy(None))

    found = score(model)
    assert capsys.readouterr().out == "1 "
    assert attributes.PRINTS not in found


def test_what_the_model_collects_itself_is_not_kept(score, capsys):
    """It goes to a buffer of its own, whatever that holds, and not to standard output."""

    def model():
        with contextlib.redirect_stdout(io.StringIO()) as buffer:
            builtins.print("report")
        builtins.print("length", len(buffer.getvalue()))
        builtins.print("to the process", file=sys.__stdout__)

    assert score(model)[attributes.PRINTS] == ("length 7", "to the process")
    assert capsys.readouterr().out == "length 7\n"


def test_a_print_of_somebody_elses_is_left_alone(score, monkeypatch):
    """It may know more of the values than their texts."""
    given = []

    def theirs(value):
        given.append(value)

    monkeypatch.setattr(builtins, "print", theirs)
    prints.instrument(SERVER)
    score(lambda: builtins.print({"a": 1}))
    assert given == [{"a": 1}]


def test_an_alarm_of_the_service_goes_off_in_the_middle_of_ours(score):
    """A `TimeoutError` is the service's own time limit: it must not be swallowed."""
    shy = Shy(TimeoutError())
    str(shy)
    with pytest.raises(TimeoutError):
        score(lambda: builtins.print(shy))


def test_an_alarm_may_go_off_anywhere(score):
    """A server's time limit is a signal: it ends the script where it is, and lines stay whole."""
    late = random.Random(5)

    def ring(*_):
        raise TimeoutError

    def script():
        # Not the real timer, which is the one of the tests' own limit.
        signal.setitimer(signal.ITIMER_VIRTUAL, late.uniform(1e-6, 3e-3))
        for number in range(10**6):
            prints.take(f"{number} is a line")

    def model():
        with pytest.raises(TimeoutError):
            script()

    before = signal.signal(signal.SIGVTALRM, ring)
    gc.disable()  # what an alarm raises in a callback of the collector goes nowhere
    try:
        found = [score(model).get(attributes.PRINTS, ()) for _ in range(100)]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        gc.enable()
    assert all(
        lines == tuple(f"{number} is a line" for number in range(len(lines))) for lines in found
    )
    assert max(map(len, found)) > 0


def test_print_is_wrapped_once(score):
    """However many servers a process imports, a line is kept once."""
    before = builtins.print
    prints.instrument(SERVER)
    assert builtins.print is before
    assert score(lambda: builtins.print("once"))[attributes.PRINTS] == ("once",)


def test_a_server_with_a_print_of_its_own_is_left_alone(score):
    """Where its lines are read elsewhere, wrapping `print` again would have each line twice."""

    def print_of_server(line):
        prints.take(line)

    prints.leave()
    builtins.print = print_of_server
    prints.instrument(SERVER)
    assert builtins.print is print_of_server
    assert score(lambda: builtins.print("once"))[attributes.PRINTS] == ("once",)
