"""Answers that are open when the interpreter ends: the process ends, and their records arrive."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from running import clean_environment
from scorespan.testing import ScriptedMart
from scorespan.threads import native

PROGRAM = Path(__file__).parent / "programs" / "left_open.py"
AT_THE_END = """
import sys, threading
from scorespan.threads import start

class Late:
    def __del__(self, start=start, thread=threading.Thread(target=print), write=sys.stdout.write):
        write(f"started {start(thread)}")

late = Late()
late.itself = late
sys.stdout.write("")
"""


def ended(case: str, tmp_path: Path) -> list[dict]:
    """The records of a program that ends within the time of nobody's wait."""
    with ScriptedMart() as mart:
        settings = {**mart.settings, "spool_dir": tmp_path / "spool", "shutdown_seconds": 1000}
        settings["client_urls"] = "127.0.0.1*/score"
        ours = {f"SCORESPAN_{name.upper()}": str(value) for name, value in settings.items()}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", PROGRAM, case],
            env={**clean_environment(), **ours, "SCORESPAN_ENABLE": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return list(mart.stored.values())


@pytest.mark.parametrize(("case", "count"), [("open", 1), ("drained", 2), ("kept", 1)])
def test_an_answer_that_is_open_at_the_end_is_delivered(case, count, tmp_path):
    """Also after others are, and where only a cycle knows of it."""
    records = ended(case, tmp_path)
    assert [record["response"]["values"] for record in records] == [[[0.5]]] * count


def test_a_loop_that_does_not_run_any_more_is_not_waited_for(tmp_path):
    """What it has begun is over with the thread that ran it."""
    (record,) = ended("loop", tmp_path)
    assert record["scorespan"]["error"]["type"] == "Abandoned"


def test_an_answer_that_a_client_has_left_open_is_delivered(tmp_path):
    """Its caller would have read it later, or not at all."""
    (record,) = ended("client", tmp_path)
    assert record["request"]["values"] == [['{"fields": ["number"], "values": [[1]]}']]


def test_no_thread_is_started_while_the_interpreter_is_taken_apart():
    """Nobody waits for one that never runs."""
    done = subprocess.run(
        [sys.executable, "-c", AT_THE_END], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "started False"
    assert not native.Thread().is_alive()
