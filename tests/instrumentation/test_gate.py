"""The gate: the end of a process waits for those that are answering, and lets nobody begin."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from running import clean_environment, started
from scorespan.instrumentation import gate

PROGRAM = Path(__file__).parent / "programs" / "gated.py"


class Exchange:
    """One that is answering."""


@pytest.mark.parametrize(("case", "status"), [("signal", -signal.SIGTERM), ("return", 0)])
def test_an_answer_that_was_sent_is_recorded_before_the_end(case, status):
    """By a signal as by the end of the main thread, under which others answer."""
    command = [sys.executable, PROGRAM, case]
    with started(command, clean_environment(), stdout=subprocess.PIPE) as process:
        said = []
        for line in process.stdout:
            said.append(line.strip())
            if line == "ready\n" and case == "signal":
                process.send_signal(signal.SIGTERM)
        assert process.wait(60) == status
    answered = {line.split()[1] for line in said if line.startswith("answered")}
    recorded = {line.split()[1] for line in said if line.startswith("recorded")}
    assert len(answered) > 20
    assert answered == recorded
    # What is delivered at the end holds all of them; what ends by itself is not held.
    assert said[-1] == {"signal": "drained", "return": "late"}[case]


@pytest.fixture
def closed(monkeypatch):
    """A gate that is closed, and will be open again."""
    monkeypatch.setattr(gate, "_closed", False)
    gate.close()


def test_an_event_loop_is_not_held(closed):
    """Others that it serves are inside, and must come to their end."""
    exchange = Exchange()

    async def begin():
        gate.enter(exchange)

    asyncio.run(begin())
    assert exchange in gate.answering


def test_the_wait_ends_with_the_last_that_has_begun():
    """Not with those that begin later, and not before its time where one stays."""
    stays, later = Exchange(), Exchange()
    gate.enter(stays)

    class Pause(threading.Event):
        """Something ends, and something begins, while somebody waits."""

        def wait(self, _timeout):
            """Return at once."""
            gate.enter(later)
            gate.answering.discard(stays)

    gate.wait(60, Pause())
    assert later in gate.answering
    gate.answering.discard(later)
